//! One direction of a virtual link: a rate, a delay, and a bounded buffer that refuses like a full pipe.

use std::collections::VecDeque;
use std::time::Duration;

use shuttle_proto::Instant;

/// What one direction is like.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Bytes per second.
    pub rate: u64,
    /// From the end of sending to arrival.
    pub delay: Duration,
    /// Bytes that wait for the wire before it refuses more.
    pub buffer: usize,
}

impl Wire {
    pub fn new(megabits: f64, delay: Duration, buffer: usize) -> Self {
        Self { rate: (megabits * 125_000.0) as u64, delay, buffer }
    }
}

pub struct Pipe {
    pub wire: Wire,
    /// When the last byte accepted so far has left, in nanoseconds: small pieces must not cost more.
    busy_until: u64,
    /// Pieces with their times of leaving and of arrival.
    pieces: VecDeque<(Instant, Instant, Vec<u8>)>,
    refused: bool,
    /// Bytes taken so far.
    pub taken: u64,
    /// What arrives comes in pieces of at most this size; no large write arrives all at its end.
    pub segment: usize,
}

impl Pipe {
    pub fn new(wire: Wire) -> Self {
        Self { wire, busy_until: 0, pieces: VecDeque::new(), refused: false, taken: 0, segment: 1400 }
    }

    /// Bytes that wait for the wire.
    pub fn queued(&self, now: Instant) -> usize {
        (self.busy_until.saturating_sub(now.micros() * 1000) * self.wire.rate / 1_000_000_000) as usize
    }

    /// Takes a part of `bytes`, as a nonblocking write does.
    pub fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let room = self.wire.buffer.saturating_sub(self.queued(now));
        // As a pipe or socket: it asks for more only once a good part is free.
        let room = if self.refused && room < self.low_water() { 0 } else { room };
        let count = room.min(bytes.len());
        self.refused = count < bytes.len();
        self.push(now, &bytes[..count]);
        count
    }

    /// Puts bytes on the wire, whether it has room or not.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) {
        for piece in bytes.chunks(self.segment) {
            let nanos = piece.len() as u64 * 1_000_000_000 / self.wire.rate;
            self.busy_until = self.busy_until.max(now.micros() * 1000) + nanos;
            let leaving = Instant::from_micros(self.busy_until.div_ceil(1000));
            self.pieces.push_back((leaving, leaving + self.wire.delay, piece.to_vec()));
        }
        self.taken += bytes.len() as u64;
    }

    pub fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        let due = self.pieces.front().is_some_and(|&(_, arrival, _)| arrival <= now);
        due.then(|| self.pieces.pop_front()).flatten().map(|(_, _, bytes)| bytes)
    }

    pub fn cut(&mut self) {
        self.pieces.clear();
        self.busy_until = 0;
        self.refused = false;
    }

    /// The next arrival, or the next moment at which a refused writer finds room.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let arrival = self.pieces.front().map(|&(_, arrival, _)| arrival);
        let over = (self.queued(now) + self.low_water()).saturating_sub(self.wire.buffer) as u64;
        let room = now + Duration::from_micros(over * 1_000_000 / self.wire.rate + 1);
        arrival.into_iter().chain(self.refused.then_some(room)).min()
    }

    fn low_water(&self) -> usize {
        (self.wire.buffer / 2).min(4096)
    }
}
