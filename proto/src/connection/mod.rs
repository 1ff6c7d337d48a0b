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

use alloc::collections::VecDeque;

use crate::credit::Credit;
use crate::frame::{HEADER, Parser};
use crate::inflight::Inflight;
use crate::ring::Ring;
use crate::schedule::Schedule;
use crate::stream::{Half, Stream, Streams};
use crate::{Instant, Reason, Target, Violation};

mod config;
mod incoming;
mod outgoing;
mod vocabulary;

use config::MOST_STREAMS;
pub use config::{Config, Peer, Side};
pub use vocabulary::{Event, OpenError, Stats, StreamId, Transmit};

/// One session's protocol state; outlives links.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    /// What the peer allows, as it said on the first link.
    peer: Option<Peer>,
    streams: Streams,
    schedule: Schedule,
    /// Streams with control frames to write.
    pending: VecDeque<u32>,
    /// What the windows of all streams have grown by.
    grown: u64,
    ring: Ring,
    /// What the last `reserve` gave: a stream, and so many bytes.
    reserved: Option<(u32, usize)>,
    parser: Parser,
    link: Option<Link>,
    /// The code of the close frame that is to be written.
    close: Option<u16>,
    /// Nothing more is sent or received: what the peer did wrong, if that is why.
    ended: Option<Option<Violation>>,
}

/// What goes with one link.
#[derive(Debug)]
struct Link {
    inflight: Inflight,
    /// Link frames on their way: not numbered, so kept here.
    frames: [u8; LINK_FRAMES],
    filled: usize,
    written: usize,
    acknowledgement_due: bool,
    /// The pacing holds data back until then.
    paced_until: Option<Instant>,
}

/// Room for one acknowledgement.
const LINK_FRAMES: usize = HEADER + 16;

impl Connection {
    /// A new session without a link.
    pub fn new(config: Config) -> Self {
        Self {
            ring: Ring::new(config.ring_size()),
            peer: None,
            streams: Streams::default(),
            schedule: Schedule::new(),
            pending: VecDeque::new(),
            grown: 0,
            reserved: None,
            parser: Parser::new(),
            link: None,
            close: None,
            ended: None,
            config,
        }
    }

    // ---- the link ----

    /// A link is up and the greetings were exchanged: goes on where the peer's `received` says. An error
    /// ends the session. The limits that the peer named on the first link hold for the whole session.
    pub fn attach(&mut self, now: Instant, peer: Peer) -> Result<(), Violation> {
        self.detach();
        if let Err(violation) = self.ring.rewind(peer.received) {
            self.ended = Some(Some(violation));
            return Err(violation);
        }
        self.peer.get_or_insert(peer);
        self.link = Some(Link {
            inflight: Inflight::new(now, peer.received),
            frames: [0; LINK_FRAMES],
            filled: 0,
            written: 0,
            acknowledgement_due: false,
            paced_until: None,
        });
        Ok(())
    }

    /// The link is gone; what it may have lost is kept for the next one.
    pub fn detach(&mut self) {
        self.link = None;
        self.reserved = None;
        self.parser.forget_partial();
    }

    /// Session bytes received so far: what the greeting of a next link says.
    pub fn received(&self) -> u64 {
        self.parser.position()
    }

    /// When `handle_timeout` wants to be called, if nothing else happens before.
    pub fn timeout(&self) -> Option<Instant> {
        self.link.as_ref()?.paced_until
    }

