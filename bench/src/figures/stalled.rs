//! One application stops reading: what each end grows by, and what becomes of another stream's speed.

use anyhow::{Context, Result};
use lab::{Lab, port};

use crate::peer::Peer;
use crate::table::{Rounds, Section, number};
use crate::{Plan, load};

/// How often a stream runs beside a stalled one and alone.
const TURNS: usize = 3;

pub(super) fn measure(plan: &Plan) -> Result<Section> {
    let lab = Lab::new()?;
    // ssh keeps its streams in itself, where we do not look.
    let peers: Vec<Peer> = plan.peers.iter().copied().filter(|peer| *peer != Peer::Forward).collect();
    let mut results = vec![Rounds::default(); peers.len()];
    for _ in 0..plan.rounds {
        for (peer, rounds) in peers.iter().zip(&mut results) {
            let running = peer.start(&lab, plan)?;
            let source = running.address(port::SOURCE);
            let client = lab.client();
            let download = || client.inside(|| load::download(source, plan.time)).context("download");
            // The first warms the buffers up, so that the growth below is the stalled stream's.
            download()?;
            let before = running.memory();
            let mut growth = None;
            let (mut alone, mut beside) = (0.0, 0.0);
            // In turns, because a shared machine drifts.
            for _ in 0..TURNS {
                let stalled = client.inside(|| load::connect(source)).context("connect")?;
                beside += download().context("beside a stalled stream")? / TURNS as f64;
                growth.get_or_insert_with(|| running.memory());
                drop(stalled);
                alone += download()? / TURNS as f64;
            }
            let after = growth.expect("there is a first turn");
            rounds.add([
                after.client - before.client,
                after.server - before.server,
                alone / 1e6,
                beside / 1e6,
                beside / alone,
            ]);
        }
    }

    let row = |rounds: &Rounds| (0..5).map(|column| number(rounds.median(column))).collect();
    let seconds = 1.25 * plan.time.as_secs_f64();
    Ok(Section {
        title: format!("One application stops reading, {seconds:.1} s, LAN"),
        columns: [
            "client grows, KiB",
            "server grows, KiB",
            "another stream alone, Mbit/s",
            "beside it, Mbit/s",
            "of alone",
        ]
        .map(str::to_owned)
        .into(),
        rows: peers
            .iter()
            .zip(&results)
            .map(|(peer, rounds)| (peer.name().to_owned(), row(rounds)))
            .collect(),
        remarks: vec!["to reach: no more growth than one stream's window; the other keeps its speed".into()],
    })
}
