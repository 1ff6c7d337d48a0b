//! Fifty at once connect, fetch a small page and close, again and again.

use anyhow::Result;
use lab::{Lab, port};

use crate::peer::Peer;
use crate::table::{Rounds, Section, number, quantile};
use crate::{Plan, load};

const AT_ONCE: usize = 50;

pub(super) fn measure(plan: &Plan) -> Result<Section> {
    let lab = Lab::new()?;
    let peers = &plan.peers;
    let mut results = vec![Rounds::default(); peers.len()];
    for _ in 0..plan.rounds {
        for (peer, rounds) in peers.iter().zip(&mut results) {
            let running = peer.start(&lab, plan)?;
            let page = running.address(port::HTTP);
            let fetches = lab.client().inside(|| load::fetch_at_once(page, AT_ONCE, plan.time));
            let (p50, p99) = (quantile(&fetches.times, 0.5), quantile(&fetches.times, 0.99));
            rounds.add([fetches.per_second, p50, p99, fetches.errors as f64]);
        }
    }

    let row = |rounds: &Rounds| {
        let medians = (0..3).map(|column| number(rounds.median(column)));
        medians.chain([format!("{}", rounds.sum(3))]).collect()
    };
    let mut remarks = vec!["to reach: 4 times sshuttle, p99 below 50 ms, no error".to_owned()];
    let rate = |peer| peers.iter().position(|one| *one == peer).map(|index| results[index].median(0));
    if let (Some(shuttle), Some(sshuttle)) = (rate(Peer::Shuttle), rate(Peer::Sshuttle)) {
        remarks.push(format!("shuttle is {} times sshuttle", number(shuttle / sshuttle)));
    }
    Ok(Section {
        title: format!("Connect, GET a small page, close: {AT_ONCE} at once, LAN"),
        columns: ["per second", "p50, ms", "p99, ms", "errors"].map(str::to_owned).into(),
        rows: peers
            .iter()
            .zip(&results)
            .map(|(peer, rounds)| (peer.name().to_owned(), row(rounds)))
            .collect(),
        remarks,
    })
}
