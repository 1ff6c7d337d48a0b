//! What the caller asks of the helper and what it answers: one JSON object a line, on stdin and stdout.
//! The helper speaks first. Everything it is asked is data; there is nothing in it to run.

use std::io;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// Both ends are the same program, so this differs only when it was replaced between two starts.
pub const VERSION: u32 = 1;

/// The longest line; the largest policy fits.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// What the caller asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make the rules those of this policy.
    Apply {
        /// What to intercept.
        policy: Policy,
    },
    /// Put the calling process into a cgroup of its own, whose connections are left alone, as are those of
    /// all children that it has from now on.
    ExemptCaller {},
    /// Remove the rules; more may be applied later.
    Remove {},
}

/// What the helper answers: the hello once, then one answer a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// The first line.
    Hello(Hello),
    /// It is done.
    Done {},
    /// It is done, but for something that most users can do without.
    DoneBut {
        /// What that is, for whoever looks closely.
        remark: String,
    },
    /// The caller is in this cgroup now.
    Exempted {
        /// Its path in the hierarchy.
        cgroup: String,
    },
    /// It is not done, and nothing has changed.
    Failed {
        /// What was found and what to do about it.
        reason: String,
    },
}

/// What the helper can do, and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// The process that holds the rules.
    pub process: u32,
    /// The name of the table it will make.
    pub table: String,
    /// The kernel removes the rules itself when that process dies.
    pub owned: bool,
    /// Why `exempt_caller` will not work here, if so: then apply rules only once the link is up, and put
    /// what must not loop into the policy's `exempt`.
    pub cannot_exempt: Option<String>,
    /// What runs that died had left behind, now undone.
    pub repaired: Vec<String>,
    /// What runs that died had left behind, and is still there.
    pub not_repaired: Vec<String>,
}

/// A request that is none.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Longer than [`MAX_LINE`].
    #[error("a request of more than {MAX_LINE} bytes")]
    TooLong,
    /// Not a request of this version.
    #[error("not a request: {0}")]
    NotARequest(#[from] serde_json::Error),
}

impl Request {
    /// Reads one line.
    pub fn parse(line: &[u8]) -> Result<Request, ProtocolError> {
        Ok(serde_json::from_slice(line)?)
    }
}

/// What has been read and not yet taken.
#[derive(Debug, Default)]
pub struct Unread {
    bytes: Vec<u8>,
    /// There is no end of a line before this.
    searched: usize,
}

impl Unread {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the first whole line, without its end.
    pub fn take_line(&mut self) -> Result<Option<Vec<u8>>, ProtocolError> {
        let end = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
        self.searched = end.map_or(self.bytes.len(), |end| self.searched + end);
        if self.searched > MAX_LINE {
            return Err(ProtocolError::TooLong);
        }
        Ok(end.map(|_| {
            let rest = self.bytes.split_off(self.searched + 1);
            let mut line = std::mem::replace(&mut self.bytes, rest);
            line.truncate(self.searched);
            self.searched = 0;
            line
        }))
    }
}

/// One message as a line.
pub fn to_line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_one_by_one_and_the_rest_stays() {
        let mut unread = Unread::default();
        unread.push(b"on");
        assert_eq!(unread.take_line().unwrap(), None);
        unread.push(b"e\ntwo\nthr");
        assert_eq!(unread.take_line().unwrap(), Some(b"one".to_vec()));
        assert_eq!(unread.take_line().unwrap(), Some(b"two".to_vec()));
        assert_eq!(unread.take_line().unwrap(), None);
        unread.push(b"ee\n");
        assert_eq!(unread.take_line().unwrap(), Some(b"three".to_vec()));
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut unread = Unread::default();
        unread.push(&vec![b' '; MAX_LINE]);
        assert!(matches!(unread.take_line(), Ok(None)));
        unread.push(b" ");
        assert!(matches!(unread.take_line(), Err(ProtocolError::TooLong)));
        unread.push(b"\n");
        assert!(matches!(unread.take_line(), Err(ProtocolError::TooLong)));
    }

    #[test]
    fn only_what_is_known_is_a_request() {
        let parse = |line: &str| Request::parse(line.as_bytes());
        assert_eq!(parse(r#"{"request":"remove"}"#).unwrap(), Request::Remove {});
        for line in [
            "",
            "{}",
            r#"{"request":"run","command":"id"}"#,
            r#"{"request":"remove","command":"id"}"#,
            r#"{"request":"exempt_caller","pid":1}"#,
            r#"{"request":"apply","policy":{"rules":[],"redirect_v4":70000,"redirect_v6":null}}"#,
            r#"{"request":"apply","policy":{"rules":[{"action":"include","net":"10.0.0.0/33","ports":null}]}}"#,
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_largest_policy_fits_a_line() {
        let rule = crate::policy::Rule {
            action: crate::policy::Action::Include,
            net: "1111:2222:3333:4444:5555:6666:7777:8888/128".parse().unwrap(),
            ports: Some(10000..=65535),
        };
        let policy = Policy { rules: vec![rule; crate::policy::MAX_RULES], ..Policy::default() };
        let line = to_line(&Request::Apply { policy }).unwrap();
        assert!(line.len() < MAX_LINE, "{}", line.len());
    }
}
