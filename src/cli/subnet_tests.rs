//! Every form of a subnet, sshuttle's own table among them.

use super::*;

fn rules(text: &str) -> Vec<(String, Option<RangeInclusive<u16>>)> {
    let subnet = Subnet::parse(text).unwrap_or_else(|why| panic!("{why}"));
    let rules = subnet.rules(Action::Include).unwrap_or_else(|why| panic!("{why}")).rules;
    rules.into_iter().map(|rule| (rule.net.to_string(), rule.ports)).collect()
}

fn assert_net(text: &str, net: &str) {
    assert_eq!(rules(text), [(net.into(), None)], "{text}");
}

#[test]
fn whole_addresses_and_widths_are_read() {
    assert_net("1.2.3.4", "1.2.3.4/32");
    assert_net("10.0.0.0/8", "10.0.0.0/8");
    assert_net("192.168.0.0/24", "192.168.0.0/24");
    assert_net(" 10.0.0.0/8 ", "10.0.0.0/8");
}

#[test]
fn bits_beyond_the_width_are_dropped() {
    assert_net("10.1.2.3/8", "10.0.0.0/8");
    assert_net("2001:db8::1/32", "2001:db8::/32");
}

#[test]
fn zero_is_everything() {
    assert_net("0/0", "0.0.0.0/0");
    assert_net("::/0", "::/0");
}

#[test]
fn a_short_network_is_filled_with_zeros() {
    assert_net("10/8", "10.0.0.0/8");
    assert_net("172.16/12", "172.16.0.0/12");
    assert_net("192.168/16", "192.168.0.0/16");
    assert_net("192.168.0/24", "192.168.0.0/24");
}

#[test]
fn a_short_address_is_read_as_the_resolver_does() {
    assert_net("192.168.0", "192.168.0.0/32");
    assert_net("10.1", "10.0.0.1/32");
    assert_net("10.0", "10.0.0.0/32");
    assert_net("10.1.300", "10.1.1.44/32");
}

#[test]
fn a_short_address_that_may_be_meant_as_a_network_is_doubted() {
    let warning = |text| Subnet::parse(text).unwrap().rules(Action::Include).unwrap().warning;
    let text = warning("192.168.0").unwrap();
    assert!(text.contains("192.168.0.0") && text.contains("192.168.0/24"), "{text}");
    assert!(warning("10:80").is_some());
    for clear in ["192.168.0/24", "10.0.0.0", "3098282570", "0xa.1", "10.1.300", "0/0"] {
        assert_eq!(warning(clear), None, "{clear}");
    }
}

/// The table of sshuttle's tests/client/test_options.py.
#[test]
fn sshuttles_own_forms_give_sshuttles_results() {
    let forms = [
        ("0.0.0.0", [0, 0, 0, 0]),
        ("255.255.255.255", [255, 255, 255, 255]),
        ("10.0", [10, 0, 0, 0]),
        ("184.172.10.74", [184, 172, 10, 74]),
        ("3098282570", [184, 172, 10, 74]),
        ("0xb8.0xac.0x0a.0x4a", [184, 172, 10, 74]),
        ("0270.0254.0012.0112", [184, 172, 10, 74]),
    ];
    for (text, bytes) in forms {
        assert_net(text, &format!("{}/32", Ipv4Addr::from(bytes)));
        for width in [1, 8, 22, 27, 32] {
            let net = IpNet::new(IpAddr::from(bytes), width).unwrap().trunc();
            assert_net(&format!("{text}/{width}"), &net.to_string());
        }
        assert_eq!(rules(&format!("{text}:80"))[0].1, Some(80..=80), "{text}");
        assert_eq!(rules(&format!("{text}:80-90"))[0].1, Some(80..=90), "{text}");
        assert_eq!(rules(&format!("{text}/16:80-90"))[0].1, Some(80..=90), "{text}");
    }
    for text in ["::", "::1", "fc00::", "2a01:7e00:e000:188::1"] {
        assert_net(text, &format!("{text}/128"));
        for width in [1, 8, 22, 27, 32, 48, 64, 96, 115, 128] {
            let net = IpNet::new(text.parse().unwrap(), width).unwrap().trunc();
            assert_net(&format!("{text}/{width}"), &net.to_string());
            assert_eq!(rules(&format!("[{text}/{width}]:80")), [(net.to_string(), Some(80..=80))]);
            assert_eq!(rules(&format!("[{text}/{width}]:80-90")), [(net.to_string(), Some(80..=90))]);
        }
        assert_eq!(rules(&format!("[{text}]:80")), [(format!("{text}/128"), Some(80..=80))]);
    }
}

