//! Makes the kernel forget connections that were tried in vain before the rules.
//!
//! Of a tracked connection the nat rules see the first segment alone. One that nobody answered stays tracked
//! for two minutes, and each further attempt prolongs it: an application that began to connect before the
//! rules were there would hang, and so would whoever gets its port next.
//!
//! | module | its job |
//! |---|---|
//! | `entry` | what the kernel says of one tracked connection, and the message that makes it forget it |

mod entry;

use std::io;
use std::net::SocketAddr;

use nix::libc;

use self::entry::Entry;
use crate::nft::netlink::{Answer, Last, Netlink};
use crate::policy::Policy;
use crate::precedence::Interception;

/// So many requests at once that their answers fit the socket's buffer.
const AT_ONCE: usize = 64;

/// The kernel would not do it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the kernel does not let us forget connections that it tracks ({0}): those tried before the rules may \
     hang for two minutes; try `modprobe nf_conntrack_netlink` (inside a container: on its host)"
)]
pub struct ConntrackError(#[from] io::Error);

/// Makes the kernel forget every TCP connection that `policy` intercepts, that nobody has answered and that
/// is not redirected: its next attempt is a first segment again. Returns how many there were. Call it once
/// the rules are in place, so that none can come to be afterwards.
pub fn forget_unanswered(policy: &Policy) -> Result<usize, ConntrackError> {
    let netlink = Netlink::open()?;
    let mut unanswered = unanswered(&netlink)?;
    if unanswered.is_empty() {
        return Ok(0);
    }
    let interception = Interception::of(policy);
    unanswered.retain(|connection| interception.takes(connection.destination));
    for some in unanswered.chunks(AT_ONCE) {
        forget(&netlink, some)?;
    }
    Ok(unanswered.len())
}

/// A connection that may have to be forgotten.
struct Unanswered {
    destination: SocketAddr,
    /// The message that does it.
    deletion: Vec<u8>,
}

fn unanswered(netlink: &Netlink) -> io::Result<Vec<Unanswered>> {
    let mut found = Vec::new();
    netlink.send(&entry::list_all())?;
    netlink.answers(|answer| match answer {
        Answer::Part(message) => {
            if let Some(entry) = Entry::parse(message)?.filter(Entry::is_unanswered) {
                found.push(Unanswered { destination: entry.destination, deletion: entry.deletion() });
            }
            Ok(Last::No)
        }
        Answer::Done | Answer::Taken(_) => Ok(Last::Yes),
        Answer::Refused(_, source) => Err(source),
    })?;
    Ok(found)
}

fn forget(netlink: &Netlink, connections: &[Unanswered]) -> io::Result<()> {
    let messages: Vec<&[u8]> = connections.iter().map(|connection| connection.deletion.as_slice()).collect();
    netlink.send(&messages.concat())?;
    let mut awaited = connections.len();
    netlink.answers(|answer| {
        match answer {
            Answer::Taken(_) => {}
            // It ended by itself meanwhile.
            Answer::Refused(_, source) if source.raw_os_error() == Some(libc::ENOENT) => {}
            Answer::Refused(_, source) => return Err(source),
            Answer::Part(_) | Answer::Done => return Ok(Last::No),
        }
        awaited -= 1;
        Ok(if awaited == 0 { Last::Yes } else { Last::No })
    })
}