    /// The time of `timeout` has come: `reserve` may give more now.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(link) = &mut self.link
            && link.paced_until.is_some_and(|until| until <= now)
        {
            link.paced_until = None;
        }
    }

    // ---- the streams ----

    /// Opens a stream (client only); data may be sent at once.
    pub fn open(&mut self, now: Instant, target: &Target) -> Result<StreamId, OpenError> {
        if self.ended.is_some() || self.close.is_some() || self.config.side == Side::Agent {
            return Err(OpenError::Closed);
        }
        let id = self.streams.vacant(self.stream_limit()).ok_or(OpenError::TooMany)?;
        let mut stream = Stream::new(now, self.config.window);
        stream.credit = self.initial_credit();
        stream.target = Some(target.clone());
        stream.pending.open = true;
        self.streams.insert(id, stream);
        self.queue_control(id);
        Ok(StreamId(id))
    }

    /// The connection to the target is up (agent only).
    pub fn accept(&mut self, stream: StreamId) {
        let side = self.config.side;
        if let Some(found) = self.known(stream)
            && side == Side::Agent
            && !found.accepted
            && !found.outgoing.has_ended()
        {
            found.accepted = true;
            found.pending.accept = true;
            self.queue_control(stream.0);
        }
    }

    /// The application has bytes to send.
    pub fn ready(&mut self, stream: StreamId) {
        if let Some(found) = self.known(stream) {
            found.ready = true;
            self.reschedule(stream.0);
        }
    }

    /// The application has no bytes to send for now (a read came back short or empty).
    pub fn unready(&mut self, stream: StreamId) {
        if let Some(found) = self.known(stream) {
            found.ready = false;
            self.reschedule(stream.0);
        }
    }

    /// The application sends no more.
    pub fn finish(&mut self, stream: StreamId) {
        let Some(found) = self.known(stream) else { return };
        if found.outgoing == Half::Open {
            found.outgoing = Half::Finished;
            found.pending.finish = true;
            found.settle();
            self.queue_control(stream.0);
            self.reschedule(stream.0);
            self.release(stream.0);
        }
    }

    /// The application is gone: nothing more in either direction.
    pub fn reset(&mut self, stream: StreamId, reason: Reason) {
        let Some(found) = self.known(stream) else { return };
        found.forgotten = true;
        found.outgoing = Half::Reset;
        found.pending.finish = false;
        found.pending.credit = false;
        if !found.released {
            found.pending.reset = Some(reason);
            self.queue_control(stream.0);
        }
        self.reschedule(stream.0);
        self.release(stream.0);
    }

    /// The application took this many bytes of what `Data` events brought.
    pub fn consumed(&mut self, now: Instant, stream: StreamId, count: usize) {
        let round_trip = self.link.as_ref().and_then(|link| link.inflight.latest_round_trip());
        let growth = u32::try_from(self.config.growth.saturating_sub(self.grown)).unwrap_or(u32::MAX);
        let Some(found) = self.streams.find(stream.0).filter(|found| !found.forgotten) else { return };
        let cap = self.config.window_cap.min(found.window.size().saturating_add(growth));
        self.grown += u64::from(found.window.consume(now, count, round_trip, cap));
        if found.incoming == Half::Open {
            if found.window.is_grant_due() {
                found.pending.credit = true;
                self.queue_control(stream.0);
            }
        } else {
            found.settle();
            self.release(stream.0);
        }
    }

    /// Ends the session on purpose: the peer is told with what `transmit` gives next.
    pub fn close(&mut self) {
        if self.ended.is_none() && self.close.is_none() {
            self.close = Some(0);
        }
    }

    /// Figures for people.
    pub fn stats(&self) -> Stats {
        let inflight = self.link.as_ref().map(|link| &link.inflight);
        let micros = |time: Option<core::time::Duration>| time.map_or(0, |time| time.as_micros() as u64);
        Stats {
            sent: self.ring.sent(),
            received: self.parser.position(),
            in_flight: self.ring.outstanding(),
            limit: inflight.map_or(0, Inflight::limit),
            round_trip: micros(inflight.and_then(Inflight::smallest_round_trip)),
            latest_round_trip: micros(inflight.and_then(Inflight::latest_round_trip)),
            rate: inflight.map_or(0, Inflight::rate),
            streams: self.streams.open(),
            opened: self.streams.opened(),
        }
    }

    /// Bytes on the heap; what applications have not consumed yet is their driver's.
    pub fn memory(&self) -> usize {
        let link = self.link.as_ref().map_or(0, |link| link.inflight.memory());
        let queue = self.pending.capacity() * size_of::<u32>();
        self.ring.memory() + self.streams.memory() + self.schedule.memory() + queue + link
    }

    // ---- shared by both directions ----

    /// A stream that the driver still knows.
    fn known(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.streams.find(stream.0).filter(|found| !found.forgotten)
    }

    fn stream_limit(&self) -> u32 {
        let peer = self.peer.map_or(0, |peer| peer.streams);
        self.config.streams.min(peer).min(MOST_STREAMS)
    }

    fn initial_credit(&self) -> Credit {
        Credit::initial(self.peer.map_or(0, |peer| peer.window))
    }

    fn quantum(&self) -> i32 {
        let quantum = self.link.as_ref().map_or(1 << 12, |link| link.inflight.quantum());
        i32::try_from(quantum).unwrap_or(i32::MAX)
    }

    /// Keeps the schedule in step with what the stream may and wants to do.
    fn reschedule(&mut self, id: u32) {
        let quantum = self.quantum();
        match self.streams.find(id) {
            Some(stream) if stream.is_active() => self.schedule.activate(id, quantum),
            _ => self.schedule.deactivate(id),
        }
    }

    /// Has the stream's pending control frames written with the next opportunity.
    fn queue_control(&mut self, id: u32) {
        if let Some(stream) = self.streams.find(id)
            && !stream.pending.queued
        {
            stream.pending.queued = true;
            self.pending.push_back(id);
        }
    }

    /// Lets go of a stream that both ends are done with: the agent says so, the client waits for that.
    fn release(&mut self, id: u32) {
        let Some(stream) = self.streams.find(id) else { return };
        if !stream.forgotten {
            return;
        }
        match self.config.side {
            Side::Agent => {
                if stream.outgoing.has_ended() && stream.incoming.has_ended() {
                    stream.pending.release = true;
                    self.queue_control(id);
                }
            }
            Side::Client => {
                // One that still stands in the queue goes when its turn comes: at most one entry per stream.
                if stream.released && !stream.pending.queued {
                    self.forget(id, true);
                }
            }
        }
    }

    fn forget(&mut self, id: u32, reuse: bool) {
        self.schedule.deactivate(id);
        if let Some(stream) = self.streams.remove(id, reuse) {
            self.grown -= u64::from(stream.window.size() - self.config.window);
        }
    }
}
