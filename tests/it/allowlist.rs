//! The IP allowlist of API keys (C22–C26, T9). C27 is tested in `jwt.rs`, C28 in `requirements.rs`.

use std::net::IpAddr;

use coverbase_auth::{
    ClientIpSource, CoverbaseAuthLayer, IpAllowlist, KeyRecord, KeyRegistry, Lookup, PeerAddr,
    RejectionKind, Requirement, Scope,
};
use http::{Request, StatusCode};
use proptest::{collection::vec, prelude::*};

use crate::support::{KEY, ORG, StoreFn, ask, bearer, block_on, record, store};

const INSIDE: &str = "203.0.113.9";
const OUTSIDE: &str = "192.0.2.66";

/// A layer whose key can be used only from these networks.
fn only_from(networks: &[&str]) -> CoverbaseAuthLayer {
    let allowlist = IpAllowlist::parse(networks).unwrap();
    CoverbaseAuthLayer::new(store(record().with_allowlist(allowlist)))
}

fn behind(proxies: usize) -> CoverbaseAuthLayer {
    only_from(&["203.0.113.0/24"]).with_client_ip(ClientIpSource::trusted_proxies(proxies))
}

fn from_peer(address: &str) -> Request<()> {
    let address: IpAddr = address.parse().unwrap();
    let mut request = bearer(KEY);
    request
        .extensions_mut()
        .insert(PeerAddr::new((address, 51_234)));
    request
}

/// A request whose peer address is inside the allowlist, which is ignored if proxies are trusted.
fn forwarded(lines: &[&[u8]]) -> Request<()> {
    let mut request = from_peer(INSIDE);
    for line in lines {
        let line = http::HeaderValue::from_bytes(line).unwrap();
        request.headers_mut().append("x-forwarded-for", line);
    }
    request
}

fn passes(layer: &CoverbaseAuthLayer, request: Request<()>) -> bool {
    match ask(layer, request).rejection_kind() {
        None => true,
        Some(RejectionKind::IpNotAllowed) => false,
        other => panic!("{other:?}"),
    }
}

// C8, C23, C28
#[test]
fn key_of_a_pending_lookup_gets_the_same_checks_in_the_same_order() {
    let layer = |record: KeyRecord| {
        let store = StoreFn(move |_: &_| {
            let record = record.clone();
            Lookup::pending(async move {
                tokio::task::yield_now().await;
                Ok(Some(record))
            })
        });
        CoverbaseAuthLayer::new(store).with_requirement(Requirement::scope(Scope::AUDIT_READ))
    };
    let restricted = || record().with_allowlist(IpAllowlist::parse(["203.0.113.0/24"]).unwrap());
    let reader = || restricted().with_scopes([Scope::AUDIT_READ]);
    for (record, address, expected) in [
        (reader(), INSIDE, None),
        (reader(), OUTSIDE, Some(RejectionKind::IpNotAllowed)),
        (restricted(), OUTSIDE, Some(RejectionKind::IpNotAllowed)),
        (restricted(), INSIDE, Some(RejectionKind::InsufficientScope)),
        (record(), OUTSIDE, Some(RejectionKind::InsufficientScope)),
        (
            reader().with_expires_at(1),
            INSIDE,
            Some(RejectionKind::InvalidApiKey),
        ),
        (
            reader().with_revoked_at(1),
            OUTSIDE,
            Some(RejectionKind::InvalidApiKey),
        ),
    ] {
        let answer = ask(&layer(record.clone()), from_peer(address));
        assert_eq!(
            answer.rejection_kind(),
            expected,
            "{record:?} from {address}"
        );
    }
}

// C22
#[test]
fn empty_allowlist_restricts_nothing() {
    let layer = only_from(&[]);
    for request in [
        from_peer(INSIDE),
        from_peer(OUTSIDE),
        from_peer("::1"),
        bearer(KEY),
    ] {
        assert!(passes(&layer, request));
    }
}

