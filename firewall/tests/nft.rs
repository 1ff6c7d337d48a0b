//! The nft backend against a real kernel, and against the nft program.

mod support;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use shuttle_firewall::nft::Nft;
use shuttle_firewall::policy::{Action, Policy, Rule};
use shuttle_firewall::ruleset::{Verdict, compile};
use support::policies::{destinations, is_intercepted, policies};
use support::processes::Sleeper;
use support::{
    both, echoes, exclude, in_a_namespace, include, listing, load_by_nft, run, serve, try_who_answers,
    wait_until, who_answers,
};

#[test]
fn what_we_load_is_what_nft_makes_of_our_text() {
    let policies = [
        Policy::default(),
        Policy { redirect_v6: None, ..both([include("10.0.0.0/8"), include("fd00::/8")]) },
        Policy { redirect_v4: None, ..both([include("10.0.0.0/8"), include("fd00::/8")]) },
        both([include("0.0.0.0/0"), include("::/0")]),
        both([include("10.0.0.0/7"), include("10.1.2.3/32"), exclude("10.9.0.0/17"), exclude("fd00::1/128")]),
        both([include("0.0.0.0/0 port 80-90"), include("10.1.0.0/16 port 443"), exclude("::/1 port 22")]),
        both([include("0.0.0.0/1"), include("255.0.0.0/8"), include("fe00::/7"), include("::/3")]),
        // Neighbours that do not merge into one network.
        both([
            include("10.1.0.0/16"),
            include("10.2.0.0/15"),
            include("10.4.0.0/14"),
            include("10.9.0.0/16"),
        ]),
        Policy {
            exempt: vec!["192.0.2.7:22".parse().unwrap(), "[2001:db8::7]:2222".parse().unwrap()],
            ..both([include("10.0.0.0/8")])
        },
    ];
    for policy in policies {
        let text = compile(&policy, "shuttle-test", None).to_string();
        let ours = {
            let policy = policy.clone();
            in_a_namespace(move || {
                let mut nft = Nft::open().unwrap();
                nft.apply(&compile(&policy, "shuttle-test", None)).unwrap();
                listing()
            })
        };
        let theirs = in_a_namespace({
            let text = text.clone();
            move || {
                load_by_nft(&text);
                listing()
            }
        });
        assert_eq!(ours, theirs, "for {text}");
    }
}

#[test]
fn opening_finds_the_features_and_leaves_nothing() {
    in_a_namespace(|| {
        let nft = Nft::open().unwrap();
        println!("{:?}", nft.features());
        assert_eq!(listing(), "");
        assert_eq!(nft.tables().unwrap(), []);
    });
}

#[test]
fn ten_thousand_rules_load_and_are_replaced_in_one_transaction_each() {
    in_a_namespace(|| {
        let rules = (0..10_000u32).map(|number| Rule {
            action: if number % 3 == 0 { Action::Exclude } else { Action::Include },
            net: ipnet::Ipv4Net::new((0x0a00_0000 + number * 512).into(), 24 + (number % 7) as u8)
                .unwrap()
                .into(),
            ports: None,
        });
        let policy = both(rules);
        let mut nft = Nft::open().unwrap();
        for _ in 0..2 {
            let start = std::time::Instant::now();
            let ruleset = compile(&policy, "shuttle-test", None);
            let compiled = start.elapsed();
            nft.apply(&ruleset).unwrap();
            println!("10,000 rules: {compiled:?} to order, {:?} to load", start.elapsed() - compiled);
        }
        let listing = run("nft list ruleset");
        assert!(listing.matches('/').count() > 9_000, "{} networks", listing.matches('/').count());
    });
}

