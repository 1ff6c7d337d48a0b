//! Which rule speaks first, as in sshuttle: the narrowest port range, then the longest prefix, and
//! exclude wins a tie. Rules that may speak in one breath are gathered into runs, so that the kernel
//! looks thousands of them up in one set.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::policy::{Action, Policy, Rule};

/// How far back a rule looks for a run to join; it only bounds the work for hostile input.
const LOOK_BACK: usize = 64;

/// Destinations that share a verdict and their ports. Of several runs, the first that matches decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Intercept or leave alone.
    pub action: Action,
    /// Ports; `None` is any port.
    pub ports: Option<RangeInclusive<u16>>,
    /// Addresses of one family, sorted, neither overlapping nor mergeable.
    pub nets: Vec<IpNet>,
}

impl Run {
    /// Whether it speaks of this destination, which is of its family.
    fn matches(&self, destination: SocketAddr) -> bool {
        let address = destination.ip();
        let after = self.nets.partition_point(|net| net.network() <= address);
        self.ports.as_ref().is_none_or(|ports| ports.contains(&destination.port()))
            && after.checked_sub(1).is_some_and(|last| self.nets[last].contains(&address))
    }

    /// Whether the order of this run and of `rule` can matter.
    fn may_contradict(&self, rule: &Rule) -> bool {
        self.action != rule.action && overlap(self.ports.as_ref(), rule.ports.as_ref())
    }
}

/// Orders the rules of one family and gathers them into runs.
pub fn runs<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Run> {
    let mut ordered: Vec<&Rule> = rules.into_iter().collect();
    ordered.sort_by_key(|rule| precedence(rule));
    let mut runs: Vec<Run> = Vec::new();
    for rule in ordered {
        match run_to_join(&mut runs, rule) {
            Some(run) => run.nets.push(rule.net),
            None => runs.push(Run { action: rule.action, ports: rule.ports.clone(), nets: vec![rule.net] }),
        }
    }
    for run in &mut runs {
        run.nets = IpNet::aggregate(&run.nets);
    }
    runs
}

/// What a policy says of single destinations: for where no rule of the kernel can be asked.
#[derive(Clone, Debug)]
pub struct Interception {
    v4: Vec<Run>,
    v6: Vec<Run>,
    exempt: HashSet<(IpAddr, u16)>,
}

impl Interception {
    /// Orders the policy's rules.
    pub fn of(policy: &Policy) -> Interception {
        let (v4, v6): (Vec<&Rule>, Vec<&Rule>) =
            policy.rules.iter().partition(|rule| matches!(rule.net, IpNet::V4(_)));
        let unless_off = |redirect: Option<u16>, rules| redirect.map_or_else(Vec::new, |_| runs(rules));
        Interception {
            v4: unless_off(policy.redirect_v4, v4),
            v6: unless_off(policy.redirect_v6, v6),
            exempt: policy.exempt.iter().map(|address| (address.ip(), address.port())).collect(),
        }
    }

    /// Whether connections to `destination` are intercepted.
    pub fn takes(&self, destination: SocketAddr) -> bool {
        let runs = if destination.is_ipv4() { &self.v4 } else { &self.v6 };
        let first = runs.iter().find(|run| run.matches(destination));
        first.is_some_and(|run| run.action == Action::Include)
            && !self.exempt.contains(&(destination.ip(), destination.port()))
    }
}

/// Sorts first what speaks first. The ports' start is no part of the precedence: it only brings equal
/// ranges together.
fn precedence(rule: &Rule) -> (u32, Reverse<u8>, bool, u16) {
    let (width, start) = match &rule.ports {
        Some(ports) => (u32::from(*ports.end()) - u32::from(*ports.start()), *ports.start()),
        None => (u32::MAX, 0),
    };
    (width, Reverse(rule.net.prefix_len()), rule.action == Action::Include, start)
}

/// An earlier run with the rule's own verdict and ports, if nothing after it could contradict the rule.
fn run_to_join<'a>(runs: &'a mut [Run], rule: &Rule) -> Option<&'a mut Run> {
    for run in runs.iter_mut().rev().take(LOOK_BACK) {
        if run.action == rule.action && run.ports == rule.ports {
            return Some(run);
        }
        if run.may_contradict(rule) {
            return None;
        }
    }
    None
}

fn overlap(one: Option<&RangeInclusive<u16>>, other: Option<&RangeInclusive<u16>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.start() <= other.end() && other.start() <= one.end(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: Action, net: &str, ports: Option<RangeInclusive<u16>>) -> Rule {
        Rule { action, net: net.parse().unwrap(), ports }
    }

    fn include(net: &str) -> Rule {
        rule(Action::Include, net, None)
    }

    fn exclude(net: &str) -> Rule {
        rule(Action::Exclude, net, None)
    }

    fn shown(rules: &[Rule]) -> Vec<String> {
        let shown = |run: Run| {
            let nets: Vec<String> = run.nets.iter().map(ToString::to_string).collect();
            format!("{:?} {:?} {}", run.action, run.ports, nets.join(" "))
        };
        runs(rules).into_iter().map(shown).collect()
    }

    #[test]
    fn the_longest_prefix_speaks_first_in_whatever_order_it_was_given() {
        let expected = ["Include None 10.1.2.0/24", "Exclude None 10.1.0.0/16", "Include None 10.0.0.0/8"];
        let mut rules = [include("10.0.0.0/8"), exclude("10.1.0.0/16"), include("10.1.2.0/24")];
        assert_eq!(shown(&rules), expected);
        rules.reverse();
        assert_eq!(shown(&rules), expected);
    }

    #[test]
    fn exclude_wins_a_tie() {
        let rules = [include("10.0.0.0/8"), exclude("10.0.0.0/8")];
        assert_eq!(shown(&rules), ["Exclude None 10.0.0.0/8", "Include None 10.0.0.0/8"]);
    }

    #[test]
    fn narrower_ports_beat_a_longer_prefix() {
        let rules = [exclude("10.1.2.3/32"), rule(Action::Include, "0.0.0.0/0", Some(80..=90))];
        assert_eq!(shown(&rules), ["Include Some(80..=90) 0.0.0.0/0", "Exclude None 10.1.2.3/32"]);
    }

    #[test]
    fn all_ports_spelled_out_are_narrower_than_no_ports() {
        let rules = [exclude("10.0.0.0/8"), rule(Action::Include, "10.0.0.0/8", Some(1..=65535))];
        assert_eq!(shown(&rules)[0], "Include Some(1..=65535) 10.0.0.0/8");
    }

    #[test]
    fn equal_verdicts_are_gathered_and_merged() {
        let rules = [include("10.0.0.0/9"), include("192.168.0.0/16"), include("10.128.0.0/9")];
        assert_eq!(shown(&rules), ["Include None 10.0.0.0/8 192.168.0.0/16"]);
    }

    #[test]
    fn other_ports_between_do_not_break_a_run() {
        let rules = [
            rule(Action::Include, "10.0.0.0/24", Some(80..=80)),
            rule(Action::Exclude, "10.0.0.0/16", Some(443..=443)),
            rule(Action::Include, "10.0.0.0/8", Some(80..=80)),
        ];
        assert_eq!(
            shown(&rules),
            ["Include Some(80..=80) 10.0.0.0/8", "Exclude Some(443..=443) 10.0.0.0/16"]
        );
    }
}
