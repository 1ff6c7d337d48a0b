//! What may go wrong until the agent runs, in words for the user: what was found, and what to try.

use std::io;
use std::time::Duration;

use crate::transport::TransportError;

/// Why there is no agent on the other side.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The child process could not be started.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// ssh does not trust the host's key.
    #[error(
        "{remote}: ssh refused the host's key:\n{words}\n\
         If the host is new to you, log in once with ssh and compare the key; if its key was replaced, \
         `ssh-keygen -R HOST` forgets the old one"
    )]
    HostKey {
        /// The remote.
        remote: String,
        /// What ssh said.
        words: String,
    },
    /// The other side does not let us in.
    #[error(
        "{remote}: the login was refused:\n{words}\n\
         Try `ssh` to the same host; user, key and port come from your ssh configuration, -r and -e"
    )]
    Denied {
        /// The remote.
        remote: String,
        /// What ssh said.
        words: String,
    },
    /// The host's name or the host was not found.
    #[error("{remote}: no connection:\n{words}\nCheck the host's name, the port and the way there")]
    Unreachable {
        /// The remote.
        remote: String,
        /// What ssh said.
        words: String,
    },
    /// ssh ended for another reason of its own.
    #[error("{remote}: ssh ended with {status} before the other side answered{}", said(words))]
    Ssh {
        /// The remote.
        remote: String,
        /// How it ended.
        status: String,
        /// What it said.
        words: String,
    },
    /// The account runs no command of ours.
    #[error(
        "{remote}: this account has a restricted shell, which runs no command of ours:\n{words}\n\
         shuttle needs a login that can run `sh`; name another user with -r USER@HOST"
    )]
    Restricted {
        /// The remote.
        remote: String,
        /// What the shell said.
        words: String,
    },
    /// The shell over there did not understand, or there is none.
    #[error(
        "{remote}: no shell ran our first command ({status}){}\n\
         shuttle needs a remote Linux with `sh` in its PATH",
        said(words)
    )]
    NoShell {
        /// The remote.
        remote: String,
        /// How the child ended.
        status: String,
        /// What was seen.
        words: String,
    },
    /// The pipe ended in the middle.
    #[error("{remote}: the link ended while {doing} ({status}){}", said(words))]
    Ended {
        /// The remote.
        remote: String,
        /// What was going on.
        doing: &'static str,
        /// How the child ended.
        status: String,
        /// What was seen.
        words: String,
    },
    /// Nothing came for too long.
    #[error(
        "{remote}: gave up after {} s without an answer while {doing}{}{}",
        after.as_secs(), said(seen), hint(*typed)
    )]
    Timeout {
        /// The remote.
        remote: String,
        /// What was going on.
        doing: &'static str,
        /// For how long nothing came.
        after: Duration,
        /// What had been seen before.
        seen: String,
        /// Whether a shell was to read commands from standard input.
        typed: bool,
    },
    /// Over there is not Linux.
    #[error("{remote} runs {system}: shuttle's agent needs Linux on the other side")]
    NotLinux {
        /// The remote.
        remote: String,
        /// What `uname -sm` says.
        system: String,
    },
    /// This build carries no agent for that machine.
    #[error(
        "{remote} is a Linux on {machine}, and this shuttle carries no agent for it (it has: {}). \
         `cargo xtask agents`, then building shuttle again, adds those of other architectures",
        carried.join(", ")
    )]
    NoAgent {
        /// The remote.
        remote: String,
        /// What `uname -m` says.
        machine: String,
        /// The architectures that there are agents for.
        carried: Vec<String>,
    },
    /// No directory takes and executes a file.
    #[error(
        "{remote}: found no directory where a file may be written and executed. Tried: {tried}\n\
         Set TMPDIR over there to one that allows both"
    )]
    NowhereToExecute {
        /// The remote.
        remote: String,
        /// The places and what each lacks.
        tried: String,
    },
    /// A tool is missing over there.
    #[error("{remote} has no {tool} in its PATH, which the first stage needs")]
    MissingTool {
        /// The remote.
        remote: String,
        /// Its name.
        tool: String,
    },
    /// The agent did not arrive whole.
    #[error("{remote}: the agent did not arrive whole in {place}: is the disk full?{}", said(words))]
    Spoilt {
        /// The remote.
        remote: String,
        /// The directory.
        place: String,
        /// What was seen.
        words: String,
    },
    /// The agent was refused by the kernel.
    #[error(
        "{remote}: the agent cannot be executed in {place} ({system}){}\n\
         Scripts may be executed there, so a security policy or another kind of processor is likely",
        said(words)
    )]
    Unstarted {
        /// The remote.
        remote: String,
        /// The directory.
        place: String,
        /// What `uname -sm` says.
        system: String,
        /// What was seen.
        words: String,
    },
    /// The other side does not keep to the dialogue.
    #[error("{remote}: the first stage asked twice for the same agent ({system})")]
    Confused {
        /// The remote.
        remote: String,
        /// What `uname -sm` says.
        system: String,
    },
    /// This machine's fault.
    #[error("while starting the agent: {0}")]
    Io(#[from] io::Error),
}

/// The other side's words on lines of their own, when there are any.
fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(":\n{words}") }
}

fn hint(typed: bool) -> &'static str {
    if typed {
        "\nThe command after exec: must lead to a shell that reads commands from a pipe as they come; \
         fish does not: exec:'fish -c \"exec sh\"'"
    } else {
        ""
    }
}
