//! The shuttle protocol: many streams over one ordered byte pipe, with no IO and no clock.
//!
//! Bytes, application calls and the time come in as arguments; bytes to send, events and the next
//! deadline come out. Both ends share this crate; the wire format is described in `docs/protocol.md`.
//!
//! | file | its job |
//! |---|---|
//! | [`greeting`] | the first bytes on every link: version, features, which session, how far |
//! | [`frame`] | the wire format of frames and its checked parser |
//! | [`connection`] | the state machine of one session: what a driver talks to |
//! | [`stream`] | the two halves of one stream, and the table of all |
//! | [`credit`] | how much may be sent, as a checked number; windows that grow |
//! | [`schedule`] | who sends next: deficit round robin, new streams first |
//! | [`ring`] | what was sent and not acknowledged yet, numbered |
//! | [`inflight`] | how much may be under way, from delivery rate and round trip |
//! | [`target`], [`reason`], [`violation`], [`time`] | vocabulary |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod connection;
pub mod credit;
pub mod frame;
pub mod greeting;
pub mod inflight;
pub mod reason;
pub mod ring;
pub mod schedule;
mod stream;
pub mod target;
pub mod time;
pub mod violation;

pub use connection::{Config, Connection, Event, OpenError, Peer, Side, Stats, StreamId, Transmit};
pub use reason::Reason;
pub use target::Target;
pub use time::Instant;
pub use violation::Violation;
