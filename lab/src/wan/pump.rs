//! The thread that carries one direction: from one TUN device, along a [`Line`], to the other.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use super::Wan;
use super::line::{Counts, Line};
use crate::error::{Doing, Error};

/// As many datagrams are read before those that are due get their turn.
const BURST: usize = 64;
/// More than any datagram of a device with the usual MTU of 1,500.
const DATAGRAM: usize = 2048;

/// A running direction; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    ending: AtomicBool,
    /// Interrupts the thread's wait.
    changed: EventFd,
}

impl Pump {
    pub fn start(from: &File, to: &File, wan: Wan) -> Result<Self, Error> {
        let from = from.try_clone().doing("duplicate a TUN device")?;
        let to = to.try_clone().doing("duplicate a TUN device")?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let changed = EventFd::from_flags(flags).doing("create an eventfd")?;
        let shared =
            Arc::new(Shared { line: Mutex::new(Line::new(wan)), ending: AtomicBool::new(false), changed });
        let carrier = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lab wan".into()).spawn(move || {
            punctual();
            if let Err(error) = carrier.carry(&from, &to) {
                eprintln!("lab: the WAN line ends: {error}");
            }
        });
        Ok(Self { shared, thread: Some(thread.doing("start a thread")?) })
    }

    /// Changes the line and has the thread look at it again.
    pub fn change(&self, act: impl FnOnce(&mut Line)) {
        act(&mut self.shared.line());
        self.shared.wake();
    }

    pub fn counts(&self) -> Counts {
        self.shared.line().counts()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("a line does not panic")
    }

    fn wake(&self) {
        // It can only be full, and then the thread is awake already.
        let _ = self.changed.write(1);
    }

    fn carry(&self, from: &File, to: &File) -> io::Result<()> {
        let start = Instant::now();
        while !self.ending.load(Ordering::SeqCst) {
            let more = self.take(from, start)?;
            self.give(to, start);
            if !more {
                self.wait(from, start)?;
            }
        }
        Ok(())
    }

    /// Puts what the device has on the line; says whether it may have more.
    fn take(&self, mut from: &File, start: Instant) -> io::Result<bool> {
        for _ in 0..BURST {
            let mut datagram = vec![0; DATAGRAM];
            match from.read(&mut datagram) {
                Ok(length) => {
                    datagram.truncate(length);
                    self.line().enter(start.elapsed(), datagram);
                }
                // The device is down until it has its address.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => return Ok(false),
                Err(error) if error.raw_os_error() == Some(libc::EBADFD) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes what has arrived.
    fn give(&self, mut to: &File, start: Instant) {
        loop {
            let Some(datagram) = self.line().leave(start.elapsed()) else { return };
            // A device that is down takes nothing: lost, as on any other line.
            let _ = to.write(&datagram);
        }
    }

    /// Sleeps until the device has something, the next datagram arrives or the line was changed.
    fn wait(&self, from: &File, start: Instant) -> io::Result<()> {
        let next = self.line().next_arrival();
        let timeout = next.map(|arrival| TimeSpec::from_duration(arrival.saturating_sub(start.elapsed())));
        let mut sources = [
            PollFd::new(from.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.changed.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut sources, timeout, None) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Nothing to read is the usual case.
        let _ = self.changed.read();
        Ok(())
    }
}

/// Asks for exact timers and for preference on a busy machine; without them the line still works, less exactly.
fn punctual() {
    let _ = nix::sys::prctl::set_timerslack(1);
    // SAFETY: plain system calls without pointers; on Linux the priority is the calling thread's own.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}
