//! The link: standard input and output as one byte pipe to the client.

use core::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, IoSlice, read, write, writev};

use crate::Failure;

const INPUT: &str = "standard input";
const OUTPUT: &str = "standard output";

/// Both directions; they may be one and the same open file, a terminal or a socket.
pub(crate) struct Link<'a> {
    input: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
    /// What the flags were before: the open files may be shared with a shell that outlives us.
    before: (OFlags, OFlags),
    /// Whether the output took everything so far.
    pub(crate) writable: bool,
}

impl<'a> Link<'a> {
    /// Makes both ends nonblocking.
    pub(crate) fn new(input: BorrowedFd<'a>, output: BorrowedFd<'a>) -> Result<Self, Failure> {
        let flags = |fd, name| fcntl_getfl(fd).map_err(|errno| Failure::Unusable(name, errno));
        let before = (flags(input, INPUT)?, flags(output, OUTPUT)?);
        let set = |fd, flags, name| {
            fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(|errno| Failure::Unusable(name, errno))
        };
        set(input, before.0, INPUT)?;
        set(output, before.1, OUTPUT)?;
        Ok(Self { input, output, before, writable: true })
    }

    /// Leaves the open files as they were found; a link that is gone has nothing to leave.
    pub(crate) fn restore(&self) {
        let _ = fcntl_setfl(self.output, self.before.1);
        let _ = fcntl_setfl(self.input, self.before.0);
    }

    /// Has `epoll` watch both: input as long as there is some, output each time it takes bytes again.
    pub(crate) fn watch(
        &self,
        epoll: impl AsFd,
        input: epoll::EventData,
        output: epoll::EventData,
    ) -> Result<(), Failure> {
        epoll::add(&epoll, self.input, input, epoll::EventFlags::IN)
            .map_err(|errno| Failure::Unusable(INPUT, errno))?;
        epoll::add(&epoll, self.output, output, epoll::EventFlags::OUT | epoll::EventFlags::ET)
            .map_err(|errno| Failure::Unusable(OUTPUT, errno))
    }

    /// Reads what is there, at most the buffer's size; zero when nothing is.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Failure> {
        match read(self.input, &mut *buffer) {
            Ok(0) => Err(Failure::LinkEnded),
            Ok(count) => Ok(count),
            Err(errno) => transient(errno),
        }
    }

    /// Writes as much as the link takes now.
    pub(crate) fn write(&mut self, slices: [&[u8]; 3]) -> Result<usize, Failure> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let count = match writev(self.output, &slices.map(IoSlice::new)) {
            Ok(count) => count,
            Err(errno) => transient(errno)?,
        };
        self.writable = count == total;
        Ok(count)
    }

    /// Waits for exactly these bytes: nothing else goes on before the greeting.
    pub(crate) fn read_all(&self, mut buffer: &mut [u8]) -> Result<(), Failure> {
        while !buffer.is_empty() {
            match self.read(buffer)? {
                0 => wait(self.input, PollFlags::IN, None)?,
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }

    /// Waits until the link has taken all of these bytes.
    pub(crate) fn write_all(&self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match write(self.output, bytes).or_else(transient)? {
                0 => self.wait_writable(None)?,
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// Waits until the link takes bytes, or for as long as given.
    pub(crate) fn wait_writable(&self, limit: Option<Duration>) -> Result<(), Failure> {
        wait(self.output, PollFlags::OUT, limit)
    }
}

fn wait(fd: BorrowedFd<'_>, flags: PollFlags, limit: Option<Duration>) -> Result<(), Failure> {
    let limit =
        limit.map(|limit| Timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos() as _ });
    match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], limit.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Failure::Link(errno)),
    }
}

/// Errors that only mean `not now` or `no more`.
fn transient(errno: Errno) -> Result<usize, Failure> {
    match errno {
        Errno::AGAIN | Errno::INTR => Ok(0),
        // A terminal whose line was hung up says EIO.
        Errno::PIPE | Errno::CONNRESET | Errno::IO => Err(Failure::LinkEnded),
        errno => Err(Failure::Link(errno)),
    }
}
