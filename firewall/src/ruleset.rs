//! How a policy is put to the kernel: tables, chains and rules as plain values. Backends load them,
//! [`text`](crate::text) prints them.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::policy::{Action, Policy};
use crate::precedence::{Run, runs};

/// Before Docker and everyone else who redirects at −100.
const NAT_PRIORITY: i32 = -101;

/// The chain that decides; each hook's chain jumps to it.
const INTERCEPT: &str = "intercept";

/// One inet table and all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// The table's name; two shuttles side by side have two tables.
    pub table: String,
    /// In the order in which they are made: a chain comes before those that jump to it.
    pub chains: Vec<Chain>,
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name in the table.
    pub name: &'static str,
    /// Where connections enter it; `None`: only by a jump.
    pub hook: Option<Hook>,
    /// The first rule that matches and has a final verdict decides.
    pub rules: Vec<Rule>,
}

/// Where in the kernel a nat chain stands. A router's connections will come by prerouting, from where
/// they jump to the same chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Connections that this machine makes.
    Output {
        /// Lower comes first.
        priority: i32,
    },
}

/// What must hold, all of it, and what then happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Tested in order.
    pub matches: Vec<Match>,
    /// What happens when all of them hold.
    pub verdict: Verdict,
}

/// One test of a connection's first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// TCP.
    Tcp,
    /// Anything but TCP.
    NotTcp,
    /// A TCP segment other than the one that opens a connection.
    NotInitialSyn,
    /// The destination is an address of this machine.
    LocalDestination,
    /// The socket was made by a process in this cgroup or below it.
    Cgroup(Cgroup),
    /// The destination is in one of these networks, all of one family.
    Destination(Vec<IpNet>),
    /// The destination port.
    Ports(RangeInclusive<u16>),
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Left alone by the whole table.
    Accept,
    /// Back to the chain that jumped here.
    Return,
    /// On to another chain of the table.
    Jump(&'static str),
    /// To this port of this machine.
    Redirect(u16),
}

/// A cgroup v2 as nftables knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path below the hierarchy's root, without a leading slash.
    pub path: String,
    /// The number of its path's components.
    pub level: u32,
    /// The kernel's number for it, which is its directory's inode.
    pub id: u64,
}

/// Turns a policy into the rules of `table`. Sockets of the `exempt` cgroup are left alone: so the
/// session's own links never loop, whatever address they go to and however many hops they take.
pub fn compile(policy: &Policy, table: &str, exempt: Option<&Cgroup>) -> Ruleset {
    let mut output: Vec<Rule> = Vec::new();
    output.extend(exempt.map(|cgroup| rule([Match::Cgroup(cgroup.clone())], Verdict::Accept)));
    output.push(rule([], Verdict::Jump(INTERCEPT)));
    Ruleset {
        table: table.to_owned(),
        chains: vec![
            Chain { name: INTERCEPT, hook: None, rules: intercept(policy) },
            Chain { name: "output", hook: Some(Hook::Output { priority: NAT_PRIORITY }), rules: output },
        ],
    }
}

/// What is intercepted, for all hooks alike.
fn intercept(policy: &Policy) -> Vec<Rule> {
    let mut rules = vec![
        rule([Match::NotTcp], Verdict::Return),
        // Connections that existed before the rules would otherwise be redirected at their next segment,
        // and reset.
        rule([Match::NotInitialSyn], Verdict::Return),
        // Which also refuses loops: the port that we redirect to is local.
        rule([Match::LocalDestination], Verdict::Return),
    ];
    for address in &policy.exempt {
        let (net, port) = (IpNet::from(address.ip()), address.port());
        rules.push(rule([Match::Destination(vec![net]), Match::Ports(port..=port)], Verdict::Return));
    }
    let families = [(policy.redirect_v4, is_v4 as fn(&IpNet) -> bool), (policy.redirect_v6, is_v6)];
    for (redirect, of_family) in families {
        let Some(port) = redirect else { continue };
        let of_family = policy.rules.iter().filter(|rule| of_family(&rule.net));
        rules.extend(runs(of_family).into_iter().map(|run| decide(run, port)));
    }
    rules
}

/// The rule for one run.
fn decide(run: Run, redirect: u16) -> Rule {
    let verdict = match run.action {
        Action::Include => Verdict::Redirect(redirect),
        Action::Exclude => Verdict::Return,
    };
    let mut matches = vec![Match::Destination(run.nets)];
    match run.ports {
        Some(ports) => matches.push(Match::Ports(ports)),
        // nft's own language asks for the protocol next to a redirect.
        None if run.action == Action::Include => matches.push(Match::Tcp),
        None => {}
    }
    Rule { matches, verdict }
}

fn rule<const N: usize>(matches: [Match; N], verdict: Verdict) -> Rule {
    Rule { matches: matches.into(), verdict }
}

fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

fn is_v6(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}
