//! The netlink socket: sends a whole transaction at once and reads what the kernel answers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use mnl::{Bus, NlMessages, Socket};
use nftnl::nftnl_sys::libc;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

/// Room for any answer: an error brings the message back that it is about.
const RECEIVE_BUFFER: usize = 256 * 1024;

/// The kernel answers within the send; this only keeps a fault from being an endless wait.
const PATIENCE_SECONDS: i64 = 10;

/// Bytes of a netlink header.
const HEADER: usize = size_of::<libc::nlmsghdr>();

/// A socket to netfilter. A table that it made with the owner flag lives as long as it.
pub(crate) struct Netlink {
    socket: Socket,
}

/// What the kernel says about a request.
pub(crate) enum Answer<'a> {
    /// The message of this number, and all before it, were taken.
    Taken(u32),
    /// The message of this number was not.
    Refused(u32, io::Error),
    /// The end of a listing.
    Done,
    /// One part of a listing, header included.
    Part(&'a [u8]),
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Netlink> {
        let netlink = Netlink { socket: Socket::new(Bus::Netfilter)? };
        // The table would outlive us in whoever inherited its socket.
        fcntl(netlink.fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        setsockopt(&netlink.fd(), sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
        Ok(netlink)
    }

    /// Sends one or more messages as one request.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.forget_old_answers()?;
        self.make_room(bytes.len())?;
        match self.socket.send(bytes)? {
            sent if sent == bytes.len() => Ok(()),
            sent => Err(io::Error::other(format!("only {sent} of {} bytes were taken", bytes.len()))),
        }
    }

    /// Reads answers until `each` says that it was the last.
    pub(crate) fn answers<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(Answer<'_>) -> Result<Last, E>,
    ) -> Result<(), E> {
        let mut buffer = vec![0; RECEIVE_BUFFER];
        loop {
            let read = match recv(self.fd().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                // Some answers were lost; the first of them, which is the one that counts, is still there.
                Err(nix::Error::ENOBUFS | nix::Error::EINTR) => continue,
                read => read.map_err(io::Error::from)?,
            };
            for message in NlMessages::new(&buffer[..read]) {
                if each(answer(message?)?)? == Last::Yes {
                    return Ok(());
                }
            }
        }
    }

    /// A refused transaction may have brought more answers than were read.
    fn forget_old_answers(&self) -> io::Result<()> {
        let mut buffer = [0; HEADER];
        loop {
            match recv(self.fd().as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(nix::Error::EAGAIN) => return Ok(()),
                Ok(_) | Err(nix::Error::ENOBUFS | nix::Error::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The kernel counts its own overhead too, hence twice the size.
    fn make_room(&self, bytes: usize) -> io::Result<()> {
        let room = (2 * bytes).max(RECEIVE_BUFFER);
        // Root of a user namespace may not go beyond net.core.wmem_max: there the send itself decides.
        if setsockopt(&self.fd(), sockopt::SndBufForce, &room).is_err() {
            setsockopt(&self.fd(), sockopt::SndBuf, &room)?;
        }
        if setsockopt(&self.fd(), sockopt::RcvBufForce, &room).is_err() {
            setsockopt(&self.fd(), sockopt::RcvBuf, &room)?;
        }
        Ok(())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open for as long as we borrow it.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

/// Whether more answers are to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    Yes,
    No,
}

fn answer(message: &[u8]) -> io::Result<Answer<'_>> {
    match i32::from(u16_at(message, 4)?) {
        libc::NLMSG_DONE => Ok(Answer::Done),
        libc::NLMSG_ERROR => {
            let number = u32_at(message, 8)?;
            match u32_at(message, HEADER)?.cast_signed() {
                0 => Ok(Answer::Taken(number)),
                errno => Ok(Answer::Refused(number, io::Error::from_raw_os_error(-errno))),
            }
        }
        _ => Ok(Answer::Part(message)),
    }
}

/// Clears the wish for an acknowledgement in all messages of a transaction but the last before its end
/// mark: thousands of them would overflow our receive buffer. Returns the messages' numbers, without those
/// of the marks at either end.
pub(super) fn acknowledge_only_the_last(transaction: &mut [u8]) -> io::Result<Vec<u32>> {
    let mut starts = Vec::new();
    let mut start = 0;
    while start < transaction.len() {
        starts.push(start);
        let length = u32_at(&transaction[start..], 0)? as usize;
        start += length.max(HEADER).next_multiple_of(4);
    }
    let Some([_begin, messages @ .., _end]) = starts.get(..) else {
        return Err(io::Error::other("a transaction without marks"));
    };
    let mut numbers = Vec::with_capacity(messages.len());
    for (place, start) in starts.iter().enumerate() {
        let message = &mut transaction[*start..];
        let flags = u16_at(message, 6)?;
        let acknowledged = place == messages.len();
        let flags = if acknowledged { flags } else { flags & !(libc::NLM_F_ACK as u16) };
        message[6..8].copy_from_slice(&flags.to_ne_bytes());
        if (1..=messages.len()).contains(&place) {
            numbers.push(u32_at(message, 8)?);
        }
    }
    Ok(numbers)
}

fn u16_at(message: &[u8], offset: usize) -> io::Result<u16> {
    let bytes = message.get(offset..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_short)?;
    Ok(u16::from_ne_bytes(*bytes))
}

fn u32_at(message: &[u8], offset: usize) -> io::Result<u32> {
    let bytes = message.get(offset..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_short)?;
    Ok(u32::from_ne_bytes(*bytes))
}

pub(crate) fn cut_short() -> io::Error {
    io::Error::other("a netlink message that is cut short")
}