#[test]
fn a_width_after_the_bracket_is_understood_too() {
    assert_eq!(rules("[2001:db8::]/32:443"), [("2001:db8::/32".into(), Some(443..=443))]);
    assert_eq!(rules("2001:db8::/32:443"), [("2001:db8::/32".into(), Some(443..=443))]);
}

#[test]
fn port_zero_is_any_port() {
    assert_net("1.2.3.4:0", "1.2.3.4/32");
}

#[test]
fn a_host_name_means_all_its_addresses() {
    // From /etc/hosts, which every machine has.
    let nets: Vec<_> = rules("localhost:22").into_iter().collect();
    assert!(nets.contains(&("127.0.0.1/32".into(), Some(22..=22))), "{nets:?}");
    assert!(nets.iter().all(|(_, ports)| *ports == Some(22..=22)), "{nets:?}");
}

#[test]
fn a_name_with_addresses_of_both_families_takes_no_width() {
    let subnet = Subnet::parse("example.com/24").unwrap();
    let both = ["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    let error = subnet.check_host_width("example.com", &both).unwrap_err();
    assert!(error.contains("example.com") && error.contains("/24"), "{error}");
    let two = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    assert!(subnet.check_host_width("example.com", &two).unwrap().unwrap().contains("2 addresses"));
    assert_eq!(subnet.check_host_width("example.com", &two[..1]), Ok(None));
}

#[test]
fn a_name_that_is_not_found_is_named() {
    let subnet = Subnet::parse("no-such-host.invalid").unwrap();
    let error = subnet.rules(Action::Include).unwrap_err();
    assert!(error.contains("no-such-host.invalid"), "{error}");
}

#[test]
fn nonsense_is_refused_with_the_word_that_is_wrong() {
    for (text, word) in [
        ("10.256.0.0", "10.256.0.0"),
        ("10.0.0.0/33", "/33"),
        ("fc00::/129", "/129"),
        ("10.0.0.0/8/8", "8/8"),
        ("10.0.0.0/", "width"),
        ("10.0.0.0/-1", "-1"),
        ("1.2.3.4:65536", "65536"),
        ("1.2.3.4:http", "http"),
        ("1.2.3.4:90-80", "backwards"),
        ("1.2.3.4:80-", "port"),
        ("1.2.3.4.5", "1.2.3.4.5"),
        ("08.1.1.1", "08.1.1.1"),
        ("[::1", "not closed"),
        ("[::1]x", "expected"),
        ("1::2::3", "IPv6"),
        ("fe80::1%eth0", "IPv6"),
        ("-x", "neither"),
        ("*.", "neither"),
        ("user@host", "user@host"),
        ("", "neither"),
    ] {
        let error = Subnet::parse(text).expect_err(text);
        assert!(error.contains(word), "{text:?}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = Subnet::parse(&text);
    }

    #[test]
    fn no_text_of_its_own_letters_makes_the_parser_panic(text in r"[\[\]:/.\-*0-9a-fx]{0,30}") {
        if let Ok(subnet) = Subnet::parse(&text)
            && matches!(subnet.place, Place::Address(_))
        {
            let rules = subnet.rules(Action::Exclude).unwrap().rules;
            proptest::prop_assert_eq!(rules.len(), 1);
        }
    }

    #[test]
    fn what_ipnet_prints_is_read_back(bytes: [u8; 16], v6: bool, width in 0u8..=128, first: u16, more: u16) {
        let four: [u8; 4] = bytes[..4].try_into().unwrap();
        let address = if v6 { IpAddr::from(bytes) } else { IpAddr::from(four) };
        let net = IpNet::new(address, width.min(widest(address))).unwrap().trunc();
        proptest::prop_assert_eq!(rules(&net.to_string()), [(net.to_string(), None)]);
        let (first, last) = (first.max(1), first.max(1).saturating_add(more));
        let text = if v6 { format!("[{net}]:{first}-{last}") } else { format!("{net}:{first}-{last}") };
        proptest::prop_assert_eq!(rules(&text), [(net.to_string(), Some(first..=last))]);
    }
}
