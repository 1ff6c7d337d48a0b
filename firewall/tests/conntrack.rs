//! Connections that were tried in vain before the rules: the kernel tracks them already, and shows none of
//! their further segments to the rules, unless it is made to forget them.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shuttle_firewall::conntrack::forget_unanswered;
use shuttle_firewall::nft::Nft;
use shuttle_firewall::policy::Policy;
use shuttle_firewall::ruleset::compile;
use socket2::{Domain, Protocol, Socket, Type};
use support::interceptor::{Interceptor, program};
use support::{both, echoes, exclude, in_a_namespace, include, run, serve};

/// Only keeps a fault from hanging the run: an unanswered segment is sent again after 1, 2, 4 and 8 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace where connections are tracked, and where nobody answers from 10.5.0.0/16, 198.18.0.0/15 and
/// fd00:5::/32.
fn where_connections_are_tracked(test: impl FnOnce() + Send + 'static) {
    in_a_namespace(|| {
        run("nft add table inet watch");
        run("nft add chain inet watch output { type filter hook output priority 0 ; }");
        run("nft add rule inet watch output ct state new accept");
        run("ip link add void type veth peer name beyond");
        // What is sent there is addressed to nobody.
        run("ip link set void arp off");
        run("ip link set void up");
        run("ip link set beyond up");
        run("ip route add 10.5.0.0/16 dev void");
        run("ip route add 198.18.0.0/15 dev void");
        run("ip -6 route add fd00:5::/32 dev void");
        test();
    });
}

/// The example that redirects `networks` to port 12300.
fn intercept(networks: &[&str]) -> Interceptor {
    let mut command = Command::new(program());
    command.arg("12300").args(networks);
    Interceptor::start_by(command)
}

/// A connection that nobody has answered yet, and its own address.
fn pending(destination: &str) -> (Socket, SocketAddr) {
    let destination: SocketAddr = destination.parse().unwrap();
    let socket = Socket::new(Domain::for_address(destination), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let begun = socket.connect(&destination.into()).unwrap_err();
    assert_eq!(begun.raw_os_error(), Some(nix::libc::EINPROGRESS));
    let own = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, own)
}

/// Waits until a pending connection stands, and returns the name of the server that it has reached.
fn who_answers(pending: Socket) -> String {
    let mut ready = [PollFd::new(pending.as_fd(), PollFlags::POLLOUT)];
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut ready, patience).unwrap(), 1, "it still hangs");
    pending.set_nonblocking(false).unwrap();
    name_from(&mut pending.into())
}

/// Reads the line that a server begins with; it says no more until it is spoken to.
fn name_from(connection: &mut TcpStream) -> String {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut name = String::new();
    BufReader::new(connection).read_line(&mut name).unwrap();
    name.trim_end().to_owned()
}

/// What the kernel tracks of connections to an address.
fn tracked(address: &str) -> String {
    let family = if address.contains(':') { "ipv6" } else { "ipv4" };
    run(&format!("conntrack -L -f {family} -p tcp --orig-dst {address}"))
}

#[test]
fn a_connection_that_hung_before_the_rules_is_redirected_at_its_next_attempt() {
    where_connections_are_tracked(|| {
        let _near = serve("near", "[::]:12300");
        let hanging = ["10.5.0.1:7", "[fd00:5::1]:7"].map(|destination| pending(destination).0);
        for address in ["10.5.0.1", "fd00:5::1"] {
            assert!(tracked(address).contains("SYN_SENT"), "{}", tracked(address));
        }
        let interceptor = intercept(&["10.0.0.0/8", "fd00::/16"]);
        for hanging in hanging {
            assert_eq!(who_answers(hanging), "near");
        }
        assert!(interceptor.stop().success());
    });
}

#[test]
fn a_connection_from_the_port_of_one_that_failed_before_the_rules_is_redirected() {
    where_connections_are_tracked(|| {
        let _near = serve("near", "[::]:12300");
        for destination in ["10.5.0.1:7", "[fd00:5::1]:7"] {
            let destination: SocketAddr = destination.parse().unwrap();
            let (failed, own) = pending(&destination.to_string());
            drop(failed);
            let interceptor = intercept(&["10.0.0.0/8", "fd00::/16"]);
            let again = Socket::new(Domain::for_address(destination), Type::STREAM, None).unwrap();
            again.bind(&own.into()).unwrap();
            again.connect_timeout(&destination.into(), PATIENCE).expect("it is redirected");
            assert_eq!(name_from(&mut again.into()), "near");
            assert!(interceptor.stop().success());
        }
    });
}

