//! One stream's socket: its two halves, and how each of them ends.

use core::net::SocketAddr;

use proto::{Reason, StreamId};
use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

use crate::backlog::Backlog;
use crate::tcp;

/// What to wake up for. Each change is told once, so that a stream that must wait for the link or for
/// credit costs nothing, and nothing has to be changed later.
pub(crate) const INTEREST: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

const HUNG_UP: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// From the target to the client.
///
/// ```text
/// Quiet ◄──► Ready ──► Draining ──► Ended
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Nothing to read until the kernel says so.
    Quiet,
    /// Something may be there.
    Ready,
    /// The end was announced and will not be again: read until it comes.
    Draining,
    /// The end was read.
    Ended,
}

/// From the client to the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Not connected, or full: wait until the kernel says so.
    Blocked,
    /// Takes bytes.
    Ready,
    /// The target was told that no more comes.
    Finished,
    /// The target takes no more, and this is why. What it sent before is still to be read.
    Broken(Reason),
}

/// What reading brought.
pub(crate) enum Received {
    /// So many bytes, and whether there may be more.
    Bytes { count: usize, more: bool },
    /// Nothing now.
    Nothing,
    /// The target sends no more.
    End,
    /// The connection is over.
    Over(Reason),
}

/// What became of a stream after something happened to it.
pub(crate) enum State {
    /// It goes on; whether there may be something to read.
    Open { readable: bool },
    /// Both halves ended well.
    Done,
    /// The connection is over.
    Over(Reason),
}

/// A connection to a target.
pub(crate) struct Stream {
    /// Its name in the protocol.
    pub(crate) id: StreamId,
    socket: OwnedFd,
    connected: bool,
    reading: Reading,
    writing: Writing,
    /// The client sends no more than what is in the backlog.
    last: bool,
    backlog: Backlog,
}

impl Stream {
    /// Starts to connect.
    pub(crate) fn connect(id: StreamId, address: SocketAddr) -> Result<Self, Reason> {
        Ok(Self {
            id,
            socket: tcp::connect(address)?,
            connected: false,
            reading: Reading::Quiet,
            writing: Writing::Blocked,
            last: false,
            backlog: Backlog::default(),
        })
    }

    /// The outcome of connecting, told once.
    pub(crate) fn connection_made(&mut self, flags: EventFlags) -> Option<Result<(), Reason>> {
        if self.connected || !flags.intersects(EventFlags::OUT.union(HUNG_UP)) {
            return None;
        }
        self.connected = true;
        Some(tcp::outcome(&self.socket))
    }

    /// Takes note of what the kernel says of the connected socket.
    pub(crate) fn wake(&mut self, flags: EventFlags) {
        match self.reading {
            Reading::Ended if flags.contains(EventFlags::ERR) => {
                if let Err(reason) = tcp::outcome(&self.socket) {
                    self.writing = Writing::Broken(reason);
                }
            }
            Reading::Ended => {}
            _ if flags.intersects(HUNG_UP) => self.reading = Reading::Draining,
            Reading::Quiet if flags.contains(EventFlags::IN) => self.reading = Reading::Ready,
            _ => {}
        }
        if self.writing == Writing::Blocked && flags.contains(EventFlags::OUT) {
            self.writing = Writing::Ready;
        }
    }

    /// Reads what is there.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        if matches!(self.reading, Reading::Quiet | Reading::Ended) {
            return Received::Nothing;
        }
        match (tcp::receive(&self.socket, buffer), self.writing) {
            (Ok(0), Writing::Broken(reason)) => Received::Over(reason),
            (Ok(0), _) => {
                self.reading = Reading::Ended;
                Received::End
            }
            (Ok(count), _) => {
                // Less than there was room for was all; but an end that is known already is not told again.
                if count < buffer.len() && self.reading == Reading::Ready {
                    self.reading = Reading::Quiet;
                }
                Received::Bytes { count, more: self.reading != Reading::Quiet }
            }
            (Err(Errno::AGAIN), _) => {
                self.reading = Reading::Quiet;
                Received::Nothing
            }
            (Err(errno), _) => Received::Over(tcp::reason(errno)),
        }
    }

    /// Gives bytes to the target and keeps what it does not take; how many the target took.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) -> usize {
        let count = if self.backlog.is_empty() { self.write(bytes) } else { 0 };
        if matches!(self.writing, Writing::Broken(_)) {
            return bytes.len() + self.backlog.clear();
        }
        self.backlog.push(&bytes[count..]);
        count
    }

    /// Gives the target what was kept for it; how many bytes it took.
    pub(crate) fn flush(&mut self) -> usize {
        let mut total = 0;
        while self.writing == Writing::Ready && !self.backlog.is_empty() {
            // Taken out while it is written: the socket's state changes with it.
            let mut backlog = core::mem::take(&mut self.backlog);
            let count = self.write(backlog.front());
            backlog.advance(count);
            self.backlog = backlog;
            total += count;
        }
        if matches!(self.writing, Writing::Broken(_)) {
            total += self.backlog.clear();
        }
        total
    }

    /// The client sends no more.
    pub(crate) fn finish(&mut self) {
        self.last = true;
    }

    /// What this stream has come to.
    pub(crate) fn settle(&mut self) -> State {
        if self.last && self.writing == Writing::Ready && self.backlog.is_empty() {
            tcp::finish(&self.socket);
            self.writing = Writing::Finished;
        }
        match (self.reading, self.writing) {
            (Reading::Ended, Writing::Broken(reason)) => State::Over(reason),
            (Reading::Ended, Writing::Finished) => State::Done,
            (_, Writing::Broken(_)) => {
                // Whether the kernel said so or not: after what is there comes the end.
                self.reading = Reading::Draining;
                State::Open { readable: true }
            }
            (reading, _) => State::Open { readable: matches!(reading, Reading::Ready | Reading::Draining) },
        }
    }

    /// Closes such that the target sees a reset.
    pub(crate) fn abort(self) {
        tcp::abort(self.socket);
    }

    /// Writes until everything is written or the socket takes no more.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        while self.writing == Writing::Ready && count < bytes.len() {
            match tcp::transmit(&self.socket, &bytes[count..]) {
                Ok(written) => count += written,
                Err(Errno::AGAIN) => self.writing = Writing::Blocked,
                Err(errno) => self.writing = Writing::Broken(tcp::reason(errno)),
            }
        }
        count
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
