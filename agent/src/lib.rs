//! The remote end of shuttle: opens connections on behalf of the client, and nothing else.
//!
//! The way of a byte, and of this crate's modules:
//!
//! | module | its job |
//! |---|---|
//! | [`link`] | stdin and stdout as one byte pipe to the client |
//! | [`greet`] | who speaks first, and whether the two ends go together |
//! | [`session`] | the epoll loop between the link, the protocol and the sockets |
//! | [`stream`] | one stream's socket: its two halves and how each of them ends |
//! | [`backlog`] | what a socket would not take yet |
//! | [`tcp`] | the socket calls, and what their errors mean on the wire |
//! | [`failure`] | why it ended early, in words |
//! | [`process`] | what a process does once: its own file, its limits |
//!
//! Everything low-level is in the program's `runtime`; here is no unsafe code.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod backlog;
mod failure;
mod greet;
mod link;
pub mod process;
mod session;
mod stream;
mod tcp;

use core::convert::Infallible;

use proto::{Config, Instant, Side};
use rustix::event::epoll;
use rustix::fd::BorrowedFd;

pub use failure::Failure;

/// Serves one client over the given pipe until it ends.
pub fn run(input: BorrowedFd<'_>, output: BorrowedFd<'_>, clock: fn() -> Instant) -> Result<(), Failure> {
    let mut link = link::Link::new(input, output)?;
    let failure = serve(&mut link, clock).map_or_else(|failure| failure, |never| match never {});
    link.restore();
    match failure {
        Failure::LinkEnded => Ok(()),
        failure => Err(failure),
    }
}

/// Runs until something ends it.
fn serve(link: &mut link::Link<'_>, clock: fn() -> Instant) -> Result<Infallible, Failure> {
    // Before anything else is opened: see `runtime::stdio::Stderr`.
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
        .map_err(|errno| Failure::Kernel("epoll_create1", errno))?;
    let config = Config::new(Side::Agent);
    let peer = greet::greet(link, &config)?;
    Err(session::Session::new(link, epoll, config, peer, clock)?.run())
}
