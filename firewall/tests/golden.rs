//! The complete rules for each kind of policy, as text.

mod support;

use insta::assert_snapshot;
use shuttle_firewall::policy::Policy;
use shuttle_firewall::ruleset::{Cgroup, compile};
use support::{both, exclude, include};

fn text(policy: &Policy) -> String {
    compile(policy, "shuttle-4242", None).to_string()
}

#[test]
fn ipv4_alone() {
    let policy = both([include("10.0.0.0/8"), include("fd00::/8")]);
    assert_snapshot!(text(&Policy { redirect_v6: None, ..policy }));
}

#[test]
fn ipv6_alone() {
    let policy = both([include("10.0.0.0/8"), include("fd00::/8")]);
    assert_snapshot!(text(&Policy { redirect_v4: None, ..policy }));
}

#[test]
fn both_families() {
    assert_snapshot!(text(&both([include("10.0.0.0/8"), include("fd00::/8")])));
}

#[test]
fn everything() {
    assert_snapshot!(text(&both([include("0.0.0.0/0"), include("::/0")])));
}

#[test]
fn everything_but_some() {
    assert_snapshot!(text(&both([
        include("0.0.0.0/0"),
        include("::/0"),
        exclude("192.168.0.0/16"),
        exclude("203.0.113.9/32"),
        exclude("fe80::/10"),
    ])));
}

#[test]
fn an_include_within_an_exclude_within_an_include() {
    assert_snapshot!(text(&both([include("10.0.0.0/8"), exclude("10.1.0.0/16"), include("10.1.2.0/24")])));
}

#[test]
fn the_same_network_included_and_excluded() {
    assert_snapshot!(text(&both([include("10.0.0.0/8"), exclude("10.0.0.0/8")])));
}

#[test]
fn ports_and_ranges() {
    assert_snapshot!(text(&both([
        include("10.0.0.0/8 port 443"),
        include("172.16.0.0/12 port 443"),
        include("0.0.0.0/0 port 8000-8999"),
        exclude("10.0.0.0/8 port 22"),
        include("10.0.0.0/8"),
        include("fd00::/8 port 80-81"),
    ])));
}

#[test]
fn many_networks_in_one_set() {
    let nets = (0..20).map(|number| include(&format!("10.{}.0.0/{}", number * 3, 16 + number % 4)));
    assert_snapshot!(text(&both(nets)));
}

#[test]
fn neighbours_are_merged() {
    assert_snapshot!(text(&both([include("10.0.0.0/9"), include("10.128.0.0/9"), include("10.3.0.0/16")])));
}

#[test]
fn exempt_addresses() {
    let exempt = vec!["192.0.2.7:22".parse().unwrap(), "[2001:db8::7]:2222".parse().unwrap()];
    assert_snapshot!(text(&Policy { exempt, ..both([include("0.0.0.0/0")]) }));
}

#[test]
fn an_exempt_cgroup() {
    let path = "user.slice/user-1000.slice/session-3.scope/shuttle-4242".to_owned();
    let cgroup = Cgroup { path, level: 4, id: 12345 };
    assert_snapshot!(compile(&both([include("10.0.0.0/8")]), "shuttle-4242", Some(&cgroup)).to_string());
}

#[test]
fn nothing_to_intercept() {
    assert_snapshot!(text(&Policy::default()));
}
