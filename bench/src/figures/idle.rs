//! Two thousand streams open at once: what an idle one costs on each end.

use std::time::Duration;

use anyhow::Result;
use lab::{Lab, port};

use crate::peer::Peer;
use crate::table::{Rounds, Section, number};
use crate::{Plan, load};

const STREAMS: usize = 2000;

pub(super) fn measure(plan: &Plan) -> Result<Section> {
    let lab = Lab::new()?;
    // ssh keeps its streams in itself, where we do not look.
    let peers: Vec<Peer> = plan.peers.iter().copied().filter(|peer| *peer != Peer::Forward).collect();
    let mut results = vec![Rounds::default(); peers.len()];
    for _ in 0..plan.rounds {
        for (peer, rounds) in peers.iter().zip(&mut results) {
            let mut running = peer.start(&lab, plan)?;
            let before = running.memory();
            let echo = running.address(port::ECHO);
            let open = lab.client().inside(|| load::open_echoes(echo, STREAMS));
            // Buffers that are given back when idle have the time to be.
            std::thread::sleep(Duration::from_secs(2));
            let after = running.memory();
            // A peer that could not bear it and ended has no memory to speak of.
            let alive = running.is_alive();
            let each = |growth: f64| if alive { growth / open.len().max(1) as f64 } else { f64::NAN };
            let (client, server) = (after.client - before.client, after.server - before.server);
            rounds.add([open.len() as f64, each(client), each(server), before.client, before.server]);
        }
    }

    let row = |rounds: &Rounds| (0..5).map(|column| number(rounds.median(column))).collect();
    Ok(Section {
        title: format!("{STREAMS} idle streams"),
        columns: [
            "opened at most",
            "client, KiB each",
            "server, KiB each",
            "client before, KiB",
            "server before, KiB",
        ]
        .map(str::to_owned)
        .into(),
        rows: peers
            .iter()
            .zip(&results)
            .map(|(peer, rounds)| (peer.name().to_owned(), row(rounds)))
            .collect(),
        remarks: vec!["to reach: all opened, at most 16 KiB each on each end; –: it had ended".into()],
    })
}
