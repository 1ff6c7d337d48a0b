//! Moves bytes between the protocol and a link: the only place that does.

use std::io;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use proto::Transmit;
use proto::greeting::{Attached, Refusal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// What one read of the link takes at most.
const READ: usize = 256 << 10;

/// One link's two directions; the greeting's last word is read here, so that frames may be sent before.
#[derive(Debug)]
pub(crate) struct Tunnel {
    input: pipe::Receiver,
    output: pipe::Sender,
    buffer: Box<[u8]>,
    /// The agent's confirmation, while it is incomplete.
    attached: Option<Vec<u8>>,
    /// Bytes that must leave before the protocol's: our part of the greeting.
    greeting: Vec<u8>,
}

/// Why a link gives nothing more.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It was closed, or failed.
    Lost(Option<io::Error>),
    /// The agent does not take us.
    Refused(Option<Refusal>),
}

impl Tunnel {
    /// Takes both ends of the byte pipe; `greeting` goes out first, `leftover` came in already.
    pub(crate) fn new(
        input: OwnedFd,
        output: OwnedFd,
        greeting: Vec<u8>,
        leftover: &[u8],
    ) -> io::Result<(Self, Vec<u8>)> {
        let mut tunnel = Self {
            input: pipe::Receiver::from_owned_fd(input)?,
            output: pipe::Sender::from_owned_fd(output)?,
            buffer: vec![0; READ].into_boxed_slice(),
            attached: Some(Vec::new()),
            greeting,
        };
        let rest =
            tunnel.strip_attached(leftover).map_err(|_| io::Error::other("the agent refused the link"))?;
        let rest = rest.to_vec();
        Ok((tunnel, rest))
    }

    /// Reads once and gives what came to `take`; frames only.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<Result<(), Broken>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut filling = ReadBuf::new(&mut buffer);
        let outcome = Pin::new(&mut self.input).poll_read(cx, &mut filling).map(|read| match read {
            Ok(()) if filling.filled().is_empty() => Err(Broken::Lost(None)),
            Ok(()) => {
                take(self.strip_attached(filling.filled())?);
                Ok(())
            }
            Err(error) => Err(Broken::Lost(Some(error))),
        });
        self.buffer = buffer;
        outcome
    }

    /// Writes what it can of the protocol's bytes: how many.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        transmit: &Transmit<'_>,
    ) -> Poll<Result<usize, Broken>> {
        let [first, second, third] = transmit;
        let slices =
            [IoSlice::new(&self.greeting), IoSlice::new(first), IoSlice::new(second), IoSlice::new(third)];
        // Empty slices in front would cost the kernel a look each.
        let slices = if self.greeting.is_empty() { &slices[1..] } else { &slices[..] };
        match ready!(Pin::new(&mut self.output).poll_write_vectored(cx, slices)) {
            Ok(count) => {
                let of_greeting = count.min(self.greeting.len());
                self.greeting.drain(..of_greeting);
                Poll::Ready(Ok(count - of_greeting))
            }
            Err(error) => Poll::Ready(Err(Broken::Lost(Some(error)))),
        }
    }

    /// Whether our part of the greeting still waits to leave.
    pub(crate) fn has_greeting(&self) -> bool {
        !self.greeting.is_empty()
    }

    /// Takes the agent's confirmation from the front of what the link brings first.
    fn strip_attached<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Broken> {
        let Some(partial) = &mut self.attached else { return Ok(bytes) };
        let (head, rest) = bytes.split_at(bytes.len().min(Attached::LENGTH - partial.len()));
        partial.extend_from_slice(head);
        if let Some(whole) = partial.first_chunk() {
            let attached = Attached::decode(whole).map_err(|_| Broken::Refused(None))?;
            if attached.refusal != 0 {
                return Err(Broken::Refused(Refusal::from_code(attached.refusal)));
            }
            self.attached = None;
        }
        Ok(rest)
    }
}