#[test]
fn new_rules_redirect_what_hangs_because_the_old_ones_left_it_alone() {
    where_connections_are_tracked(|| {
        let _near = serve("near", "127.0.0.1:12300");
        let mut nft = Nft::open().unwrap();
        let mut apply = |policy: &Policy| {
            nft.apply(&compile(policy, "shuttle-test", None)).unwrap();
            forget_unanswered(policy).unwrap()
        };
        assert_eq!(apply(&both([include("10.0.0.0/8"), exclude("10.5.0.0/24")])), 0);
        let (hanging, _) = pending("10.5.0.1:7");
        assert_eq!(apply(&both([include("10.0.0.0/8")])), 1);
        assert_eq!(who_answers(hanging), "near");
    });
}

#[test]
fn what_was_answered_or_is_not_ours_or_is_redirected_already_stays_tracked() {
    where_connections_are_tracked(|| {
        run("nft add table ip elsewhere");
        run("nft add chain ip elsewhere output { type nat hook output priority -150 ; }");
        run("nft add rule ip elsewhere output ip daddr 10.5.9.9 dnat to 198.18.9.9");
        let mut answered = TcpStream::connect("10.1.2.3:7").unwrap();
        assert_eq!(name_from(&mut answered), "far");
        // Who has given up tries no more: what is tracked of it then changes by our hand only.
        drop(["10.5.9.9:7", "10.5.0.1:7", "10.5.0.2:80", "198.18.0.1:7", "10.5.0.3:7"].map(pending));
        let datagrams = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        datagrams.send_to(b"x", "10.5.0.4:7").unwrap();
        let before = ["10.1.2.3", "10.5.9.9", "10.5.0.1", "10.5.0.2", "198.18.0.1"].map(identity);
        let policy = Policy {
            exempt: vec!["10.5.0.2:80".parse().unwrap()],
            ..both([include("10.0.0.0/8"), exclude("10.5.0.1/32")])
        };
        Nft::open().unwrap().apply(&compile(&policy, "shuttle-test", None)).unwrap();
        assert_eq!(forget_unanswered(&policy).unwrap(), 1, "10.5.0.3 alone");
        assert_eq!(tracked("10.5.0.3"), "");
        let after = ["10.1.2.3", "10.5.9.9", "10.5.0.1", "10.5.0.2", "198.18.0.1"].map(identity);
        assert_eq!(before, after);
        assert!(run("conntrack -L -p udp --orig-dst 10.5.0.4").contains("UNREPLIED"));
        assert!(echoes(&mut answered), "it has been cut");
    });
}

/// The kernel's number for the one connection that it tracks to an address.
fn identity(address: &str) -> String {
    let entries = run(&format!("conntrack -L -o id -p tcp --orig-dst {address}"));
    let (_, number) = entries.trim_end().split_once(" id=").expect("it is tracked");
    assert!(number.parse::<u32>().is_ok(), "more than one: {entries}");
    number.to_owned()
}

#[test]
fn ten_thousand_others_are_looked_through_and_ten_thousand_of_ours_forgotten() {
    where_connections_are_tracked(|| {
        for port in 1..=10_000 {
            drop(pending(&format!("198.18.0.1:{port}")));
        }
        let policy = both([include("10.0.0.0/8")]);
        let start = Instant::now();
        assert_eq!(forget_unanswered(&policy).unwrap(), 0);
        println!("10,000 others: {:?}", start.elapsed());
        for port in 1..=10_000 {
            drop(pending(&format!("10.5.0.1:{port}")));
        }
        let start = Instant::now();
        assert_eq!(forget_unanswered(&policy).unwrap(), 10_000);
        println!("10,000 of ours among as many others: {:?}", start.elapsed());
        assert_eq!(forget_unanswered(&policy).unwrap(), 0);
    });
}

#[test]
fn without_tracked_connections_there_is_nothing_to_forget() {
    in_a_namespace(|| assert_eq!(forget_unanswered(&both([include("0.0.0.0/0")])).unwrap(), 0));
}
