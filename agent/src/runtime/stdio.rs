//! The three descriptors that a process is born with.

use core::fmt;

use rustix::fd::BorrowedFd;

/// Standard input: what the link brings.
pub fn input() -> BorrowedFd<'static> {
    // SAFETY: nobody closes it; if it is not open the link's set-up fails before anything is opened.
    unsafe { rustix::stdio::stdin() }
}

/// Standard output: what goes to the link.
pub fn output() -> BorrowedFd<'static> {
    // SAFETY: as for the input.
    unsafe { rustix::stdio::stdout() }
}

/// Where words for people go. What cannot be written there has no other place to go.
pub struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: nobody closes it; if it is not open its number belongs to the epoll instance, the first
        // that is opened, which refuses to be written to.
        let stderr = unsafe { rustix::stdio::stderr() };
        rustix::io::write(stderr, text.as_bytes()).map_err(|_| fmt::Error)?;
        Ok(())
    }
}
