//! Measures shuttle beside its peers, in the same run, and prints Markdown tables.
//!
//! `cargo run --release -p shuttle-bench` measures everything; names of figures after `--` choose some. Each figure is
//! a file under `figures`; peers take turns within each round, and a table shows the medians of the rounds.

mod figures;
mod load;
mod memory;
mod peer;
mod programs;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::peer::Peer;
use crate::programs::Programs;

/// Measure shuttle beside its peers, in a private internet of network namespaces. Needs root.
#[derive(Debug, Parser)]
struct Options {
    /// What to measure: bulk, connects, idle, stalled, start (all, if none is named)
    figures: Vec<String>,
    /// How often each peer is measured; the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes, where it is up to us
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The shuttle to measure [default: the release build of this workspace, built first]
    #[arg(long)]
    shuttle: Option<PathBuf>,
    /// Whom to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sshuttle,forward,shuttle")]
    peers: Vec<Peer>,
}

/// How a figure is to be taken.
pub(crate) struct Plan {
    pub rounds: usize,
    pub time: Duration,
    pub peers: Vec<Peer>,
    pub programs: Programs,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let chosen = figures::choose(&options.figures)?;
    let programs = Programs::prepare(options.shuttle, &options.peers)?;
    let plan = Plan {
        rounds: options.rounds.max(1),
        time: Duration::from_secs_f64(options.seconds),
        peers: options.peers,
        programs,
    };
    let mut failed = Vec::new();
    for figure in chosen {
        match (figure.measure)(&plan) {
            Ok(section) => println!("{section}"),
            Err(error) => {
                eprintln!("{}: {error:#}\n", figure.name);
                failed.push(figure.name);
            }
        }
        std::io::stdout().flush()?;
    }
    ensure!(failed.is_empty(), "could not measure: {}", failed.join(", "));
    Ok(())
}
