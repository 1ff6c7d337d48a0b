//! A script of operations, run on a pair: what must hold after each step, and at the end.
//!
//! Properties draw scripts at random, the fuzz target `operations` by coverage.

use std::time::Duration;

use arbitrary::Arbitrary;
use shuttle_proto::frame::HEADER;
use shuttle_proto::{OpenError, StreamId};

use super::endpoint::{Application, Endpoint};
use super::{Pair, Pipe, Wire};

/// Streams that may be open at once: few, so that numbers are used again soon.
const STREAMS: u32 = 6;
const WINDOW: u32 = 3000;
/// By how much all windows together may grow.
const GROWTH: u64 = 20_000;
/// Longer than any script needs to move all its bytes.
const HANG: Duration = Duration::from_secs(3600);

/// Which end acts.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum End {
    Client,
    Agent,
}

/// One step; `stream` picks one of those that are open.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Operation {
    /// The client opens a stream; the applications behind it have so much to send.
    Open { up: u16, down: u16, finish: bool },
    /// The application has more to send.
    Offer { by: End, stream: u8, count: u16 },
    /// The application sends no more.
    Finish { by: End, stream: u8 },
    /// The application goes away.
    Reset { by: End, stream: u8 },
    /// The application stops reading.
    Stall { by: End, stream: u8 },
    /// The application reads again.
    Read { by: End, stream: u8 },
    /// Time passes.
    Wait { micros: u16 },
    /// The link is lost.
    Cut,
    /// A new link is there.
    Connect,
    /// From now on the link brings pieces of at most this size.
    Segment { size: u8 },
    /// A frame that the other end never made reaches `to`; it need not be a valid one.
    Inject { to: End, kind: u8, stream: u8, length: u8, value: u64 },
}

/// The link and the steps.
#[derive(Clone, Debug, Arbitrary)]
pub struct Script {
    /// The link's rate, as a power of two in kB/s.
    pub rate: u8,
    /// Its delay in units of 256 µs.
    pub delay: u8,
    /// Its buffer, as a power of two.
    pub buffer: u8,
    pub operations: Vec<Operation>,
}

impl Script {
    /// Runs all operations, then, unless a peer was hostile, lets everything end in order.
    pub fn run(&self) {
        let mut pair = self.pair();
        let is_honest =
            !self.operations.iter().any(|operation| matches!(operation, Operation::Inject { .. }));
        if !is_honest {
            pair.client.trusts_peer = false;
            pair.agent.trusts_peer = false;
        }
        for operation in &self.operations {
            apply(&mut pair, operation);
            assert_bounds(&pair);
        }
        if is_honest {
            end_in_order(&mut pair);
            assert_complete(&pair);
            assert_every_number_is_free(&mut pair);
        } else {
            pair.run_for(Duration::from_secs(5));
            assert_bounds(&pair);
        }
    }

    fn pair(&self) -> Pair {
        let wire = Wire {
            rate: 1000 << (self.rate % 18),
            delay: Duration::from_micros(256 * u64::from(self.delay)),
            buffer: 16 << (self.buffer % 14),
        };
        Pair::with(wire, wire, |config| {
            config.ring = 1 << 15;
            config.window = WINDOW;
            config.window_cap = 8 * WINDOW;
            config.growth = GROWTH;
            config.streams = STREAMS;
        })
    }
}

fn apply(pair: &mut Pair, operation: &Operation) {
    let now = pair.now;
    match *operation {
        Operation::Open { up, down, finish } => {
            pair.agent.template = Application { to_send: down.into(), finish, ..Application::default() };
            let application = Application { to_send: up.into(), finish, ..Application::default() };
            match pair.client.try_open(now, application) {
                Ok(_) => {}
                Err(OpenError::TooMany) => assert_eq!(pair.client.connection.stats().streams, STREAMS),
                Err(OpenError::Closed) => assert!(pair.client.has_ended()),
            }
        }
        Operation::Offer { by, stream, count } => {
            let end = end(pair, by);
            if let Some(stream) = pick(end, stream)
                && !end.streams[&stream].has_finished
            {
                end.offer(stream, count.into());
            }
        }
        Operation::Finish { by, stream } => {
            let end = end(pair, by);
            if let Some(stream) = pick(end, stream) {
                end.finish(stream);
            }
        }
        Operation::Reset { by, stream } => {
            let end = end(pair, by);
            if let Some(stream) = pick(end, stream) {
                end.reset(stream);
            }
        }
        Operation::Stall { by, stream } => {
            let end = end(pair, by);
            if let Some(application) = pick(end, stream).and_then(|stream| end.streams.get_mut(&stream)) {
                application.stalled = true;
            }
        }
        Operation::Read { by, stream } => {
            let end = end(pair, by);
            if let Some(stream) = pick(end, stream) {
                end.resume_reading(now, stream);
            }
        }
        Operation::Wait { micros } => pair.run_for(Duration::from_micros(8 * u64::from(micros))),
        Operation::Cut => pair.cut(),
        Operation::Connect => pair.reconnect(),
        Operation::Segment { size } => {
            pair.up.segment = usize::from(size).max(1);
            pair.down.segment = usize::from(size).max(1);
        }
        Operation::Inject { .. } if !pair.is_connected() => {}
        Operation::Inject { to, kind, stream, length, value } => {
            let pipe = match to {
                End::Client => &mut pair.down,
                End::Agent => &mut pair.up,
            };
            inject(pipe, now, kind, stream, length, value);
        }
    }
}

