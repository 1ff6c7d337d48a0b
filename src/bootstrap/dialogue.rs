//! Writes to the shell over there and listens to it, at the same time, until the next sign.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::scan::{Scanner, Sign};
use crate::transport::{Link, Process};

/// A link in the hands of the bootstrap.
pub(super) struct Dialogue {
    input: AsyncFd<OwnedFd>,
    output: AsyncFd<OwnedFd>,
    process: Process,
    scanner: Scanner,
    /// Not yet written.
    outgoing: Vec<u8>,
    written: usize,
}

/// What comes next.
pub(super) enum Next {
    /// The other side said something.
    Sign(Sign),
    /// It closed its end.
    End,
    /// There was no sign for too long.
    Silence,
}

/// What one step did.
enum Step {
    /// Something came, or nothing happened.
    Read,
    /// Some of ours was taken.
    Written,
    /// The other side closed its end.
    End,
}

impl Dialogue {
    pub(super) fn new(link: Link) -> io::Result<Self> {
        let Link { input, output, process } = link;
        Ok(Self {
            input: watch(input)?,
            output: watch(output)?,
            process,
            scanner: Scanner::default(),
            outgoing: Vec::new(),
            written: 0,
        })
    }

    /// Has these bytes written, behind what was said before.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.outgoing.drain(..self.written);
        self.written = 0;
        self.outgoing.extend_from_slice(bytes);
    }

    /// Moves bytes both ways until there is a sign; `patience` is how long there may be none while nothing more
    /// of ours is taken. Noise is no reason to wait longer: some commands never stop talking.
    pub(super) async fn listen(&mut self, patience: Duration) -> io::Result<Next> {
        let mut deadline = Instant::now() + patience;
        loop {
            if let Some(sign) = self.scanner.next_sign() {
                return Ok(Next::Sign(sign));
            }
            match tokio::time::timeout_at(deadline, self.step()).await {
                Err(_) => return Ok(Next::Silence),
                Ok(step) => match step? {
                    Step::Written => deadline = Instant::now() + patience,
                    Step::Read => {}
                    Step::End => return Ok(Next::End),
                },
            }
        }
    }

    /// Reads or writes once.
    async fn step(&mut self) -> io::Result<Step> {
        let pending = self.written < self.outgoing.len();
        tokio::select! {
            ready = self.input.readable() => {
                let mut buffer = [0; 4096];
                match ready?.try_io(|fd| Ok(unistd::read(fd.get_ref(), &mut buffer)?)) {
                    Err(_not_ready) => Ok(Step::Read),
                    Ok(length) => {
                        let length = length?;
                        self.scanner.feed(&buffer[..length]);
                        Ok(if length > 0 { Step::Read } else { Step::End })
                    }
                }
            }
            ready = self.output.writable(), if pending => {
                match ready?.try_io(|fd| Ok(unistd::write(fd.get_ref(), &self.outgoing[self.written..])?)) {
                    Err(_not_ready) => return Ok(Step::Read),
                    Ok(Ok(length)) => self.written += length,
                    // Nobody reads there any more. Why, the input tells, or its end.
                    Ok(Err(error)) if error.raw_os_error() == Some(Errno::EPIPE as i32) => {
                        self.written = self.outgoing.len();
                    }
                    Ok(Err(error)) => return Err(error),
                }
                Ok(Step::Written)
            }
        }
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What was seen besides signs.
    pub(super) fn noise(&self) -> String {
        self.scanner.noise()
    }

    /// Gives the link back, and the bytes that came behind the last sign.
    pub(super) fn finish(self) -> (Link, Vec<u8>) {
        let Self { input, output, process, scanner, .. } = self;
        (Link { input: input.into_inner(), output: output.into_inner(), process }, scanner.into_rest())
    }

    /// Ends it: closes the pipes, which is what ssh waits for, then the process.
    pub(super) async fn abandon(self) -> io::Result<()> {
        let Self { input, output, process, .. } = self;
        drop((input, output));
        process.end().await.map(drop)
    }
}

fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same descriptor as long as it lives, and only we hold this one; it is not
    // closed before `AsyncFd` has let go of it.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}
