//! Random policies whose rules often meet, connections that often hit them, and what must become of them by
//! the plain words of the precedence.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use shuttle_firewall::policy::{Action, Policy, Rule};

use super::both;

/// Ports that rules and connections are about: few, so that they meet.
const PORTS: std::ops::RangeInclusive<u16> = 5..=9;

/// Up to `most` rules in 10.0.0.0/8 and fd00::/16.
pub fn policies(most: usize) -> impl Strategy<Value = Policy> {
    prop::collection::vec(rules(), 0..most).prop_map(both)
}

/// Connections to the same networks.
pub fn destinations() -> impl Strategy<Value = SocketAddr> {
    (addresses(), PORTS).prop_map(SocketAddr::from)
}

/// Whether a policy intercepts connections to `destination`, rule by rule.
pub fn is_intercepted(policy: &Policy, destination: SocketAddr) -> bool {
    let redirect = if destination.is_ipv4() { policy.redirect_v4 } else { policy.redirect_v6 };
    let speaks = |rule: &&Rule| {
        let port = rule.ports.as_ref().is_none_or(|ports| ports.contains(&destination.port()));
        port && rule.net.contains(&destination.ip())
    };
    let rank = |rule: &&Rule| {
        let width = rule.ports.as_ref().map_or(65_536, ExactSizeIterator::len);
        (width, Reverse(rule.net.prefix_len()), rule.action == Action::Include)
    };
    let first = policy.rules.iter().filter(speaks).min_by_key(rank);
    let exempt = policy.exempt.contains(&destination);
    redirect.is_some() && !exempt && first.is_some_and(|rule| rule.action == Action::Include)
}

fn rules() -> impl Strategy<Value = Rule> {
    let action = prop_oneof![Just(Action::Include), Just(Action::Exclude)];
    let ports = (PORTS, 0u16..3).prop_map(|(first, more)| first..=first + more);
    (action, nets(), prop::option::of(ports)).prop_map(|(action, net, ports)| Rule { action, net, ports })
}

fn nets() -> impl Strategy<Value = IpNet> {
    (addresses(), 0u8..=24).prop_map(|(address, length)| match address {
        IpAddr::V4(address) => Ipv4Net::new(address, 8 + length).expect("at most 32").into(),
        IpAddr::V6(address) => Ipv6Net::new(address, 128 - (24 - length) * 4).expect("at most 128").into(),
    })
}

/// Few bits vary, so that networks nest and addresses hit.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let v4 = [0u8..2, 0u8..4, 0u8..4].prop_map(|[a, b, c]| Ipv4Addr::new(10, a * 128 + b, b * 64, c).into());
    let v6 = [0u16..4, 0u16..4, 0u16..4]
        .prop_map(|[a, b, c]| Ipv6Addr::new(0xfd00, a << 12, b, 0, 0, 0, 0, c).into());
    prop_oneof![v4, v6]
}
