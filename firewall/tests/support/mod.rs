//! A network namespace for each test, and what the tests do in it.
#![allow(dead_code, unreachable_pub)]

use std::io::Write;
use std::process::{Command, Stdio};

use shuttle_firewall::policy::{Action, Policy, Rule};
use nix::sched::{CloneFlags, unshare};

/// Runs a test on a thread of its own in a fresh network namespace, where loopback is up and an address
/// in each of 10.0.0.0/8 and fd00::/8 leads nowhere. Namespaces are per thread, and children inherit them.
pub fn in_a_namespace<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests run as root");
        run(&["ip", "link", "set", "lo", "up"]);
        run(&["ip", "link", "add", "far", "type", "veth", "peer", "name", "end"]);
        run(&["ip", "link", "set", "end", "up"]);
        run(&["ip", "link", "set", "far", "up"]);
        run(&["ip", "address", "add", "172.31.0.1/24", "dev", "far"]);
        run(&["ip", "route", "add", "default", "dev", "far"]);
        run(&["ip", "-6", "address", "add", "fdff::1/64", "dev", "far", "nodad"]);
        run(&["ip", "-6", "route", "add", "default", "dev", "far"]);
        test()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a command in this thread's namespace, and returns what it printed.
pub fn run(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the command exists");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What nft says is loaded, without what differs from one owner to the next.
pub fn listing() -> String {
    let kept = |line: &&str| !line.trim().starts_with("flags owner") && !line.trim().is_empty();
    let listing = run(&["nft", "list", "ruleset"]);
    let lines = listing.lines().map(|line| line.split(" # progname").next().unwrap_or(line).trim_end());
    lines.filter(kept).map(|line| format!("{line}\n")).collect()
}

/// Loads rules by the nft program itself.
pub fn load_by_nft(text: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft is installed");
    nft.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("nft reads");
    assert!(nft.wait().expect("nft ends").success(), "nft refused:\n{text}");
}

/// A rule that intercepts, from `net` or `net:port` or `net:first-last`.
pub fn include(destination: &str) -> Rule {
    rule(Action::Include, destination)
}

/// A rule that leaves alone.
pub fn exclude(destination: &str) -> Rule {
    rule(Action::Exclude, destination)
}

fn rule(action: Action, destination: &str) -> Rule {
    let (net, ports) = match destination.split_once(" port ") {
        None => (destination, None),
        Some((net, ports)) => {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            (net, Some(first.parse().expect("a port")..=last.parse().expect("a port")))
        }
    };
    Rule { action, net: net.parse().expect("a network"), ports }
}

/// A policy that redirects IPv4 to port 12300 and IPv6 to 12301.
pub fn both(rules: impl IntoIterator<Item = Rule>) -> Policy {
    let rules = rules.into_iter().collect();
    Policy { rules, redirect_v4: Some(12300), redirect_v6: Some(12301), ..Policy::default() }
}
