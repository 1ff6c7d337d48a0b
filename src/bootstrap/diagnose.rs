//! Why a link ended before the agent spoke, judged by how the child ended and by what was said.

use super::error::BootstrapError;
use crate::transport::{Exit, Remote};

/// How far the dialogue got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// No sign of a shell yet.
    LoggingIn,
    /// The stage's shell runs.
    Probing,
    /// The place is known, the agent is on its way.
    Uploading,
}

impl Phase {
    /// For a sentence.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::LoggingIn => "waiting for a shell",
            Self::Probing => "looking at the other side",
            Self::Uploading => "starting the agent",
        }
    }
}

/// ssh's exit status for its own failures; anything else is the remote command's.
const SSH_FAILED: i32 = 255;

const HOST_KEY: [&str; 3] =
    ["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known for"];
const DENIED: [&str; 3] =
    ["Permission denied (", "Too many authentication failures", "No supported authentication"];
const UNREACHABLE: [&str; 10] = [
    "Could not resolve hostname",
    "Connection refused",
    "Connection timed out",
    "No route to host",
    "Network is unreachable",
    "Connection reset by",
    "Connection closed by",
    "kex_exchange_identification",
    "Operation timed out",
    "not responding",
];
const RESTRICTED: [&str; 10] = [
    ": restricted",
    "restricted: ",
    "This account is currently not available",
    "This service allows sftp connections only",
    "Interactive git shell is not enabled",
    "unrecognized command 'exec sh",
    "You appear to be using ssh to clone",
    "does not provide shell access",
    "Disallowed command",
    "not allowed to execute",
];

/// The most telling error for a link that ended in `phase`; `noise` is what standard output brought.
pub(super) fn diagnose(remote: &Remote, phase: Phase, exit: &Exit, noise: &str) -> BootstrapError {
    let words = [exit.words.as_str(), noise].into_iter().filter(|words| !words.is_empty());
    let words = words.collect::<Vec<_>>().join("\n");
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let status = status(exit);
    let name = remote.to_string();
    if phase != Phase::LoggingIn {
        return BootstrapError::Ended { remote: name, doing: phase.doing(), status, words };
    }
    let of_ssh = matches!(remote, Remote::Ssh(_)) && exit.code == Some(SSH_FAILED);
    // An exec: command may well be an ssh, and says the same then.
    if of_ssh || matches!(remote, Remote::Exec(_)) {
        if says(&HOST_KEY) {
            return BootstrapError::HostKey { remote: name, words };
        }
        if says(&DENIED) {
            return BootstrapError::Denied { remote: name, words };
        }
        if says(&UNREACHABLE) {
            return BootstrapError::Unreachable { remote: name, words };
        }
    }
    if says(&RESTRICTED) {
        BootstrapError::Restricted { remote: name, words }
    } else if of_ssh {
        BootstrapError::Ssh { remote: name, status, words }
    } else {
        BootstrapError::NoShell { remote: name, status, words }
    }
}

fn status(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::SshRemote;

    fn ssh(code: i32, words: &str, noise: &str) -> BootstrapError {
        let remote = Remote::Ssh(SshRemote { user: None, host: "box".into(), port: None });
        let exit = Exit { code: Some(code), signal: None, words: words.into() };
        diagnose(&remote, Phase::LoggingIn, &exit, noise)
    }

    #[test]
    fn sshs_own_failures_are_told_apart_by_its_words() {
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.";
        assert!(matches!(ssh(255, changed, ""), BootstrapError::HostKey { .. }));
        let denied = "ann@box: Permission denied (publickey,password).";
        assert!(matches!(ssh(255, denied, ""), BootstrapError::Denied { .. }));
        let unknown = "ssh: Could not resolve hostname box: Name or service not known";
        assert!(matches!(ssh(255, unknown, ""), BootstrapError::Unreachable { .. }));
        let refused = "ssh: connect to host box port 22: Connection refused";
        assert!(matches!(ssh(255, refused, ""), BootstrapError::Unreachable { .. }));
        let other = "Bad owner or permissions on /home/ann/.ssh/config";
        let error = ssh(255, other, "");
        assert!(matches!(error, BootstrapError::Ssh { .. }));
        assert!(
            error.to_string().contains(other) && error.to_string().contains("exit status 255"),
            "{error}"
        );
    }

    #[test]
    fn accounts_that_run_no_command_are_named_as_such() {
        for (code, words, noise) in [
            (127, "rbash: line 1: exec: restricted", ""),
            (1, "", "This account is currently not available."),
            (1, "", "This service allows sftp connections only."),
            (128, "fatal: Interactive git shell is not enabled.", ""),
            (128, "fatal: unrecognized command 'exec sh -c '", ""),
        ] {
            assert!(matches!(ssh(code, words, noise), BootstrapError::Restricted { .. }), "{words}{noise}");
        }
    }

    #[test]
    fn a_permission_denied_by_the_shell_is_not_a_refused_login() {
        let error = ssh(126, "bash: /bin/sh: Permission denied", "");
        assert!(matches!(error, BootstrapError::NoShell { .. }));
    }
}
