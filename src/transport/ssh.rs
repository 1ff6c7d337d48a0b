//! The user's own ssh, with its configuration, keys, agent and password prompts.

use std::path::Path;

use super::{Entry, SshRemote, Transport, TransportError};

/// What OpenSSH must not take from the configuration, because the link is bytes to a command of ours: no
/// terminal (`RequestTTY force`), no other command (`RemoteCommand`). All the rest is the user's choice.
const OURS: [&str; 3] = ["-T", "-o", "RemoteCommand=none"];

/// `ssh [-p port] [user@]host command`.
pub(super) struct Ssh<'a> {
    pub(super) remote: &'a SshRemote,
    pub(super) command: &'a [String],
}

impl Transport for Ssh<'_> {
    fn argv(&self, first: &str) -> Result<Vec<String>, TransportError> {
        let SshRemote { user, host, port } = self.remote;
        let destination = match user {
            Some(user) => format!("{user}@{host}"),
            None => host.clone(),
        };
        if destination.starts_with('-') || host.starts_with('-') {
            return Err(TransportError::Dash(destination));
        }
        let program = self.command.first().ok_or(TransportError::NoCommand)?;
        let mut argv = self.command.to_vec();
        // Other programs with ssh's manners (-e) need not know these.
        if Path::new(program).file_name().is_some_and(|name| name == "ssh") {
            argv.extend(OURS.map(String::from));
        }
        if let Some(port) = port {
            argv.extend(["-p".to_owned(), port.to_string()]);
        }
        // Without "--" between them: the command does not begin with a dash, and some ssh stand-ins
        // pass the dashes on.
        argv.extend([destination, first.to_owned()]);
        Ok(argv)
    }

    fn entry(&self) -> Entry {
        Entry::Argument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(command: &[&str], remote: &SshRemote) -> Result<Vec<String>, TransportError> {
        let command: Vec<_> = command.iter().map(|&word| word.to_owned()).collect();
        Ssh { remote, command: &command }.argv("true")
    }

    #[test]
    fn the_users_words_come_before_ours_and_the_destination_last() {
        let remote = SshRemote { user: Some("ann".into()), host: "2001:db8::1".into(), port: Some(2222) };
        let found = argv(&["/usr/bin/ssh", "-i", "my key"], &remote).unwrap();
        assert_eq!(
            found,
            [
                "/usr/bin/ssh",
                "-i",
                "my key",
                "-T",
                "-o",
                "RemoteCommand=none",
                "-p",
                "2222",
                "ann@2001:db8::1",
                "true"
            ]
        );
    }

    #[test]
    fn a_stand_in_for_ssh_is_given_no_option_of_openssh() {
        let remote = SshRemote { user: None, host: "box".into(), port: None };
        assert_eq!(argv(&["tsh", "ssh"], &remote).unwrap(), ["tsh", "ssh", "box", "true"]);
    }

    #[test]
    fn a_host_or_user_that_looks_like_an_option_is_refused() {
        let host = SshRemote { user: None, host: "-oProxyCommand=touch /tmp/x".into(), port: None };
        assert!(matches!(argv(&["ssh"], &host), Err(TransportError::Dash(_))));
        let user = SshRemote { user: Some("-l".into()), host: "box".into(), port: None };
        assert!(matches!(argv(&["ssh"], &user), Err(TransportError::Dash(_))));
        let fine = SshRemote { user: None, host: "box".into(), port: None };
        assert!(matches!(argv(&[], &fine), Err(TransportError::NoCommand)));
    }
}
