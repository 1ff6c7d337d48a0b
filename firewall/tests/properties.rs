//! The typed ruleset, read as the kernel reads it, decides as the plain words of the precedence do.

mod support;

use std::net::SocketAddr;

use proptest::prelude::*;
use shuttle_firewall::policy::Policy;
use shuttle_firewall::precedence::Interception;
use shuttle_firewall::ruleset::{Cgroup, Match, Rule, Ruleset, Verdict, compile};
use support::policies::{destinations, is_intercepted, policies};

/// A first packet.
#[derive(Clone, Copy, Debug)]
struct Packet {
    destination: SocketAddr,
    is_tcp: bool,
    is_initial_syn: bool,
    is_local: bool,
    from_exempt_cgroup: bool,
}

fn syn(destination: SocketAddr) -> Packet {
    Packet { destination, is_tcp: true, is_initial_syn: true, is_local: false, from_exempt_cgroup: false }
}

/// The port that the packet is redirected to, if it is.
fn redirected(ruleset: &Ruleset, packet: Packet) -> Option<u16> {
    let hooked = ruleset.chains.iter().find(|chain| chain.hook.is_some()).expect("a chain in a hook");
    match walk(ruleset, &hooked.rules, packet) {
        Some(Verdict::Redirect(port)) => Some(port),
        _ => None,
    }
}

/// The final verdict of these rules; `None`: they let it pass.
fn walk(ruleset: &Ruleset, rules: &[Rule], packet: Packet) -> Option<Verdict> {
    for rule in rules.iter().filter(|rule| rule.matches.iter().all(|test| holds(test, packet))) {
        match rule.verdict {
            Verdict::Return => return None,
            Verdict::Accept | Verdict::Redirect(_) => return Some(rule.verdict),
            Verdict::Jump(name) => {
                let chain = ruleset.chains.iter().find(|chain| chain.name == name).expect("the chain");
                if let Some(verdict) = walk(ruleset, &chain.rules, packet) {
                    return Some(verdict);
                }
            }
        }
    }
    None
}

fn holds(test: &Match, packet: Packet) -> bool {
    match test {
        Match::Tcp => packet.is_tcp,
        Match::NotTcp => !packet.is_tcp,
        Match::NotInitialSyn => packet.is_tcp && !packet.is_initial_syn,
        Match::LocalDestination => packet.is_local,
        Match::Cgroup(_) => packet.from_exempt_cgroup,
        Match::Destination(nets) => nets.iter().any(|net| net.contains(&packet.destination.ip())),
        Match::Ports(ports) => packet.is_tcp && ports.contains(&packet.destination.port()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ruleset_intercepts_what_its_policy_says(
        policy in policies(24),
        destinations in prop::collection::vec(destinations(), 1..20),
    ) {
        let ruleset = compile(&policy, "shuttle-1", None);
        for destination in destinations {
            let port = if destination.is_ipv4() { 12300 } else { 12301 };
            let expected = is_intercepted(&policy, destination).then_some(port);
            prop_assert_eq!(redirected(&ruleset, syn(destination)), expected, "{} in {}", destination, ruleset);
        }
    }

    #[test]
    fn a_single_destination_is_judged_as_by_the_rules(
        policy in policies(24),
        (v4, v6) in (any::<bool>(), any::<bool>()),
        exempt in prop::collection::vec(destinations(), 0..4),
        destinations in prop::collection::vec(destinations(), 1..20),
    ) {
        let [redirect_v4, redirect_v6] = [v4.then_some(12300), v6.then_some(12301)];
        let policy = Policy { redirect_v4, redirect_v6, exempt, ..policy };
        let interception = Interception::of(&policy);
        for destination in destinations {
            let expected = is_intercepted(&policy, destination);
            prop_assert_eq!(interception.takes(destination), expected, "{}", destination);
        }
    }

    #[test]
    fn what_is_exempt_is_left_alone_whatever_the_rules_say(
        policy in policies(24),
        exempt in prop::collection::vec(destinations(), 1..4),
        destination in destinations(),
    ) {
        let policy = Policy { exempt: exempt.clone(), ..policy };
        let ruleset = compile(&policy, "shuttle-1", None);
        for exempt in exempt {
            prop_assert_eq!(redirected(&ruleset, syn(exempt)), None);
        }
        prop_assert_eq!(redirected(&ruleset, syn(destination)).is_some(), is_intercepted(&policy, destination));
    }

    #[test]
    fn only_new_tcp_connections_of_others_to_other_machines_are_intercepted(
        policy in policies(24),
        destination in destinations(),
    ) {
        let cgroup = Cgroup { path: "shuttle-1".to_owned(), level: 1, id: 7 };
        let ruleset = compile(&policy, "shuttle-1", Some(&cgroup));
        let syn = syn(destination);
        prop_assert_eq!(redirected(&ruleset, syn).is_some(), is_intercepted(&policy, destination));
        for packet in [
            Packet { is_tcp: false, is_initial_syn: false, ..syn },
            Packet { is_initial_syn: false, ..syn },
            Packet { is_local: true, ..syn },
            Packet { from_exempt_cgroup: true, ..syn },
        ] {
            prop_assert_eq!(redirected(&ruleset, packet), None, "{:?}", packet);
        }
    }

    #[test]
    fn a_family_without_a_port_to_redirect_to_is_left_alone(
        policy in policies(24),
        destination in destinations(),
    ) {
        let without_v4 = compile(&Policy { redirect_v4: None, ..policy.clone() }, "shuttle-1", None);
        let without_v6 = compile(&Policy { redirect_v6: None, ..policy }, "shuttle-1", None);
        let without_own = if destination.is_ipv4() { without_v4 } else { without_v6 };
        prop_assert_eq!(redirected(&without_own, syn(destination)), None);
    }
}