#[test]
fn the_kernel_decides_as_the_policy_says() {
    in_a_namespace(|| {
        let _v4 = serve("near", "127.0.0.1:12300");
        let _v6 = serve("near", "[::1]:12301");
        let mut nft = Nft::open().unwrap();
        let mut random = TestRunner::deterministic();
        for _ in 0..40 {
            let policy = policies(24).new_tree(&mut random).unwrap().current();
            let ruleset = compile(&policy, "shuttle-test", None);
            nft.apply(&ruleset).unwrap();
            for _ in 0..12 {
                let destination = destinations().new_tree(&mut random).unwrap().current();
                let expected = match destination.port() {
                    _ if is_intercepted(&policy, destination) => "near",
                    7 => "far",
                    _ => "refused",
                };
                let answers =
                    try_who_answers(&destination.to_string()).unwrap_or_else(|_| "refused".to_owned());
                assert_eq!(answers, expected, "{destination} in {ruleset}");
            }
        }
    });
}

#[test]
fn new_rules_replace_the_old_ones_and_spare_connections() {
    in_a_namespace(|| {
        let _near = serve("near", "[::]:12300");
        let mut nft = Nft::open().unwrap();
        let mut apply = |rules: Vec<Rule>| nft.apply(&compile(&both(rules), "shuttle-test", None)).unwrap();
        apply(vec![include("10.1.0.0/16")]);
        let mut redirected = std::net::TcpStream::connect("10.1.0.1:7").unwrap();
        std::io::Read::read_exact(&mut redirected, &mut [0; 5]).unwrap();
        assert_eq!(who_answers("10.2.0.1:7"), "far");
        apply(vec![include("10.2.0.0/16"), include("10.4.0.0/16")]);
        assert_eq!(who_answers("10.1.0.1:7"), "far");
        assert_eq!(who_answers("10.2.0.1:7"), "near");
        assert!(echoes(&mut redirected), "it has been cut");
        assert_eq!(run("nft list tables"), "table inet shuttle-test\n");
    });
}

#[test]
fn a_refused_transaction_changes_nothing_and_names_what_was_refused() {
    in_a_namespace(|| {
        let mut nft = Nft::open().unwrap();
        nft.apply(&compile(&both([include("10.0.0.0/8")]), "shuttle-test", None)).unwrap();
        let before = listing();
        let mut ruleset =
            compile(&both([include("10.0.0.0/8"), include("10.1.0.0/16 port 80")]), "shuttle-test", None);
        let last = ruleset.chains[0].rules.last_mut().unwrap();
        last.verdict = Verdict::Jump("nowhere");
        let refused = last.to_string();
        let error = nft.apply(&ruleset).unwrap_err().to_string();
        assert!(error.contains(&refused), "{error}");
        assert_eq!(listing(), before);
        nft.apply(&compile(&both([include("10.0.0.0/9")]), "shuttle-test", None)).unwrap();
        assert_ne!(listing(), before);
    });
}

#[test]
fn rules_that_fit_no_set_load_too() {
    in_a_namespace(|| {
        let rules = (1..=30_000).map(|port| include(&format!("10.0.0.0/8 port {port}")));
        Nft::open().unwrap().apply(&compile(&both(rules), "shuttle-test", None)).unwrap();
    });
}

#[test]
fn a_program_started_meanwhile_does_not_keep_the_table() {
    in_a_namespace(|| {
        let mut nft = Nft::open().unwrap();
        nft.apply(&compile(&Policy::default(), "shuttle-test", None)).unwrap();
        let _heir = Sleeper::start();
        drop(nft);
        // A child that another test is just starting may have it still, until it becomes another program.
        wait_until("the table is gone", || listing().is_empty());
    });
}

#[test]
fn who_is_not_root_is_told_so() {
    in_a_namespace(|| {
        // Capabilities are per thread.
        let unprivileged = nix::unistd::Uid::from_raw(65534);
        // SAFETY: the raw call, unlike libc's, changes this thread alone; it takes plain numbers.
        let changed = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!((changed, nix::unistd::Uid::current()), (0, unprivileged));
        let error = Nft::open().err().expect("it needs root").to_string();
        assert!(error.contains("CAP_NET_ADMIN"), "{error}");
    });
}
