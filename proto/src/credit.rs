//! How much a stream may send: a checked count, and the receiver's window behind it.

use core::time::Duration;

use crate::time::Instant;
use crate::violation::Violation;

/// The most that one sender may ever hold.
const MAX_CREDIT: u32 = 1 << 30;

/// Bytes that a sender may still send on one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credit(u32);

impl Credit {
    /// What a new stream starts with; a peer that grants more than may be counted gets what can be.
    pub(crate) const fn initial(window: u32) -> Self {
        Self(if window < MAX_CREDIT { window } else { MAX_CREDIT })
    }

    /// What is left.
    pub(crate) const fn left(self) -> usize {
        self.0 as usize
    }

    /// The receiver granted more.
    pub(crate) fn grant(&mut self, count: u32) -> Result<(), Violation> {
        match self.0.checked_add(count) {
            Some(sum) if sum <= MAX_CREDIT => self.0 = sum,
            _ => return Err(Violation::CreditOverflow),
        }
        Ok(())
    }

    /// This many were sent; the caller asked `left` before.
    pub(crate) fn spend(&mut self, count: u32) {
        debug_assert!(count <= self.0);
        self.0 = self.0.saturating_sub(count);
    }
}

/// The receiving side of one stream's credit: what was granted, what waits for the application, and a
/// window that grows while it is what limits the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What the peer may still send.
    granted: u32,
    /// Received, and not consumed by the application yet.
    buffered: u32,
    /// `granted` + `buffered` + what is not granted again yet.
    size: u32,
    /// Consumed since `measured_since`.
    consumed: u32,
    measured_since: Instant,
}

impl Window {
    pub(crate) const fn new(size: u32, now: Instant) -> Self {
        Self { granted: size, buffered: 0, size, consumed: 0, measured_since: now }
    }

    /// Received, and not consumed yet.
    pub(crate) const fn buffered(&self) -> u32 {
        self.buffered
    }

    /// The peer sent data.
    pub(crate) fn receive(&mut self, count: usize) -> Result<(), Violation> {
        match u32::try_from(count) {
            Ok(count) if count <= self.granted => {
                self.granted -= count;
                self.buffered += count;
                Ok(())
            }
            _ => Err(Violation::CreditOverrun),
        }
    }

    /// All that the peer may have with us.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// The application took some of it. The window doubles when a whole one was consumed within two
    /// round trips: then it, not the application and not the link, was the limit. Says how much it grew.
    pub(crate) fn consume(
        &mut self,
        now: Instant,
        count: usize,
        round_trip: Option<Duration>,
        cap: u32,
    ) -> u32 {
        let before = self.size;
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(self.buffered);
        self.buffered -= count;
        self.consumed = self.consumed.saturating_add(count);
        if self.consumed >= self.size {
            let took = now.since(self.measured_since);
            if round_trip.is_some_and(|round_trip| took < round_trip * 2) {
                self.size = self.size.saturating_mul(2).min(cap.min(MAX_CREDIT).max(self.size));
            }
            (self.consumed, self.measured_since) = (0, now);
        } else if round_trip.is_some_and(|round_trip| now.since(self.measured_since) > round_trip * 4) {
            // An old measurement would hide that the application has become fast.
            (self.consumed, self.measured_since) = (count, now);
        }
        self.size - before
    }

    /// Whether enough is consumed to be worth a credit frame.
    pub(crate) const fn is_grant_due(&self) -> bool {
        self.grantable() >= self.size / 4
    }

    const fn grantable(&self) -> u32 {
        self.size - self.granted - self.buffered
    }

    /// Grants all that is consumed: what the credit frame says.
    pub(crate) fn grant(&mut self) -> u32 {
        let count = self.grantable();
        self.granted += count;
        count
    }

    /// Panics when the three parts are not one whole; for tests.
    #[cfg(test)]
    fn assert_invariants(&self, cap: u32) {
        assert!(self.granted + self.buffered <= self.size);
        assert!(self.size <= cap);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_byte_too_many_is_an_overrun() {
        let mut window = Window::new(10, Instant::default());
        assert_eq!(window.receive(10), Ok(()));
        assert_eq!(window.receive(1), Err(Violation::CreditOverrun));
    }

    #[test]
    fn credit_has_a_bound() {
        let mut credit = Credit::default();
        assert_eq!(credit.grant(MAX_CREDIT), Ok(()));
        assert_eq!(credit.grant(1), Err(Violation::CreditOverflow));
        assert_eq!(credit.grant(u32::MAX), Err(Violation::CreditOverflow));
    }

    proptest! {
        #[test]
        fn sender_and_receiver_agree(steps in prop::collection::vec((0u8..3, 0usize..5000, 0u64..20_000), 0..300)) {
            const CAP: u32 = 40_000;
            let mut window = Window::new(1000, Instant::default());
            let mut credit = Credit::default();
            credit.grant(1000).unwrap();
            let mut micros = 0;
            for (what, count, later) in steps {
                micros += later;
                let now = Instant::from_micros(micros);
                match what {
                    0 => {
                        let count = count.min(credit.left());
                        credit.spend(count as u32);
                        prop_assert_eq!(window.receive(count), Ok(()));
                    }
                    1 => {
                        let before = window.size();
                        let grown = window.consume(now, count, Some(Duration::from_millis(10)), CAP);
                        prop_assert_eq!(window.size(), before + grown);
                    }
                    _ => credit.grant(window.grant()).unwrap(),
                }
                window.assert_invariants(CAP);
                prop_assert_eq!(credit.left(), window.granted as usize);
            }
        }
    }
}
