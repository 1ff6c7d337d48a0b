//! A ruleset as text, as `nft list` would show it; `nft -f` takes it too.

use std::fmt::{self, Display, Formatter};

use ipnet::IpNet;

use crate::ruleset::{Chain, Hook, Match, Rule, Ruleset, Verdict};

impl Display for Ruleset {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.table)?;
        for (place, chain) in self.chains.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            chain.fmt(f)?;
        }
        writeln!(f, "}}")
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(Hook::Output { priority }) = self.hook {
            writeln!(f, "\t\ttype nat hook output priority {priority}; policy accept;")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for test in &self.matches {
            write!(f, "{test} ")?;
        }
        self.verdict.fmt(f)
    }
}

impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Match::Tcp => f.write_str("meta l4proto tcp"),
            Match::NotTcp => f.write_str("meta l4proto != tcp"),
            Match::NotInitialSyn => f.write_str("tcp flags != syn / fin,syn,rst,ack"),
            Match::LocalDestination => f.write_str("fib daddr type local"),
            Match::Cgroup(cgroup) => write!(f, "socket cgroupv2 level {} \"{}\"", cgroup.level, cgroup.path),
            Match::Destination(nets) => destination(nets, f),
            Match::Ports(ports) if ports.start() == ports.end() => write!(f, "tcp dport {}", ports.start()),
            Match::Ports(ports) => write!(f, "tcp dport {}-{}", ports.start(), ports.end()),
        }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Redirect(port) => write!(f, "redirect to :{port}"),
        }
    }
}

fn destination(nets: &[IpNet], f: &mut Formatter<'_>) -> fmt::Result {
    let (family, protocol) = match nets.first() {
        Some(IpNet::V6(_)) => ("ip6", "ipv6"),
        _ => ("ip", "ipv4"),
    };
    match nets {
        [net] if net.prefix_len() == 0 => write!(f, "meta nfproto {protocol}"),
        [net] => {
            write!(f, "{family} daddr ")?;
            network(net, f)
        }
        nets => {
            write!(f, "{family} daddr {{ ")?;
            for (place, net) in nets.iter().enumerate() {
                f.write_str(if place > 0 { ", " } else { "" })?;
                network(net, f)?;
            }
            f.write_str(" }")
        }
    }
}

/// A single host is shown without its prefix length, as nft does.
fn network(net: &IpNet, f: &mut Formatter<'_>) -> fmt::Result {
    if net.prefix_len() == net.max_prefix_len() { net.addr().fmt(f) } else { net.trunc().fmt(f) }
}
