//! What can go wrong while a lab is built, in words.

use std::io;

/// Why a lab could not be built or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces need root, or a user namespace in which this process is root and has the usual users.
    #[error(
        "the lab needs root: run it as root, with sudo, or under `unshare --user --map-root-user --map-auto` \
         (packages util-linux 2.38 and uidmap)"
    )]
    NotRoot,
    /// A system call or a file operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program that the lab needs failed or is missing.
    #[error("{program} failed ({status}): {words}; `scripts/install-deps` installs what the lab needs")]
    Program {
        /// The command.
        program: String,
        /// Its exit status, or the error in starting it.
        status: String,
        /// The end of what it printed.
        words: String,
    },
    /// The topology contradicts itself.
    #[error("the topology is wrong: {0}")]
    Topology(String),
}

/// Adds to an IO error what was being done.
pub(crate) trait Doing<T> {
    /// Names the act that failed.
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|error| Error::Io { doing: what.into(), source: error.into() })
    }
}
