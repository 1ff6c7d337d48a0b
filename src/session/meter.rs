//! How fast something goes just now: a count that fades.

use std::time::Duration;

use proto::Instant;

/// What lies this far back counts for about a third.
const MEMORY: Duration = Duration::from_secs(2);

/// Bytes counted, in all and lately; `now` never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Meter {
    total: u64,
    /// Bytes, each faded by its age at `at`.
    lately: f64,
    at: Instant,
}

impl Meter {
    /// Counts `bytes` at `now`.
    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        self.total += bytes as u64;
        self.lately = self.faded(now) + bytes as f64;
        self.at = now;
    }

    /// All bytes so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes per second at `now`.
    pub(crate) fn rate(&self, now: Instant) -> u64 {
        (self.faded(now) / MEMORY.as_secs_f64()) as u64
    }

    fn faded(&self, now: Instant) -> f64 {
        let age = now.since(self.at).as_secs_f64();
        if age == 0.0 { self.lately } else { self.lately * (-age / MEMORY.as_secs_f64()).exp() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn a_steady_flow_is_shown_as_it_is_and_silence_as_nothing() {
        let mut meter = Meter::default();
        for millis in 0..20_000 {
            meter.add(at(millis), 500);
        }
        let rate = meter.rate(at(20_000));
        assert!((490_000..510_000).contains(&rate), "{rate}");
        assert_eq!(meter.rate(at(80_000)), 0);
        assert_eq!(meter.total(), 10_000_000);
    }
}
