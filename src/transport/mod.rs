//! A byte pipe to a shell on the other side: ssh, any command, or this machine itself.

use std::fmt;

/// Where the other side is, as `-r` names it; each kind has a file of its own here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// `[user[:password]@]host[:port]`, with the user's own ssh.
    Ssh(SshRemote),
    /// `exec:COMMAND`: any command that is a byte pipe to a shell.
    Exec(String),
    /// No `-r`: a local agent, for trying things out.
    Local,
}

/// A host as ssh knows it: a name, an address or an alias of the user's ssh configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshRemote {
    /// Login name, when it was given.
    pub user: Option<String>,
    /// Host, without brackets.
    pub host: String,
    /// Port, when it was given.
    pub port: Option<u16>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(remote) => write!(f, "{}", remote.host),
            Self::Exec(command) => write!(f, "exec:{command}"),
            Self::Local => f.write_str("this machine"),
        }
    }
}
