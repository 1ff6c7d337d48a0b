//! One stream, as fast as it goes, on a LAN: against a raw `ssh host cat` pipe.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Lab, port};

use crate::table::{Rounds, Section, number};
use crate::{Plan, load};

pub(super) fn measure(plan: &Plan) -> Result<Section> {
    let lab = Lab::new()?;
    let peers = &plan.peers;
    let mut raw = Rounds::default();
    let mut results = vec![Rounds::default(); peers.len()];
    for _ in 0..plan.rounds {
        raw.add([raw_down(&lab, plan.time)?, raw_up(&lab, plan.time)?]);
        for (peer, rounds) in peers.iter().zip(&mut results) {
            let running = peer.start(&lab, plan)?;
            let (source, sink) = (running.address(port::SOURCE), running.address(port::DISCARD));
            let client = lab.client();
            let down = client.inside(|| load::download(source, plan.time));
            let down =
                down.with_context(|| format!("download through {}\n{}", peer.name(), running.log()))?;
            let up = client.inside(|| load::upload(sink, plan.time));
            let up = up.with_context(|| format!("upload through {}\n{}", peer.name(), running.log()))?;
            rounds.add([down, up]);
        }
    }

    let row = |rounds: &Rounds| {
        let (down, up) = (rounds.median(0), rounds.median(1));
        let ratio = |column| number(rounds.median(column) / raw.median(column));
        vec![number(down / 1e6), ratio(0), number(up / 1e6), ratio(1)]
    };
    let mut rows = vec![("raw ssh pipe".to_owned(), row(&raw))];
    rows.extend(peers.iter().zip(&results).map(|(peer, rounds)| (peer.name().to_owned(), row(rounds))));
    Ok(Section {
        title: "Bulk, one stream, LAN".into(),
        columns: ["down, Mbit/s", "of raw", "up, Mbit/s", "of raw"].map(str::to_owned).into(),
        rows,
        remarks: vec!["to reach: 0.80 of the raw pipe, both ways".into()],
    })
}

fn raw_down(lab: &Lab, time: Duration) -> Result<f64> {
    let mut ssh = lab
        .client()
        .command("ssh")
        .arg("-F")
        .arg(lab.ssh_config())
        .args([lab.login(), "cat /dev/zero"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = ssh.stdout.take().expect("it is piped");
    let rate = load::rate_of(time, |block| output.read(block));
    ssh.kill()?;
    ssh.wait()?;
    Ok(rate?)
}

fn raw_up(lab: &Lab, time: Duration) -> Result<f64> {
    let mut ssh = lab
        .client()
        .command("ssh")
        .arg("-F")
        .arg(lab.ssh_config())
        .args([lab.login(), "cat >/dev/null; echo done"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = ssh.stdin.take().expect("it is piped");
    let (begun, bytes) = load::write_for(time, |block| input.write_all(block))?;
    drop(input);
    let output = ssh.wait_with_output()?;
    ensure!(output.stdout == b"done\n", "ssh: {}", output.status);
    Ok(bytes as f64 * 8.0 / begun.elapsed().as_secs_f64())
}