// C22, C23
#[test]
fn key_is_accepted_only_from_its_networks() {
    let layer = only_from(&["203.0.113.0/24", "198.51.100.7", "2001:db8:77::/48"]);
    for address in [
        "203.0.113.0",
        "203.0.113.9",
        "203.0.113.255",
        "198.51.100.7",
        "2001:db8:77::1",
        "2001:db8:77:ffff:ffff:ffff:ffff:ffff",
    ] {
        assert!(passes(&layer, from_peer(address)), "{address}");
    }
    for address in [
        "203.0.112.255",
        "203.0.114.0",
        "198.51.100.6",
        "198.51.100.8",
        "2001:db8:76::1",
        "2001:db8:78::",
        "127.0.0.1",
        "::1",
    ] {
        assert!(!passes(&layer, from_peer(address)), "{address}");
    }
}

// C23
#[test]
fn rejected_address_gets_403_and_names_the_principal() {
    let answer = ask(&only_from(&[INSIDE]), from_peer(OUTSIDE));
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(
        answer.body,
        r#"{"detail":{"code":"ip_not_allowed","message":"This request originates from an IP address that is not in your organization's API allowlist."}}"#
    );
    let rejection = answer.rejection.unwrap();
    assert_eq!(rejection.principal().unwrap().org_id().as_str(), ORG);
    assert!(passes(&only_from(&[INSIDE]), from_peer(INSIDE)));
}

// C24
#[test]
fn unknown_address_is_rejected_by_every_allowlist() {
    let everywhere = only_from(&["0.0.0.0/0", "::/0"]);
    assert!(!passes(&everywhere, bearer(KEY)));
    assert!(passes(&everywhere, from_peer(OUTSIDE)));

    let unknown = ask(&everywhere, bearer(KEY));
    let outside = ask(&only_from(&[INSIDE]), from_peer(OUTSIDE));
    assert_eq!(unknown.wire(), outside.wire());

    let by_rule = everywhere
        .clone()
        .with_client_ip(ClientIpSource::from_fn(|_| None));
    assert!(!passes(&by_rule, from_peer(INSIDE)));
}

// C25: the default is the peer address.
#[test]
fn forwarding_headers_are_ignored_without_trusted_proxies() {
    for layer in [only_from(&["203.0.113.0/24"]), behind(0)] {
        let mut spoofed = from_peer(OUTSIDE);
        for name in [
            "x-forwarded-for",
            "x-real-ip",
            "forwarded",
            "cf-connecting-ip",
            "true-client-ip",
        ] {
            spoofed.headers_mut().insert(name, INSIDE.parse().unwrap());
        }
        assert!(!passes(&layer, spoofed));
        assert!(passes(&layer, forwarded(&[OUTSIDE.as_bytes()])));
    }
}

// C25, T9: the entry that the outermost trusted proxy appended; the client wrote those further left.
#[test]
fn entry_is_counted_from_the_right() {
    let cases: &[(usize, &[&[u8]], bool)] = &[
        (1, &[b"203.0.113.9"], true),
        (1, &[b"192.0.2.66"], false),
        (1, &[b"192.0.2.66, 203.0.113.9"], true),
        (1, &[b"203.0.113.9, 192.0.2.66"], false),
        (1, &[b"203.0.113.9,203.0.113.9,192.0.2.66"], false),
        (2, &[b"203.0.113.9, 10.0.0.7"], true),
        (2, &[b"10.0.0.7, 203.0.113.9"], false),
        (2, &[b"203.0.113.9, 192.0.2.66, 10.0.0.7"], false),
        (2, &[b"nonsense, 203.0.113.9, also nonsense"], true),
        // Several lines are one list.
        (1, &[b"203.0.113.9", b"192.0.2.66"], false),
        (1, &[b"192.0.2.66", b"203.0.113.9"], true),
        (2, &[b"203.0.113.9", b"10.0.0.7"], true),
        (3, &[b"203.0.113.9", b"10.0.0.7, 10.0.0.8"], true),
        // Unknown: too few, empty, or no address.
        (1, &[], false),
        (2, &[b"203.0.113.9"], false),
        (1, &[b"203.0.113.9,"], false),
        (1, &[b"203.0.113.9", b""], false),
        (1, &[b"unknown"], false),
        (1, &[b"203.0.113.9\xff"], false),
        (1, &[b"203.0.113.9 192.0.2.66"], false),
        (1, &[b"\xff\xfe, 203.0.113.9"], true),
    ];
    for (proxies, lines, expected) in cases {
        assert_eq!(
            passes(&behind(*proxies), forwarded(lines)),
            *expected,
            "{proxies} {lines:?}"
        );
    }
}