fn end(pair: &mut Pair, by: End) -> &mut Endpoint {
    match by {
        End::Client => &mut pair.client,
        End::Agent => &mut pair.agent,
    }
}

fn pick(end: &Endpoint, number: u8) -> Option<StreamId> {
    let count = end.streams.len().max(1);
    end.streams.keys().nth(usize::from(number) % count).copied()
}

/// Most often a well-formed header of a known kind, so that not all end at the parser.
fn inject(pipe: &mut Pipe, now: shuttle_proto::Instant, kind: u8, stream: u8, length: u8, value: u64) {
    let usual = [0, 0, 16, 4, 0, 2, 0, 2];
    let (kind, length) = match kind {
        0..=9 => (kind, length),
        10..=119 => (1 + kind % 8, usual.get(usize::from(kind % 8)).copied().unwrap_or(length)),
        120..=199 => (0x80, 16),
        _ => (kind, length),
    };
    let mut frame = vec![kind, 0, 0, stream % 8, 0, length];
    frame.extend(value.to_be_bytes().iter().cycle().take(length.into()));
    debug_assert_eq!(frame.len(), HEADER + usize::from(length));
    pipe.push(now, &frame);
}

/// What no peer can make untrue.
fn assert_bounds(pair: &Pair) {
    for end in [&pair.client, &pair.agent] {
        let memory = end.connection.memory();
        assert!(memory <= end.config.memory_bound(), "{memory} bytes");
        let unread: u64 = end.streams.values().map(|stream| stream.unread).sum();
        assert!(unread <= u64::from(STREAMS * WINDOW) + GROWTH, "{unread} bytes unread");
        let stats = end.connection.stats();
        assert!(stats.streams <= STREAMS && stats.in_flight <= end.config.ring as u64);
    }
}

fn end_in_order(pair: &mut Pair) {
    pair.reconnect();
    // Some agents' streams do not exist before the first pass.
    for _ in 0..2 {
        pair.agent.template.finish = true;
        for by in [End::Client, End::Agent] {
            let now = pair.now;
            let end = end(pair, by);
            for stream in end.streams.keys().copied().collect::<Vec<_>>() {
                end.resume_reading(now, stream);
                end.finish_when_sent(stream);
            }
        }
        pair.run_until_quiet(HANG);
    }
}

/// Nothing was lost or repeated, and both ends agree that everything is over.
fn assert_complete(pair: &Pair) {
    for end in [&pair.client, &pair.agent] {
        assert!(end.streams.is_empty(), "left: {:?}", end.streams);
        assert_eq!(end.connection.stats().streams, 0);
    }
    assert_eq!(pair.client.ended.len(), pair.agent.ended.len());
    for client in &pair.client.ended {
        let agent =
            pair.agent.ended.iter().find(|agent| agent.serial == client.serial).expect("its other end");
        assert!(client.received <= agent.sent && agent.received <= client.sent);
        if !client.was_reset && !agent.was_reset {
            assert_eq!((client.received, agent.received), (agent.sent, client.sent));
            assert!(client.finished && agent.finished && client.accepted);
        }
    }
}

fn assert_every_number_is_free(pair: &mut Pair) {
    let opened: Vec<_> = (0..STREAMS).map(|_| pair.client.open(pair.now, Application::default())).collect();
    let one_more = pair.client.try_open(pair.now, Application::default());
    assert_eq!(one_more, Err(OpenError::TooMany));
    for stream in opened {
        pair.client.reset(stream);
    }
    pair.run_until_quiet(HANG);
    assert_complete(pair);
}
