//! Cables, addresses and routes: a topology turned into lines for `ip -batch`.

use std::collections::HashMap;
use std::io::Write;
use std::process::Stdio;

use crate::error::{Doing, Error};
use crate::host::Host;
use crate::topology::{LinkPlan, Topology};

/// Figures compare only under one congestion control; a route may name it where the sysctl may not be written.
const CUBIC: &str = "congctl cubic";

/// The lines that make the plain cables; they run on the first end of each. `holders` are the hosts' process numbers.
pub(crate) fn cables(host: &str, links: &[LinkPlan], holders: &HashMap<String, u32>) -> Vec<String> {
    let made_here = links.iter().filter(|link| link.ends[0] == host && link.wan.is_none());
    made_here
        .map(|link| {
            format!(
                "link add {} type veth peer name {} netns {}",
                link.interface(0),
                link.interface(1),
                holders[&link.ends[1]]
            )
        })
        .collect()
}

/// The lines that give a host its addresses and routes.
pub(crate) fn addresses(host: &str, topology: &Topology) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned()];
    for address in ["127.0.0.0/8", "127.0.0.1"] {
        lines.push(format!(
            "route replace local {address} dev lo table local proto kernel src 127.0.0.1 {CUBIC}"
        ));
    }
    lines.push("route del local ::1 dev lo table local".to_owned());
    lines.push(format!("route add local ::1 dev lo table local proto kernel {CUBIC}"));
    for link in &topology.links {
        let Some(end) = link.ends.iter().position(|end| end == host) else { continue };
        let interface = link.interface(end);
        let (v4, v6) = (link.address_v4(end), link.address_v6(end));
        lines.push(format!("addr add {v4}/24 dev {interface} noprefixroute"));
        lines.push(format!("addr add {v6}/64 dev {interface} nodad noprefixroute"));
        if link.wan.is_some() {
            // The kernel's own chatter would take its share of the seeded losses.
            lines.push(format!("link set {interface} multicast off addrgenmode none"));
        }
        lines.push(format!("link set {interface} up"));
        lines.push(format!("route add {}/24 dev {interface} src {v4} {CUBIC}", link.v4));
        lines.push(format!("route add {}/64 dev {interface} {CUBIC}", link.v6));
        lines.push(format!(
            "route replace local {v4} dev {interface} table local proto kernel src {v4} {CUBIC}"
        ));
        if link.default_route && end == 0 {
            lines.push(format!("route add default via {} {CUBIC}", link.address_v4(1)));
            lines.push(format!("route add default via {} {CUBIC}", link.address_v6(1)));
        }
    }
    if let Some(odd) = topology.odd.as_ref().filter(|odd| odd.at == host) {
        let via = topology.end_of(&odd.via).map(|(link, end)| (link.address_v4(end), link.address_v6(end)));
        if let Some((v4, v6)) = via {
            lines.push(format!("route add {}/32 via {v4}", crate::BLACKHOLE_V4));
            lines.push(format!("route add {}/128 via {v6}", crate::BLACKHOLE_V6));
        }
        lines.push(format!("route add unreachable {}/32", crate::UNREACHABLE_V4));
        lines.push(format!("route add unreachable {}/128", crate::UNREACHABLE_V6));
    }
    lines
}

/// Has `ip` carry out the lines on a host.
pub(crate) fn carry_out(host: &Host, lines: &[String]) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let act = || format!("run `ip -batch` on {}", host.name());
    let mut process = host
        .command("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(act())?;
    let mut input = process.stdin.take().expect("it is piped");
    input.write_all((lines.join("\n") + "\n").as_bytes()).doing(act())?;
    drop(input);
    let output = process.wait_with_output().doing(act())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program: act(),
        status: output.status.to_string(),
        words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
