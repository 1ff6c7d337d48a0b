//! One direction of a wide-area line as a pure queue: when does each piece of data come out, and which never does.

use std::collections::VecDeque;
use std::time::Duration;

use super::Wan;

/// What became of everything that was put on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams that came out at the far end.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Lost at random, as `Wan::loss` says.
    pub lost: u64,
    /// Found the buffer full.
    pub overflowed: u64,
    /// Entered, or were on the way, while the line was cut.
    pub cut: u64,
}

/// A buffer that empties at the line's rate, then a stretch of delay. `now` is the time since any fixed instant.
#[derive(Debug)]
pub(super) struct Line {
    wan: Wan,
    is_cut: bool,
    random: u64,
    /// When the last datagram accepted will have left the buffer.
    free_at: Duration,
    on_the_way: VecDeque<(Duration, Vec<u8>)>,
    counts: Counts,
}

impl Line {
    pub fn new(wan: Wan) -> Self {
        Self {
            wan,
            is_cut: false,
            random: wan.seed,
            free_at: Duration::ZERO,
            on_the_way: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Puts a datagram on the line, or loses it.
    pub fn enter(&mut self, now: Duration, datagram: Vec<u8>) {
        if self.is_cut {
            self.counts.cut += 1;
            return;
        }
        if self.draw() < self.wan.loss {
            self.counts.lost += 1;
            return;
        }
        let starts = self.free_at.max(now);
        let waiting = self.wan.bytes_in(starts - now);
        if waiting + datagram.len() as u64 > self.wan.buffer && waiting > 0 {
            self.counts.overflowed += 1;
            return;
        }
        self.free_at = starts + self.wan.time_for(datagram.len());
        // After the delay was lowered nothing may overtake what is on the way already.
        let arrives = self.free_at + self.wan.delay;
        let last = self.on_the_way.back().map_or(arrives, |(last, _)| *last);
        self.on_the_way.push_back((arrives.max(last), datagram));
    }

    /// The next datagram that has arrived by `now`.
    pub fn leave(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.on_the_way.front().filter(|(arrives, _)| *arrives <= now)?;
        let (_, datagram) = self.on_the_way.pop_front()?;
        self.counts.delivered += 1;
        self.counts.delivered_bytes += datagram.len() as u64;
        Some(datagram)
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.on_the_way.front().map(|(arrives, _)| *arrives)
    }

    /// Loses everything on the way and everything that enters, until mended.
    pub fn cut(&mut self) {
        self.is_cut = true;
        self.counts.cut += self.on_the_way.len() as u64;
        self.on_the_way.clear();
        self.free_at = Duration::ZERO;
    }

    pub fn mend(&mut self) {
        self.is_cut = false;
    }

    /// New conditions for what enters from now on; the course of the losses starts anew from the seed.
    pub fn set(&mut self, wan: Wan) {
        self.wan = wan;
        self.random = wan.seed;
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// SplitMix64, as a number from 0 (included) to 1 (not included).
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// 8 Mbit/s: a datagram of 1,000 bytes takes 1 ms.
    fn wan() -> Wan {
        Wan { delay: 20 * MS, rate: Some(8_000_000), buffer: 10_000, ..Wan::default() }
    }

    fn datagram() -> Vec<u8> {
        vec![0; 1000]
    }

    #[test]
    fn a_datagram_takes_its_time_at_the_rate_and_then_the_delay() {
        let mut line = Line::new(wan());
        line.enter(5 * MS, datagram());
        line.enter(5 * MS, datagram());
        assert_eq!(line.next_arrival(), Some(26 * MS));
        assert_eq!(line.leave(26 * MS - Duration::from_nanos(1)), None);
        assert!(line.leave(26 * MS).is_some());
        assert_eq!(line.next_arrival(), Some(27 * MS), "the second waits for the first");
    }

    #[test]
    fn what_exceeds_the_buffer_is_dropped_and_room_comes_back_at_the_rate() {
        let mut line = Line::new(wan());
        for _ in 0..15 {
            line.enter(Duration::ZERO, datagram());
        }
        assert_eq!((line.on_the_way.len(), line.counts().overflowed), (10, 5));
        line.enter(3 * MS, datagram());
        line.enter(3 * MS, datagram());
        line.enter(3 * MS, datagram());
        line.enter(3 * MS, datagram());
        assert_eq!((line.on_the_way.len(), line.counts().overflowed), (13, 6));
    }

    #[test]
    fn losses_are_the_same_for_the_same_seed_and_near_the_rate_asked_for() {
        let losses = |seed| {
            let mut line = Line::new(Wan { loss: 0.01, seed, ..Wan::default() });
            (0..100_000).for_each(|_| line.enter(Duration::ZERO, Vec::new()));
            line.counts().lost
        };
        assert_eq!(losses(1), losses(1));
        assert_ne!(losses(1), losses(2));
        assert!((900..1100).contains(&losses(1)), "{}", losses(1));
    }

    #[test]
    fn a_cut_line_loses_what_is_on_it_and_a_mended_one_works_again() {
        let mut line = Line::new(wan());
        line.enter(Duration::ZERO, datagram());
        line.cut();
        line.enter(MS, datagram());
        assert_eq!((line.leave(1000 * MS), line.counts().cut), (None, 2));
        line.mend();
        line.enter(1000 * MS, datagram());
        assert_eq!(line.next_arrival(), Some(1021 * MS));
    }

    #[test]
    fn nothing_overtakes_when_the_delay_is_lowered() {
        let mut line = Line::new(wan());
        line.enter(Duration::ZERO, vec![1; 1000]);
        line.set(Wan { delay: Duration::ZERO, ..wan() });
        line.enter(Duration::ZERO, vec![2; 1000]);
        assert_eq!(line.leave(30 * MS).unwrap()[0], 1);
        assert_eq!(line.leave(30 * MS).unwrap()[0], 2);
    }
}
