//! How much may be under way, from delivery rate and round trip: full rate and a short queue at once.
//!
//! Today's law follows BBR (draft-ietf-ccwg-bbr) in its outline: a windowed maximum of the delivery rate
//! and a windowed minimum of the round trip give the link's own content; sending is paced at the rate, a
//! little more is probed for in turns, and what is in flight is bounded. What it is fed and what it
//! answers stays; how it decides is expected to be tuned.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::time::Instant;

/// May be in flight before anything is known of the link.
const INITIAL_LIMIT: u64 = 64 << 10;
/// The first frames' size, and the bounds of later ones'.
const INITIAL_QUANTUM: u64 = 4 << 10;
const QUANTUM: core::ops::RangeInclusive<u64> = 512..=60 << 10;
/// A frame is about this much of the rate.
const QUANTUM_MICROS: u64 = 2_000;
/// What timers and process switches cost: that much more than the link's own content may be in flight.
const SLACK_MICROS: u64 = 4_000;
/// A smallest round trip older than this is measured anew.
const ROUND_TRIP_AGE: Duration = Duration::from_secs(10);
/// The shortest time that one slot of the rate's maximum stands for; rounds are longer on long links.
const SLOT: Duration = Duration::from_millis(25);
/// Records of what was sent when; beyond it, the newest grow longer.
const MAX_RECORDS: usize = 4096;

/// Gains in percent.
const STARTUP_GAIN: u64 = 289;
const DRAIN_GAIN: u64 = 35;
const CRUISE_GAINS: [u64; 8] = [125, 75, 100, 100, 100, 100, 100, 100];
const LIMIT_GAIN: u64 = 200;
/// While more is in flight than the link and half the slack hold, a queue stands: let it drain.
const STANDING_QUEUE_GAIN: u64 = 85;

/// What was known when bytes were handed to the link.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The position after the last byte.
    end: u64,
    sent: Instant,
    /// When the bytes that were acknowledged last by then had been sent.
    previous_sent: Instant,
    delivered: u64,
    delivered_at: Instant,
    /// The application, not the law, was the limit.
    application_limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Double each round until the rate stands still.
    Startup {
        best: u64,
        flat_rounds: u32,
    },
    /// Get rid of the queue that the start made.
    Drain,
    Cruise {
        turn: usize,
        since: Instant,
    },
}

/// The law, for one direction of one link.
#[derive(Debug)]
pub struct Inflight {
    phase: Phase,
    records: VecDeque<Record>,
    delivered: u64,
    delivered_at: Instant,
    last_acknowledged_sent: Instant,
    /// The round is over when this position is acknowledged.
    round_end: u64,
    slots: [u64; 10],
    slot: usize,
    slot_since: Instant,
    /// The application was the limit for what lies before this position.
    application_limited_until: u64,
    smallest_round_trip: Option<Duration>,
    smallest_at: Instant,
    latest_round_trip: Option<Duration>,
    /// Bytes that may be sent now by the pacing; negative while it must wait.
    tokens: i64,
    tokens_at: Instant,
}

