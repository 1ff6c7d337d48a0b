//! The nft backend against a real kernel, and against the nft program.

mod support;

use shuttle_firewall::nft::Nft;
use shuttle_firewall::policy::{Action, Policy, Rule};
use shuttle_firewall::ruleset::compile;
use support::{both, exclude, in_a_namespace, include, listing, load_by_nft, run};

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
