//! What the two ends of a session decide, each for itself, and what follows for its memory.

use crate::inflight::Inflight;
use crate::schedule::Schedule;
use crate::stream::Streams;

/// The ring's room that data leaves to control frames.
pub(super) const CONTROL_ROOM: usize = 16 << 10;

/// What a stream's number on the wire can count.
pub(super) const MOST_STREAMS: u32 = 1 << 24;

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Opens streams.
    Client,
    /// Accepts streams.
    Agent,
}

/// What the owner of a [`Connection`](super::Connection) decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which end this is.
    pub side: Side,
    /// Bytes of the send ring: the most that is kept unacknowledged; a power of two.
    pub ring: usize,
    /// Bytes that the peer may send on each new stream before it is granted more.
    pub window: u32,
    /// Bytes that a stream's window may grow to; no more than 2^30.
    pub window_cap: u32,
    /// Bytes by which all streams' windows together may grow beyond `window` each.
    pub growth: u64,
    /// Streams that may be open at once.
    pub streams: u32,
}

impl Config {
    /// What both ends use unless told otherwise.
    pub const fn new(side: Side) -> Self {
        Self { side, ring: 4 << 20, window: 64 << 10, window_cap: 4 << 20, growth: 64 << 20, streams: 65_536 }
    }

    /// The most that [`Connection::memory`](super::Connection::memory) can be; tables grow by doubling.
    pub const fn memory_bound(&self) -> usize {
        let streams = if self.streams < MOST_STREAMS { self.streams } else { MOST_STREAMS } as usize;
        let tables = Streams::ENTRY + Schedule::ENTRY + size_of::<u32>();
        self.ring_size() + 2 * (streams + 4) * tables + Inflight::MOST_MEMORY
    }

    pub(super) const fn ring_size(&self) -> usize {
        let size = if self.ring < 2 * CONTROL_ROOM { 2 * CONTROL_ROOM } else { self.ring };
        size.next_power_of_two()
    }
}

/// What the peer said of itself in the greeting, and how far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Session bytes that it has received from us; zero in a new session.
    pub received: u64,
    /// Bytes that we may send on each new stream before it grants more.
    pub window: u32,
    /// Streams that may be open at once.
    pub streams: u32,
}