impl Inflight {
    /// The most bytes on the heap.
    pub(crate) const MOST_MEMORY: usize = MAX_RECORDS * size_of::<Record>();

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
    }

    /// A fresh law for a link that goes on at `position`.
    pub(crate) fn new(now: Instant, position: u64) -> Self {
        Self {
            phase: Phase::Startup { best: 0, flat_rounds: 0 },
            records: VecDeque::new(),
            delivered: position,
            delivered_at: now,
            last_acknowledged_sent: now,
            round_end: position,
            slots: [0; 10],
            slot: 0,
            slot_since: now,
            application_limited_until: position,
            smallest_round_trip: None,
            smallest_at: now,
            latest_round_trip: None,
            tokens: 0,
            tokens_at: now,
        }
    }

    // ---- what it is told ----

    /// The link took everything before `end`.
    pub(crate) fn on_sent(&mut self, now: Instant, end: u64) {
        if self.records.is_empty() {
            // Idle time is no delivery time.
            (self.delivered_at, self.last_acknowledged_sent) = (now, now);
        }
        if self.records.len() >= MAX_RECORDS
            && let Some(last) = self.records.back_mut()
        {
            last.end = end;
            return;
        }
        self.records.push_back(Record {
            end,
            sent: now,
            previous_sent: self.last_acknowledged_sent,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            application_limited: end <= self.application_limited_until,
        });
    }

    /// Data was committed: the pacing counts it.
    pub(crate) fn on_commit(&mut self, count: usize) {
        self.tokens -= i64::try_from(count).unwrap_or(i64::MAX);
    }

    /// Nobody had anything to send, with `outstanding` bytes on the way until `committed`.
    pub(crate) fn on_application_limited(&mut self, committed: u64, outstanding: u64) {
        if outstanding < self.limit() {
            // The mark covers what is under way and the next frame.
            self.application_limited_until = committed + 1;
        }
    }

    /// The peer acknowledged everything before `position`, after holding the acknowledgement back.
    pub(crate) fn on_acknowledged(&mut self, now: Instant, position: u64, held: Duration, outstanding: u64) {
        let mut newest = None;
        while self.records.front().is_some_and(|record| record.end <= position) {
            newest = self.records.pop_front();
        }
        self.delivered = position;
        self.delivered_at = now;
        let Some(record) = newest else { return };
        self.last_acknowledged_sent = record.sent;

        let round_trip = now.since(record.sent).saturating_sub(held).max(Duration::from_micros(1));
        self.latest_round_trip = Some(round_trip);
        if self.smallest_round_trip.is_none_or(|smallest| round_trip <= smallest)
            || now.since(self.smallest_at) > ROUND_TRIP_AGE
        {
            (self.smallest_round_trip, self.smallest_at) = (Some(round_trip), now);
        }

        let elapsed = now.since(record.delivered_at).max(record.sent.since(record.previous_sent));
        let rate = per_second(position - record.delivered, elapsed.max(round_trip));
        if !record.application_limited || rate > self.rate() {
            self.slots[self.slot] = self.slots[self.slot].max(rate);
        }
        if record.delivered >= self.round_end {
            self.round_end = position;
            self.end_round(now, record.application_limited);
        }
        self.change_phase(now, outstanding);
    }

    fn end_round(&mut self, now: Instant, application_limited: bool) {
        if application_limited {
            return;
        }
        if now.since(self.slot_since) >= SLOT {
            self.slot = (self.slot + 1) % self.slots.len();
            self.slots[self.slot] = 0;
            self.slot_since = now;
        }
        let rate = self.rate();
        if let Phase::Startup { best, flat_rounds } = &mut self.phase {
            if rate >= *best + *best / 4 {
                (*best, *flat_rounds) = (rate, 0);
            } else {
                *flat_rounds += 1;
                if *flat_rounds == 3 {
                    self.phase = Phase::Drain;
                }
            }
        }
    }

    fn change_phase(&mut self, now: Instant, outstanding: u64) {
        match self.phase {
            Phase::Startup { .. } => {}
            Phase::Drain => {
                if outstanding <= self.content(0) {
                    self.phase = Phase::Cruise { turn: 2, since: now };
                }
            }
            Phase::Cruise { turn, since } => {
                let round_trip = self.smallest_round_trip.unwrap_or_default();
                let drained = CRUISE_GAINS[turn] < 100 && outstanding <= self.content(0);
                if now.since(since) >= round_trip.max(Duration::from_millis(1)) || drained {
                    self.phase = Phase::Cruise { turn: (turn + 1) % CRUISE_GAINS.len(), since: now };
                }
            }
        }
    }

    // ---- what it answers ----

    /// Delivery rate in bytes per second; zero while unknown.
    pub(crate) fn rate(&self) -> u64 {
        self.slots.iter().copied().max().unwrap_or(0)
    }

    /// Smallest round trip lately.
    pub(crate) const fn smallest_round_trip(&self) -> Option<Duration> {
        self.smallest_round_trip
    }

    /// Latest round trip.
    pub(crate) const fn latest_round_trip(&self) -> Option<Duration> {
        self.latest_round_trip
    }

    /// Bytes that may be committed and unacknowledged at most.
    pub(crate) fn limit(&self) -> u64 {
        let gain = if matches!(self.phase, Phase::Startup { .. }) { STARTUP_GAIN } else { LIMIT_GAIN };
        let least = if self.is_unmeasured() { INITIAL_LIMIT } else { 4 * self.quantum() };
        (self.content(0) * gain / 100 + self.content(SLACK_MICROS) - self.content(0)).max(least)
    }

    /// Bytes of one frame, and of one turn of a stream.
    pub(crate) fn quantum(&self) -> u64 {
        let least = if self.is_unmeasured() { INITIAL_QUANTUM } else { *QUANTUM.start() };
        (self.rate() * QUANTUM_MICROS / 1_000_000).clamp(least, *QUANTUM.end())
    }

    /// Bytes that may wait for the link to take them: few, so that nothing new waits long behind them.
    pub(crate) fn unsent_limit(&self) -> u64 {
        (self.rate() * QUANTUM_MICROS / 1_000_000).clamp(self.quantum(), 256 << 10)
    }

    /// When the pacing allows the next frame; in the past when it does now.
    pub(crate) fn next_send(&mut self, now: Instant, outstanding: u64) -> Instant {
        let Some(rate) = self.pacing_rate(outstanding) else {
            (self.tokens, self.tokens_at) = (0, now);
            return now;
        };
        let passed = now.since(self.tokens_at).as_micros() as u64;
        self.tokens_at = now;
        let burst =
            i64::try_from(rate * SLACK_MICROS / 1_000_000).unwrap_or(i64::MAX).max(self.quantum() as i64);
        let earned = u128::from(rate) * u128::from(passed) / 1_000_000;
        self.tokens = self.tokens.saturating_add(i64::try_from(earned).unwrap_or(i64::MAX)).min(burst);
        if self.tokens > 0 {
            return now;
        }
        let missing = self.tokens.unsigned_abs() + 1;
        now + Duration::from_micros(missing * 1_000_000 / rate + 1)
    }

    fn pacing_rate(&self, outstanding: u64) -> Option<u64> {
        let gain = match self.phase {
            _ if self.is_unmeasured() => return None,
            Phase::Startup { .. } => STARTUP_GAIN,
            Phase::Drain => DRAIN_GAIN,
            Phase::Cruise { .. } if outstanding > self.content(SLACK_MICROS / 2) => STANDING_QUEUE_GAIN,
            Phase::Cruise { turn, .. } => CRUISE_GAINS[turn],
        };
        let rate = self.rate() * gain / 100;
        (rate > 0).then_some(rate)
    }

    /// Whether the applications have been the limit so far: their rate says nothing of the link's.
    const fn is_unmeasured(&self) -> bool {
        matches!(self.phase, Phase::Startup { best: 0, .. })
    }

    /// What the link itself holds at this rate, and for so much longer.
    fn content(&self, more_micros: u64) -> u64 {
        let round_trip = self.smallest_round_trip.unwrap_or_default().as_micros() as u64;
        let bytes = u128::from(self.rate()) * u128::from(round_trip + more_micros) / 1_000_000;
        // Far beyond any link, and still to be multiplied by a gain.
        u64::try_from(bytes).unwrap_or(u64::MAX).min(u64::MAX / 1000)
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let micros = time.as_micros().max(1);
    // Above 1 TB/s it is the clock that is too coarse.
    u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX).min(1 << 40)
}
