//! `shuttle status` for people.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{LinkState, Status};

/// A status as a few lines; `now` in seconds since 1970.
pub(super) struct Text<'a> {
    pub(super) status: &'a Status,
    pub(super) now: u64,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let status = self.status;
        let age = elapsed(Duration::from_secs(self.now.saturating_sub(status.since)));
        writeln!(f, "{} (process {}), for {age}", status.name, status.pid)?;
        writeln!(f, "  link       {}", link(status))?;
        if status.remote != status.name {
            writeln!(f, "  remote     {}", status.remote)?;
        }
        if let Some(agent) = &status.agent {
            writeln!(f, "  agent      {} on {}", agent.version, agent.arch)?;
        }
        writeln!(f, "  streams    {} open, {} opened", status.streams_open, status.streams_opened)?;
        let (down, up) = (bytes(status.bytes_down), bytes(status.bytes_up));
        let (rate_down, rate_up) = (bytes(status.rate_down), bytes(status.rate_up));
        writeln!(f, "  traffic    down {down} ({rate_down}/s), up {up} ({rate_up}/s)")?;
        let rules = if status.rules == 1 { "1 rule".into() } else { format!("{} rules", status.rules) };
        write!(f, "  intercept  {}, {rules}", status.method)?;
        for listener in &status.listeners {
            write!(f, ", {listener}")?;
        }
        Ok(())
    }
}

fn link(status: &Status) -> String {
    let state = match status.link {
        LinkState::Connecting => "connecting",
        LinkState::Up => "up",
        LinkState::Down => "down",
    };
    match status.round_trip_us {
        Some(micros) if micros < 10_000 => format!("{state}, round trip {:.1} ms", micros as f64 / 1e3),
        Some(micros) => format!("{state}, round trip {} ms", micros / 1_000),
        None => state.to_owned(),
    }
}

/// The two largest units say enough.
fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

fn bytes(count: u64) -> String {
    let (mut amount, mut unit) = (count as f64, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        // Rounded to three figures, 999.6 is 1000 already.
        if amount < 999.5 {
            break;
        }
        (amount, unit) = (amount / 1000.0, larger);
    }
    if unit == "B" || amount >= 99.95 { format!("{amount:.0} {unit}") } else { format!("{amount:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::AgentStatus;

    #[test]
    fn every_line_says_what_it_is() {
        let status = Status {
            name: "host".into(),
            remote: "user@host:2222".into(),
            pid: 1234,
            since: 1_000,
            link: LinkState::Up,
            round_trip_us: Some(41_234),
            rate_down: 3_400_000,
            streams_open: 3,
            streams_opened: 1024,
            bytes_up: 999,
            bytes_down: 1_240_000_000,
            listeners: vec!["127.0.0.1:12300".parse().unwrap(), "[::1]:12300".parse().unwrap()],
            method: "nft".into(),
            rules: 4,
            agent: Some(AgentStatus { arch: "x86_64".into(), version: "0.1.0".into() }),
            ..Status::default()
        };
        let text = Text { status: &status, now: 1_000 + 2 * 3_600 + 3 * 60 }.to_string();
        let expected = "\
host (process 1234), for 2 h 3 min
  link       up, round trip 41 ms
  remote     user@host:2222
  agent      0.1.0 on x86_64
  streams    3 open, 1024 opened
  traffic    down 1.2 GB (3.4 MB/s), up 999 B (0 B/s)
  intercept  nft, 4 rules, 127.0.0.1:12300, [::1]:12300";
        assert_eq!(text, expected);
    }

    #[test]
    fn amounts_keep_three_figures_at_most() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_951, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_no_harm() {
        let status = Status { since: 100, ..Status::default() };
        assert!(Text { status: &status, now: 50 }.to_string().contains("for 0 s"));
    }

    #[test]
    fn ages_take_two_units() {
        for (seconds, text) in [(59, "59 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(elapsed(Duration::from_secs(seconds)), text);
        }
    }
}
