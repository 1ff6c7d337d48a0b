//! A wide-area line between two hosts: two TUN devices joined by a thread for each direction.

mod line;
mod pump;
mod tun;

use std::time::Duration;

use crate::error::Error;
use crate::host::Host;
use crate::topology::LinkPlan;

pub use line::Counts;
use pump::Pump;

/// The conditions of one direction of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wan {
    /// One way; the round trip is the sum of both directions'.
    pub delay: Duration,
    /// Bits per second, IP headers included; `None` is as fast as the machine.
    pub rate: Option<u64>,
    /// Bytes that wait for their turn at most, before the line drops. Without a rate nothing ever waits.
    pub buffer: u64,
    /// The part of the datagrams that is lost at random, 0 to 1.
    pub loss: f64,
    /// The same seed loses the same datagrams, counted from the start or from the last `set`.
    pub seed: u64,
}

impl Default for Wan {
    /// A perfect line.
    fn default() -> Self {
        Self { delay: Duration::ZERO, rate: None, buffer: 256 * 1024, loss: 0.0, seed: 1 }
    }
}

impl Wan {
    /// A line with so much round trip and rate in each direction, and a buffer of one round trip (at least 32 KiB).
    pub fn new(round_trip: Duration, megabits: u64) -> Self {
        let wan = Self { delay: round_trip / 2, rate: Some(megabits * 1_000_000), ..Self::default() };
        Self { buffer: wan.bytes_in(round_trip).max(32 * 1024), ..wan }
    }

    /// A buffer that takes this long to drain: the queueing delay that a greedy flow will cause.
    pub fn buffer_time(self, time: Duration) -> Self {
        Self { buffer: self.bytes_in(time), ..self }
    }

    /// How many bytes the line carries in a time.
    fn bytes_in(&self, time: Duration) -> u64 {
        match self.rate {
            Some(rate) => (u128::from(rate) * time.as_nanos() / 8_000_000_000) as u64,
            None => 0,
        }
    }

    /// How long the line takes for so many bytes.
    fn time_for(&self, bytes: usize) -> Duration {
        match self.rate {
            Some(rate) => Duration::from_nanos(bytes as u64 * 8_000_000_000 / rate.max(1)),
            None => Duration::ZERO,
        }
    }
}

/// A running wide-area line. *Up* leads from the link's first end to its second: from the client to the server.
#[derive(Debug)]
pub struct WanLine {
    up: Pump,
    down: Pump,
}

impl WanLine {
    /// Lays the line: makes the devices inside the hosts and starts to carry.
    pub(crate) fn lay(plan: &LinkPlan, conditions: [Wan; 2], ends: [&Host; 2]) -> Result<Self, Error> {
        let first = tun::open(ends[0], &plan.interface(0))?;
        let second = tun::open(ends[1], &plan.interface(1))?;
        let up = Pump::start(&first, &second, conditions[0])?;
        let down = Pump::start(&second, &first, conditions[1])?;
        Ok(Self { up, down })
    }

    /// Nothing passes any more, in either direction, and nobody is told: as when a cable is cut.
    pub fn cut(&self) {
        self.up.change(line::Line::cut);
        self.down.change(line::Line::cut);
    }

    /// Makes a cut line whole.
    pub fn mend(&self) {
        self.up.change(line::Line::mend);
        self.down.change(line::Line::mend);
    }

    /// Changes the conditions of both directions for what enters from now on.
    pub fn set(&self, wan: Wan) {
        self.set_up(wan);
        self.set_down(wan);
    }

    /// Changes the conditions from the first end to the second.
    pub fn set_up(&self, wan: Wan) {
        self.up.change(|line| line.set(wan));
    }

    /// Changes the conditions from the second end to the first.
    pub fn set_down(&self, wan: Wan) {
        self.down.change(|line| line.set(wan));
    }

    /// What became of the data sent from the first end to the second.
    pub fn counts_up(&self) -> Counts {
        self.up.counts()
    }

    /// What became of the data sent from the second end to the first.
    pub fn counts_down(&self) -> Counts {
        self.down.counts()
    }
}
