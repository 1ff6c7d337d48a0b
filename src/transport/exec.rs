//! `exec:COMMAND`: any command that is a byte pipe to a shell that reads commands as they come.

use super::{Entry, Transport, TransportError};

/// `sh -c COMMAND`, with a shell of the other side at the end of its standard input.
pub(super) struct Exec<'a> {
    pub(super) command: &'a str,
}

impl Transport for Exec<'_> {
    fn argv(&self, _first: &str) -> Result<Vec<String>, TransportError> {
        Ok(vec!["sh".to_owned(), "-c".to_owned(), self.command.to_owned()])
    }

    fn entry(&self) -> Entry {
        Entry::Typed
    }
}
