use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

fn list(entries: &[&str]) -> IpAllowlist {
    IpAllowlist::parse(entries).unwrap()
}

fn outermost(allowlist: &IpAllowlist) -> &[IpNet] {
    &allowlist.0.as_deref().unwrap().outermost
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn empty_list_permits_every_address_and_contains_none() {
    // C22, C24
    for unrestricted in [IpAllowlist::new(), IpAllowlist::default(), list(&[])] {
        assert!(unrestricted.is_empty());
        assert!(unrestricted.permits(None));
        assert!(unrestricted.permits(Some(ip("192.0.2.66"))));
        assert!(!unrestricted.contains(ip("192.0.2.66")));
    }
}

#[test]
fn unknown_address_is_not_permitted_by_any_network() {
    // C24, ip-092
    let everywhere = list(&["0.0.0.0/0", "::/0"]);
    assert!(everywhere.permits(Some(ip("8.8.8.8"))));
    assert!(everywhere.permits(Some(ip("2001:db8::1"))));
    assert!(!everywhere.permits(None));
}

#[test]
fn address_is_contained_up_to_the_ends_of_the_network() {
    // C23, ip-003 to ip-013
    let fenced = list(&["203.0.113.0/24", "198.51.100.7/32", "2001:db8:77::/48"]);
    for (inside, outside) in [
        ("203.0.113.0", "203.0.112.255"),
        ("203.0.113.255", "203.0.114.0"),
        ("198.51.100.7", "198.51.100.6"),
        ("198.51.100.7", "198.51.100.8"),
        ("2001:db8:77::", "2001:db8:76:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8:77:ffff:ffff:ffff:ffff:ffff", "2001:db8:78::"),
        ("2001:DB8:77::ABCD", "::1"),
    ] {
        assert!(fenced.permits(Some(ip(inside))), "{inside}");
        assert!(!fenced.permits(Some(ip(outside))), "{outside}");
    }
}

#[test]
fn network_of_one_family_contains_no_address_of_the_other() {
    // C26, ip-080 to ip-091
    let v4 = list(&["0.0.0.0/0"]);
    let v6 = list(&["::/0"]);
    for address in ["0.0.0.0", "255.255.255.255", "::ffff:203.0.113.9"] {
        assert!(v4.contains(ip(address)), "{address}");
        assert!(!v6.contains(ip(address)), "{address}");
    }
    // IPv4-compatible, NAT64 and 6to4 addresses are IPv6.
    for address in [
        "::",
        "::203.0.113.9",
        "64:ff9b::203.0.113.9",
        "2002:cb00:7109::",
    ] {
        assert!(v6.contains(ip(address)), "{address}");
        assert!(!v4.contains(ip(address)), "{address}");
    }
}

#[test]
fn networks_are_shown_in_canonical_form() {
    // C42, C26
    for (given, canonical) in [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("198.51.100.7", "198.51.100.7/32"),
        ("2001:0DB8:0:0::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::/0", "::/0"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.7/128", "203.0.113.7/32"),
        ("::ffff:cb00:7100/120", "203.0.113.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        // Does not contain the mapped addresses in it, which are IPv4.
        ("::fffe:0:0/95", "::fffe:0:0/95"),
    ] {
        assert_eq!(list(&[given]).to_strings(), [canonical], "{given}");
    }
}

#[test]
fn entry_other_than_one_network_is_invalid() {
    // C42. Each invalid entry is paired with the valid one that it resembles.
    for (invalid, valid) in [
        ("", "::"),
        ("not-a-cidr", "10.0.0.0/8"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("203.0.113.128/24", "203.0.113.128/25"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("1.2.3.4/0", "0.0.0.0/0"),
        ("010.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.00/8", "10.0.0.0/8"),
        ("10.0.0.0/08", "10.0.0.0/8"),
        ("10.0.0.0/+8", "10.0.0.0/8"),
        ("10.0.0.0/-8", "10.0.0.0/8"),
        ("2001:db8::/032", "2001:db8::/32"),
        ("10.0.0.0/33", "10.0.0.0/32"),
        ("::/129", "::/128"),
        ("10.0.0.0/264", "10.0.0.0/8"),
        ("10.0.0.0/", "10.0.0.0"),
        ("/8", "10.0.0.0/8"),
        ("10.0.0.0/8/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("10/8", "10.0.0.0/8"),
        ("167772160", "10.0.0.0"),
        ("0xa.0.0.0/8", "10.0.0.0/8"),
        (" 10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/8 ", "10.0.0.0/8"),
        ("10.0.0.0 /8", "10.0.0.0/8"),
        ("10.0.0.0/ 8", "10.0.0.0/8"),
        ("10.0.0.0/8\n", "10.0.0.0/8"),
        ("10.0.0.0/8,10.1.0.0/16", "10.0.0.0/8"),
        ("１0.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/８", "10.0.0.0/8"),
        ("10.0.0.0:443", "10.0.0.0"),
        ("[2001:db8::]/32", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::%1/64", "fe80::/64"),
        ("::ffff:0:0/95", "::ffff:0:0/96"),
        ("::ffff:10.0.0.0/8", "::ffff:10.0.0.0/104"),
        ("::ffff:010.0.0.0/104", "::ffff:10.0.0.0/104"),
        ("::ffff:10.0.0.1/104", "::ffff:10.0.0.1/128"),
    ] {
        let error = IpAllowlist::parse([valid, invalid, valid]).unwrap_err();
        assert_eq!(error.value(), invalid);
        assert!(error.to_string().contains(&format!("{invalid:?}")));
        assert!(!list(&[valid]).is_empty(), "{valid}");
    }
}

#[test]
fn order_is_kept_and_repeated_networks_are_dropped() {
    // C42
    let given = [
        "10.1.0.0/16",
        "::1",
        "10.0.0.0/8",
        "::ffff:10.1.0.0/112",
        "::1/128",
    ];
    let kept = list(&given);
    assert_eq!(kept.to_strings(), ["10.1.0.0/16", "::1/128", "10.0.0.0/8"]);
    assert_eq!(IpAllowlist::parse(kept.to_strings()).unwrap(), kept);
    assert_ne!(list(&["::1", "10.1.0.0/16", "10.0.0.0/8"]), kept);
}

#[test]
fn typed_networks_become_canonical() {
    let typed: IpAllowlist = ["10.9.8.7/8", "::ffff:10.9.8.7/104", "::ffff:1.2.3.4/80"]
        .map(|net| net.parse().unwrap())
        .into_iter()
        .collect();
    assert_eq!(typed.to_strings(), ["10.0.0.0/8", "::/80"]);
    assert!(typed.contains(ip("::ffff:10.1.1.1")));
    assert!(!typed.contains(ip("::ffff:1.2.3.4")));
}

#[test]
fn nested_network_is_found_through_the_outermost_one() {
    let halves = list(&[
        "128.0.0.0/1",
        "0.0.0.0/1",
        "255.255.255.255",
        "8000::/1",
        "::/1",
    ]);
    assert_eq!(outermost(&halves).len(), 4);
    assert!(halves.contains(ip("127.255.255.255")) && halves.contains(ip("255.255.255.255")));

    let apart = list(&["10.0.0.2", "10.0.0.0", "10.0.0.3", "10.0.0.0/32"]);
    assert_eq!(outermost(&apart).len(), 3);
    assert!(!apart.contains(ip("10.0.0.1")));

    let inside = list(&["10.0.0.0/8", "10.0.0.0/24", "11.0.0.0/8"]);
    assert_eq!(outermost(&inside).len(), 2);
    assert!(inside.contains(ip("10.200.0.1")));
}

#[test]
fn allowlist_is_one_pointer_and_debug_shows_its_networks() {
    assert_eq!(size_of::<IpAllowlist>(), size_of::<usize>());
    assert_eq!(
        format!("{:?}", list(&["::1", "10.0.0.0/8"])),
        "IpAllowlist([::1/128, 10.0.0.0/8])"
    );
}

/// Addresses with few distinct bits, so that networks adjoin, nest and repeat. Some are mapped.
fn address() -> impl Strategy<Value = IpAddr> {
    let bits = || {
        prop_oneof![
            any::<u128>(),
            0..8_u128,
            (0..8_u128).prop_map(|bits| !(bits << 125))
        ]
    };
    let v4 = || bits().prop_map(|bits| Ipv4Addr::from_bits(bits as u32));
    prop_oneof![
        v4().prop_map(IpAddr::V4),
        v4().prop_map(|v4| v4.to_ipv6_mapped().into()),
        bits().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

fn network() -> impl Strategy<Value = IpNet> {
    (address(), 0..=128_u8)
        .prop_map(|(ip, len)| IpNet::new(ip, if ip.is_ipv4() { len / 4 } else { len }).unwrap())
}

/// The first and last address of a network, and their neighbours.
fn boundaries(network: &IpNet) -> Vec<IpAddr> {
    let around = |edge: IpAddr| {
        [-1, 0, 1].map(|step| match edge {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add_signed(step)).into(),
            IpAddr::V6(v6) => {
                Ipv6Addr::from_bits(v6.to_bits().wrapping_add_signed(step.into())).into()
            }
        })
    };
    [around(network.network()), around(network.broadcast())].concat()
}

/// The rule for one network, without ranges.
fn covers_one(network: &IpNet, address: IpAddr) -> bool {
    match (network, address.to_canonical()) {
        (IpNet::V4(net), IpAddr::V4(v4)) => net.contains(&v4),
        (IpNet::V6(net), IpAddr::V4(v4)) => {
            net.prefix_len() >= 96 && net.contains(&v4.to_ipv6_mapped())
        }
        (IpNet::V6(net), IpAddr::V6(v6)) => net.contains(&v6),
        (IpNet::V4(_), IpAddr::V6(_)) => false,
    }
}

proptest! {
    #[test]
    fn compiled_list_equals_a_linear_search(
        networks in vec(network(), 0..12),
        random in vec(address(), 4),
    ) {
        // C22 to C24, C26
        let allowlist: IpAllowlist = networks.iter().copied().collect();
        for address in networks.iter().flat_map(boundaries).chain(random) {
            let covered = networks.iter().any(|network| covers_one(network, address));
            prop_assert_eq!(allowlist.contains(address), covered, "{}", address);
            let permitted = networks.is_empty() || covered;
            prop_assert_eq!(allowlist.permits(Some(address)), permitted, "{}", address);
        }
        prop_assert_eq!(allowlist.permits(None), networks.is_empty());
        prop_assert_eq!(IpAllowlist::parse(allowlist.to_strings()), Ok(allowlist));
    }

    #[test]
    fn valid_entry_is_an_address_of_std_and_a_plain_prefix(
        entry in r"[0-9a-f:.%/+ ]{0,20}|[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}|0\.0\.0\.0/[+0-9]{1,3}",
    ) {
        // C42
        if let Ok(allowlist) = IpAllowlist::parse([&entry]) {
            let (address, prefix) = entry.split_once('/').unwrap_or((&entry, "0"));
            prop_assert!(address.parse::<IpAddr>().is_ok());
            prop_assert_eq!(prefix.parse::<u8>().unwrap().to_string(), prefix);
            prop_assert_eq!(allowlist.networks().len(), 1);
        }
    }
}
