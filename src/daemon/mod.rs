//! One run from start to end: helper, link, session, rules.

pub mod background;
pub mod cleanup;
pub mod log;
pub mod pidfile;

use crate::cli::Settings;
use background::Ready;

/// How a run ended that ended as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a signal or by `shuttle stop`.
    Stopped,
}

/// Runs until it is told to end or cannot go on.
pub async fn run(_settings: Settings, _ready: Ready) -> anyhow::Result<Ended> {
    anyhow::bail!("this build cannot run yet")
}
