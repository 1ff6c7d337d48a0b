//! The state machine of one session: what a driver talks to.
//!
//! # Calling order
//!
//! A driver owns one link (a byte pipe) and the applications' sockets. In each turn it
//! 1. hands in what the link brought: [`Connection::handle`] until it has taken every byte, and acts
//!    on each [`Event`]; bytes that an application took are reported with [`Connection::consumed`];
//! 2. marks each stream whose application has something to send with [`Connection::ready`];
//! 3. fills the ring: while [`Connection::reserve`] names a stream and a buffer, reads that stream's
//!    socket into the buffer and says how much it was with [`Connection::commit`] (zero: nothing
//!    now, the stream is no longer ready), or calls [`Connection::finish`] at its end, or
//!    [`Connection::reset`] on its error;
//! 4. writes [`Connection::transmit`]'s slices to the link and says how much the link took with
//!    [`Connection::transmitted`]; goes on with 3 while the link takes everything;
//! 5. sleeps until a socket or the link is ready, or [`Connection::timeout`] has come, and then calls
//!    [`Connection::handle_timeout`].
//!
//! # Life of a stream
//!
//! Only the client opens. A [`StreamId`] is a small dense number (good as a table index), chosen by
//! the client and the same on both ends. The driver must forget an id, and its socket, at the first of:
//! it called [`Connection::reset`]; it was given [`Event::Reset`]; it has called
//! [`Connection::finish`], has seen [`Event::Finished`] and has reported all data as consumed.
//! From then on the id may come back as a new stream.

use crate::{Instant, Reason, Target, Violation};

/// Names a stream; dense from 0, the same on both ends, used again after the stream's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The number, good as an index into the driver's own table; below [`Config::streams`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Opens streams.
    Client,
    /// Accepts streams.
    Agent,
}

/// What the owner of a [`Connection`] decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which end this is.
    pub side: Side,
    /// Bytes of the send ring: the most that is kept unacknowledged; a power of two.
    pub ring: usize,
    /// Bytes that the peer may send on each new stream before it is granted more.
    pub window: u32,
    /// Bytes that a stream's window may grow to.
    pub window_cap: u32,
    /// Streams that may be open at once.
    pub streams: u32,
}

impl Config {
    /// What both ends use unless told otherwise.
    pub const fn new(side: Side) -> Self {
        Self { side, ring: 4 << 20, window: 64 << 10, window_cap: 4 << 20, streams: 65_536 }
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
    /// As many streams as the two ends allow are open.
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
    /// Sent and not acknowledged.
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

/// One session's protocol state; outlives links.
#[derive(Debug)]
pub struct Connection {}

#[allow(missing_docs, unused_variables, clippy::todo)]
impl Connection {
    /// A new session without a link.
    pub fn new(config: Config) -> Self {
        todo!()
    }

    // ---- the link ----

    /// A link is up and the greetings were exchanged: goes on where the peer's `received` says.
    pub fn attach(&mut self, now: Instant, peer: Peer) -> Result<(), Violation> {
        todo!()
    }

    /// The link is gone; what it may have lost is kept for the next one.
    pub fn detach(&mut self, now: Instant) {
        todo!()
    }

    /// Session bytes received so far: what the greeting of a next link says.
    pub fn received(&self) -> u64 {
        todo!()
    }

    /// Takes some bytes from the link: how many, and what they mean. Call it again with the rest
    /// until it has taken all. An error ends the session: write what `transmit` still gives, then stop.
    pub fn handle<'a>(
        &mut self,
        now: Instant,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<Event<'a>>), Violation> {
        todo!()
    }

    /// What the link should be given next; `transmitted` moves on.
    pub fn transmit(&mut self, now: Instant) -> Transmit<'_> {
        todo!()
    }

    /// The link took this many bytes of what `transmit` gave.
    pub fn transmitted(&mut self, now: Instant, count: usize) {
        todo!()
    }

    /// When `handle_timeout` wants to be called, if nothing else happens before.
    pub fn timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The time of `timeout` has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    // ---- the streams ----

    /// Opens a stream (client only); data may be sent at once.
    pub fn open(&mut self, now: Instant, target: &Target) -> Result<StreamId, OpenError> {
        todo!()
    }

    /// The connection to the target is up (agent only).
    pub fn accept(&mut self, stream: StreamId) {
        todo!()
    }

    /// The application has bytes to send.
    pub fn ready(&mut self, stream: StreamId) {
        todo!()
    }

    /// The stream whose turn it is and room for its bytes; `None` when nobody may or wants to send now.
    pub fn reserve(&mut self, now: Instant) -> Option<(StreamId, &mut [u8])> {
        todo!()
    }

    /// The buffer of the last `reserve` holds this many bytes to send. Zero: the stream is not ready any more.
    pub fn commit(&mut self, now: Instant, stream: StreamId, count: usize) {
        todo!()
    }

    /// The application has no bytes to send for now (a read came back short or empty).
    pub fn unready(&mut self, stream: StreamId) {
        todo!()
    }

    /// The application sends no more.
    pub fn finish(&mut self, stream: StreamId) {
        todo!()
    }

    /// The application is gone: nothing more in either direction.
    pub fn reset(&mut self, stream: StreamId, reason: Reason) {
        todo!()
    }

    /// The application took this many bytes of what `Data` events brought.
    pub fn consumed(&mut self, now: Instant, stream: StreamId, count: usize) {
        todo!()
    }

    /// Ends the session on purpose: the peer is told with what `transmit` gives next.
    pub fn close(&mut self) {
        todo!()
    }

    /// Figures for people.
    pub fn stats(&self, now: Instant) -> Stats {
        todo!()
    }
}
