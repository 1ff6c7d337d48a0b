//! The messages of one transaction: the kernel takes them all or none.

use std::io;

use nftnl::nftnl_sys::libc;
use nftnl::{MsgType, NlMsg};

use super::NftError;
use super::netlink::{Answer, Last, Netlink, acknowledge_only_the_last};

/// Messages in the order in which the kernel is to take them.
pub(super) struct Batch {
    batch: nftnl::Batch,
    /// What each message says, to name the one that was refused.
    said: Vec<String>,
    sets: u32,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch { batch: nftnl::Batch::new(), said: Vec::new(), sets: 0 }
    }

    /// Sets are told apart within their transaction by a number.
    pub(super) fn next_set_id(&mut self) -> u32 {
        self.sets += 1;
        self.sets
    }

    pub(super) fn add<T: NlMsg>(&mut self, message: &T, kind: MsgType, said: impl FnOnce() -> String) {
        self.batch.add(message, kind);
        self.said.push(said());
    }

    /// Sends everything and waits for the verdict.
    pub(super) fn commit(self, netlink: &Netlink) -> Result<(), NftError> {
        let batch = self.batch.finalize();
        // A transaction is what arrives in one send; nftnl keeps it in pages.
        let mut bytes = batch.iter().collect::<Vec<_>>().concat();
        let numbers = acknowledge_only_the_last(&mut bytes).map_err(NftError::Netlink)?;
        netlink.send(&bytes).map_err(|source| refused_whole(source, bytes.len()))?;
        netlink.answers(|answer| match answer {
            Answer::Taken(number) if numbers.last() == Some(&number) => Ok(Last::Yes),
            Answer::Refused(number, source) => {
                let place = numbers.iter().position(|candidate| *candidate == number);
                Err(explain(place.map(|place| (place, self.said[place].as_str())), source))
            }
            Answer::Taken(_) | Answer::Part(_) | Answer::Done => Ok(Last::No),
        })
    }
}

/// Words for a message that the kernel refused: which it was, and the `place` that it had.
fn explain(refused: Option<(usize, &str)>, source: io::Error) -> NftError {
    match (refused, source.raw_os_error()) {
        (None | Some((0, _)), Some(libc::EPERM | libc::EACCES)) => NftError::NotPermitted,
        // The mark at the start, or the table: nothing of ours was looked at yet.
        (None | Some((0, _)), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::EPROTONOSUPPORT)) => {
            NftError::Unsupported(source)
        }
        (None, _) => NftError::Netlink(source),
        (Some((_, said)), _) => NftError::Refused { what: shortened(said), source },
    }
}

/// Words for a transaction that did not even arrive.
fn refused_whole(source: io::Error, bytes: usize) -> NftError {
    match source.raw_os_error() {
        Some(libc::EMSGSIZE | libc::ENOBUFS) => NftError::TooLarge { bytes },
        _ => NftError::Netlink(source),
    }
}

/// A rule may hold thousands of networks.
fn shortened(said: &str) -> String {
    const ENOUGH: usize = 200;
    match said.char_indices().nth(ENOUGH) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}