// C26
#[test]
fn mapped_address_is_the_ipv4_address() {
    for networks in [["203.0.113.0/24"], ["::ffff:203.0.113.0/120"]] {
        let layer = only_from(&networks);
        assert!(passes(&layer, from_peer("203.0.113.9")));
        assert!(passes(&layer, from_peer("::ffff:203.0.113.9")));
        assert!(!passes(&layer, from_peer("::ffff:192.0.2.66")));
        // IPv4-compatible and translated addresses are different addresses.
        assert!(!passes(&layer, from_peer("::203.0.113.9")));
        assert!(!passes(&layer, from_peer("64:ff9b::203.0.113.9")));
    }
    assert!(!passes(
        &only_from(&["::/0"]),
        from_peer("::ffff:203.0.113.9")
    ));
    assert!(!passes(
        &only_from(&["0.0.0.0/0"]),
        from_peer("2001:db8::1")
    ));
}

// C26
#[test]
fn port_and_brackets_of_an_entry_are_removed() {
    let layer = only_from(&["203.0.113.9", "2001:db8::1"]);
    let layer = layer.with_client_ip(ClientIpSource::trusted_proxies(1));
    for (accepted, rejected) in [
        ("203.0.113.9:443", "203.0.113.9:65536"),
        ("203.0.113.9", "[203.0.113.9]"),
        ("203.0.113.9", "203.0.113.009"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.009"),
        ("[::ffff:203.0.113.9]:443", "[203.0.113.9]:443"),
        ("2001:db8::1", "2001:db8::1%eth0"),
        ("[2001:db8::1]", "[2001:db8::1"),
        ("[2001:db8::1]:443", "[2001:db8::1]:99999"),
        (" 203.0.113.9\t", "\"203.0.113.9\""),
        ("203.0.113.9:0", "203.0.113.9:"),
    ] {
        assert!(
            passes(&layer, forwarded(&[accepted.as_bytes()])),
            "{accepted:?}"
        );
        assert!(
            !passes(&layer, forwarded(&[rejected.as_bytes()])),
            "{rejected:?}"
        );
    }
}

// C22
#[test]
fn allowlist_change_applies_to_the_next_request() {
    let store = store(record());
    let layer = CoverbaseAuthLayer::new(store.clone());
    let set = |networks: &[&str]| {
        let allowlist = IpAllowlist::parse(networks).unwrap();
        block_on(store.set_allowlist(&ORG.into(), allowlist)).unwrap();
    };
    assert!(passes(&layer, from_peer(OUTSIDE)));
    set(&[INSIDE]);
    assert!(!passes(&layer, from_peer(OUTSIDE)));
    assert!(passes(&layer, from_peer(INSIDE)));
    set(&[OUTSIDE]);
    assert!(passes(&layer, from_peer(OUTSIDE)));
    set(&[]);
    assert!(passes(&layer, from_peer(INSIDE)));
}

proptest! {
    // T9, C25
    #[test]
    fn entries_of_the_client_do_not_change_the_decision(
        spoofed in vec(vec(prop_oneof![b' '..=b'~', Just(b','), 128..=255_u8], 0..40), 0..4),
        hops in vec(prop_oneof![Just(INSIDE), Just(OUTSIDE), Just("unknown"), Just("")], 1..4),
    ) {
        let layer = behind(hops.len());
        let mut lines: Vec<&[u8]> = spoofed.iter().map(Vec::as_slice).collect();
        lines.extend(hops.iter().map(|hop| hop.as_bytes()));
        prop_assert_eq!(passes(&layer, forwarded(&lines)), hops[0] == INSIDE);
    }
}
