//! One intercepted connection and its stream: what the socket refuses waits here, within the window.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A socket on its stream's behalf; dropping it resets the connection.
#[derive(Debug)]
pub(crate) struct Relay {
    socket: TcpStream,
    /// Adds the stream to the wake list.
    waker: Waker,
    /// Received, and not taken by the socket yet; at most the stream's window.
    backlog: VecDeque<u8>,
    /// The peer sends no more: the socket is shut down for writing after the backlog.
    finishing: bool,
    /// The socket was shut down for writing.
    finished: bool,
    /// The application sends no more.
    at_end: bool,
    /// The application takes no more; what it sent before is still to be read.
    broken: bool,
}

/// What a relay has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It goes on.
    Open,
    /// It goes on until what the application sent before it left is read.
    Leaving,
    /// Both directions ended well and everything is delivered.
    Done,
    /// The application is gone.
    Gone,
}

impl Relay {
    pub(crate) fn new(socket: TcpStream, waker: Waker) -> Self {
        // Whatever closes it before its time, this process being killed included, is a reset and not an end.
        super::reset(&socket);
        Self {
            socket,
            waker,
            backlog: VecDeque::new(),
            finishing: false,
            finished: false,
            at_end: false,
            broken: false,
        }
    }

    /// Whether the application has bytes, or an end, to be read; if not, the wake list will know.
    pub(crate) fn is_readable(&self) -> bool {
        !self.at_end && self.socket.poll_read_ready(&mut Context::from_waker(&self.waker)).is_ready()
    }

    /// Reads into the send ring; `Ok(0)` is the application's end, `Pending` nothing for now.
    pub(crate) fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.at_end {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(room);
        let mut cx = Context::from_waker(&self.waker);
        let outcome = Pin::new(&mut self.socket).poll_read(&mut cx, &mut buffer);
        outcome.map_ok(|()| {
            self.at_end = buffer.filled().is_empty();
            buffer.filled().len()
        })
    }

    /// Gives received bytes to the socket, and keeps what it refuses: how many are done with.
    pub(crate) fn give(&mut self, bytes: &[u8]) -> usize {
        let taken = if self.backlog.is_empty() { self.write(bytes) } else { 0 };
        if self.broken {
            return bytes.len() + self.discard();
        }
        self.backlog.extend(&bytes[taken..]);
        taken
    }

    /// Tries the backlog again, then the end, if the peer has sent it: how many bytes are done with.
    pub(crate) fn flush(&mut self) -> usize {
        let mut taken = 0;
        while !self.backlog.is_empty() && !self.broken {
            let mut backlog = std::mem::take(&mut self.backlog);
            let count = self.write(backlog.as_slices().0);
            backlog.drain(..count);
            taken += count;
            // An idle stream keeps no buffer.
            self.backlog = if backlog.is_empty() { VecDeque::new() } else { backlog };
            if count == 0 {
                break;
            }
        }
        if self.broken {
            taken += self.discard();
        }
        if self.finishing && self.backlog.is_empty() && !self.finished {
            self.finished = true;
            // ENOTCONN: the application is gone, which the next read or write tells.
            let _ = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write);
        }
        taken
    }

    /// The peer sends no more.
    pub(crate) fn finish(&mut self) -> usize {
        self.finishing = true;
        self.flush()
    }

    /// What it has come to.
    pub(crate) fn state(&self) -> State {
        match (self.broken, self.at_end) {
            (true, true) => State::Gone,
            (true, false) => State::Leaving,
            (false, true) if self.finished => State::Done,
            _ => State::Open,
        }
    }

    fn discard(&mut self) -> usize {
        std::mem::take(&mut self.backlog).len()
    }

    /// Closes a connection that ended well: what the kernel still holds is delivered.
    pub(crate) fn close(self) {
        // It can fail only where the connection is gone already.
        let _ = SockRef::from(&self.socket).set_linger(None);
    }

    /// Writes until the socket takes no more, so that the wake list hears when it does again.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut cx = Context::from_waker(&self.waker);
        let mut taken = 0;
        while taken < bytes.len() && !self.broken {
            match Pin::new(&mut self.socket).poll_write(&mut cx, &bytes[taken..]) {
                Poll::Ready(Ok(count)) => taken += count,
                Poll::Ready(Err(_)) => self.broken = true,
                Poll::Pending => break,
            }
        }
        taken
    }
}
