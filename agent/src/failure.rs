//! Why the agent ended early, in words that a user can act on.

use core::fmt;

use proto::{Violation, greeting};
use rustix::io::Errno;

/// What ended the agent.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The link is gone: the usual end, no failure for anybody.
    LinkEnded,
    /// Standard input or output cannot be waited for, or is not open.
    Unusable(&'static str, Errno),
    /// The link broke in an unusual way.
    Link(Errno),
    /// The kernel refused what nothing works without.
    Kernel(&'static str, Errno),
    /// The first bytes are not a client's.
    NotAClient,
    /// The client speaks another version of the protocol.
    Version(u16),
    /// The client asked for a session that is not here.
    NoSession,
    /// The client broke the protocol.
    Client(Violation),
    /// The client says that this end broke the protocol.
    Blamed(Violation),
}

impl Failure {
    /// The exit status of the process.
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::LinkEnded => 0,
            Self::Unusable(..) | Self::Link(_) | Self::Kernel(..) => 1,
            Self::NotAClient | Self::Version(_) | Self::NoSession => 2,
            Self::Client(_) | Self::Blamed(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkEnded => f.write_str("the link has ended"),
            Self::Unusable(which, Errno::PERM) => {
                write!(f, "{which} is a file or /dev/null; it must be a pipe, a socket or a terminal")
            }
            Self::Unusable(which, Errno::BADF) => write!(f, "{which} is not open"),
            Self::Unusable(which, errno) => {
                write!(f, "{which} cannot be used (errno {})", errno.raw_os_error())
            }
            Self::Link(errno) => write!(f, "the link broke (errno {})", errno.raw_os_error()),
            Self::Kernel(what, errno) => write!(f, "{what} failed (errno {})", errno.raw_os_error()),
            Self::NotAClient => f.write_str(
                "what came in is not from a shuttle client; this program is started by shuttle, not by hand",
            ),
            Self::Version(theirs) => write!(
                f,
                "the client speaks protocol version {theirs} and this agent version {}; use an agent and a client of one release",
                greeting::VERSION
            ),
            Self::NoSession => f.write_str("the session to resume is not here"),
            Self::Client(violation) => write!(f, "the client broke the protocol: {violation}"),
            Self::Blamed(violation) => {
                write!(f, "the client ended the session and blames the agent: {violation}")
            }
        }
    }
}
