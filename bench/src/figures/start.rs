//! From the start of the program to the first page that came through it, on a LAN and on a far line.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Lab, Wan, port};

use crate::peer::Peer;
use crate::table::{Rounds, Section, number};
use crate::{Plan, load};

/// A new application tries this often: what is sent too early is lost, and nobody waits for its repetition.
const PACE: Duration = Duration::from_millis(10);

pub(super) fn measure(plan: &Plan) -> Result<Section> {
    let near = Lab::new()?;
    let far = Lab::builder().wan(Wan::new(Duration::from_millis(40), 100)).build()?;
    let peers = &plan.peers;
    let mut results = vec![Rounds::default(); peers.len()];
    for _ in 0..plan.rounds {
        for (peer, rounds) in peers.iter().zip(&mut results) {
            rounds.add([once(*peer, &near, plan)?, once(*peer, &far, plan)?]);
        }
    }

    let row = |rounds: &Rounds| (0..2).map(|column| number(rounds.median(column))).collect();
    Ok(Section {
        title: "Start to first page".into(),
        columns: ["LAN, ms", "40 ms round trip, ms"].map(str::to_owned).into(),
        rows: peers
            .iter()
            .zip(&results)
            .map(|(peer, rounds)| (peer.name().to_owned(), row(rounds)))
            .collect(),
        remarks: vec!["to reach: no slower than sshuttle".into()],
    })
}

fn once(peer: Peer, lab: &Lab, plan: &Plan) -> Result<f64> {
    let begun = Instant::now();
    let running = peer.launch(lab, plan)?;
    let page = running.address(port::HTTP);
    let first = lab.client().inside(|| first_page(page, begun));
    let first = first.with_context(|| format!("{} never worked\n{}", peer.name(), running.log()))?;
    Ok(first.as_secs_f64() * 1e3)
}

/// Begins a fetch at each tick until one has the page.
fn first_page(page: std::net::SocketAddr, begun: Instant) -> Option<Duration> {
    let found = AtomicBool::new(false);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        while !found.load(Ordering::Relaxed) && begun.elapsed() < load::PATIENCE {
            let (tell, found) = (tell.clone(), &found);
            scope.spawn(move || {
                if load::fetch(page, Duration::from_millis(500)).is_ok() {
                    found.store(true, Ordering::Relaxed);
                    // Later ones have nobody who listens.
                    let _ = tell.send(begun.elapsed());
                }
            });
            std::thread::sleep(PACE);
        }
    });
    drop(tell);
    told.iter().min()
}
