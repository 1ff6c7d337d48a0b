//! What a connection and its driver say to each other.

use crate::{Reason, Target, Violation};

/// Names a stream; dense from 0, the same on both ends, used again after the stream's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The number, good as an index into the driver's own table; below [`Config::streams`](super::Config::streams).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the peer did; data borrows the bytes that were handed in.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The client opened a stream (agent only); answer with `accept` or `reset`. Data may follow at once.
    Opened {
        /// The new stream.
        stream: StreamId,
        /// Where to.
        target: Target,
    },
    /// The agent's connection is up (client only).
    Accepted {
        /// The stream that was opened before.
        stream: StreamId,
    },
    /// Bytes for the application; more than one event may carry one frame's.
    Data {
        /// The stream that they belong to.
        stream: StreamId,
        /// A part of what was handed in.
        bytes: &'a [u8],
    },
    /// The peer sends no more on this stream.
    Finished {
        /// The half-closed stream.
        stream: StreamId,
    },
    /// The stream is over, at once; what is not delivered yet must not be.
    Reset {
        /// The stream that is gone.
        stream: StreamId,
        /// Why.
        reason: Reason,
    },
    /// The peer ended the session: on purpose, or because of what it says that we did wrong.
    Closed {
        /// `None`: on purpose.
        violation: Option<Violation>,
    },
}

/// Why a stream cannot be opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// As many streams as the two ends allow are open; none are before the first link, which tells.
    TooMany,
    /// The session has ended.
    Closed,
}

/// What to write to the link, in order: some slices may be empty.
pub type Transmit<'a> = [&'a [u8]; 3];

/// Figures for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Session bytes handed to links, without repetitions.
    pub sent: u64,
    /// Session bytes received.
    pub received: u64,
    /// Committed to be sent, and not acknowledged.
    pub in_flight: u64,
    /// The most that may be in flight now.
    pub limit: u64,
    /// Smallest round trip lately, in microseconds; zero while unknown.
    pub round_trip: u64,
    /// Latest round trip, in microseconds; zero while unknown.
    pub latest_round_trip: u64,
    /// Delivery rate, in bytes per second; zero while unknown.
    pub rate: u64,
    /// Streams open now.
    pub streams: u32,
    /// Streams opened so far.
    pub opened: u64,
}
