//! A byte pipe to a shell on the other side: ssh, any command, or this machine itself.

mod exec;
mod local;
mod process;
mod ssh;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

pub use process::{Exit, Process};

/// Where the other side is, as `-r` names it; each kind has a file of its own here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// `[user@]host[:port]`, with the user's own ssh.
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

/// One life of a byte pipe to the other side.
#[derive(Debug)]
pub struct Link {
    /// What the other side sends; nonblocking.
    pub input: OwnedFd,
    /// What we send; nonblocking.
    pub output: OwnedFd,
    /// The child process that carries the bytes.
    pub process: Process,
}

/// How the first command gets to the shell over there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It was an argument of the child process: standard input carries data from its first byte.
    Argument,
    /// A shell waits for it on standard input.
    Typed,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The program is not there or may not be run.
    #[error("cannot run {program}: {source}; install it (Debian: openssh-client), or name another with -e")]
    Spawn {
        /// What was to run.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host's or the user's name would be taken for an option.
    #[error("{0:?} is not a host to log in to: a name cannot begin with a dash")]
    Dash(String),
    /// `-e` without a word.
    #[error("the ssh command (-e) is empty")]
    NoCommand,
    /// Pipes or processes could not be made.
    #[error("cannot make a pipe to a child process: {0}")]
    Pipe(#[source] io::Error),
}

/// A kind of remote: which child process leads to a shell there.
trait Transport {
    /// The child's program and arguments; `first` is the command that the shell over there is to run.
    fn argv(&self, first: &str) -> Result<Vec<String>, TransportError>;

    /// How `first` gets there.
    fn entry(&self) -> Entry;
}

/// Starts the child process that leads to a shell at `remote`, and has it run `first`, or says that
/// `first` has to be typed to it.
pub fn open(remote: &Remote, ssh_command: &[String], first: &str) -> Result<(Link, Entry), TransportError> {
    let transport: Box<dyn Transport + '_> = match remote {
        Remote::Ssh(remote) => Box::new(ssh::Ssh { remote, command: ssh_command }),
        Remote::Exec(command) => Box::new(exec::Exec { command }),
        Remote::Local => Box::new(local::Local),
    };
    let link = process::spawn(&transport.argv(first)?)?;
    Ok((link, transport.entry()))
}
