use std::net::Ipv6Addr;

use http::{HeaderValue, Request};
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn request(lines: &[&[u8]]) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    for line in lines {
        let line = HeaderValue::from_bytes(line).unwrap();
        parts.headers.append(&X_FORWARDED_FOR, line);
    }
    // Must never be the result where X-Forwarded-For decides.
    parts.extensions.insert(PeerAddr::new(([127, 0, 0, 1], 1)));
    parts
}

fn forwarded(n: usize, lines: &[&[u8]]) -> Option<String> {
    let address = ClientIpSource::trusted_proxies(n).client_ip(&request(lines))?;
    Some(address.to_string())
}

#[test]
fn function_sees_the_whole_head() {
    let source = ClientIpSource::from_fn(|parts| {
        let client = parts.headers.get("x-client")?.to_str().ok()?;
        (parts.method == "PUT" && parts.uri == "/v1/ip").then_some(client.parse().ok()?)
    });
    let request = Request::put("/v1/ip").header("x-client", "::ffff:203.0.113.9");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    assert_eq!(
        source.client_ip(&parts),
        Some("203.0.113.9".parse().unwrap())
    );
    parts.headers.clear();
    assert_eq!(source.client_ip(&parts), None);
}

#[test]
fn default_source_is_the_peer_and_ignores_headers() {
    // C25
    let spoofed = request(&[b"203.0.113.9"]);
    for source in [
        ClientIpSource::default(),
        ClientIpSource::peer(),
        ClientIpSource::trusted_proxies(0),
    ] {
        assert_eq!(
            source.client_ip(&spoofed),
            Some(IpAddr::from([127, 0, 0, 1]))
        );
        assert_eq!(source.client_ip(&Request::new(()).into_parts().0), None); // C24
    }
    assert!(forwarded(1, &[b"203.0.113.9"]).is_some());
}

#[test]
fn mapped_address_becomes_ipv4_from_every_source() {
    // C26
    let mapped = "[::ffff:203.0.113.7]:443".parse::<SocketAddr>().unwrap();
    let folded = Some(IpAddr::from([203, 0, 113, 7]));
    let mut parts = request(&[b"::ffff:203.0.113.7"]);
    parts.extensions.insert(PeerAddr::new(mapped));
    assert_eq!(ClientIpSource::peer().client_ip(&parts), folded);
    assert_eq!(ClientIpSource::trusted_proxies(1).client_ip(&parts), folded);
    assert_eq!(
        ClientIpSource::from_fn(move |_| Some(mapped.ip())).client_ip(&parts),
        folded
    );
}

#[cfg(feature = "axum")]
#[test]
fn connect_info_of_axum_is_used_without_a_peer_addr() {
    // C25
    let connected = axum::extract::ConnectInfo(SocketAddr::from(([203, 0, 113, 7], 443)));
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions.insert(connected);
    let source = ClientIpSource::peer();
    assert_eq!(
        source.client_ip(&parts),
        Some(IpAddr::from([203, 0, 113, 7]))
    );
    parts.extensions.insert(PeerAddr::new(([192, 0, 2, 66], 1)));
    assert_eq!(
        source.client_ip(&parts),
        Some(IpAddr::from([192, 0, 2, 66]))
    );
}

#[test]
fn entry_other_than_one_address_is_unknown() {
    // C26, ip-040 to ip-109. Each rejected entry is paired with the valid one that it resembles.
    for (rejected, accepted, address) in [
        ("203.0.113.007", "203.0.113.7", "203.0.113.7"),
        ("0313.0.0161.011", "203.0.113.9", "203.0.113.9"),
        ("203.000.113.009", "203.0.113.9", "203.0.113.9"),
        ("203.0.113.9.", "203.0.113.9", "203.0.113.9"),
        ("203.0.113", "203.0.113.0", "203.0.113.0"),
        ("203.0.28937", "203.0.113.9", "203.0.113.9"),
        ("3405803785", "203.0.113.9", "203.0.113.9"),
        ("0xcb.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("203.0.113.256", "203.0.113.255", "203.0.113.255"),
        ("203.0.113.0/24", "203.0.113.0", "203.0.113.0"),
        ("203.0.113.9 192.0.2.66", "203.0.113.9", "203.0.113.9"),
        ("203.0.113.9;192.0.2.66", "203.0.113.9", "203.0.113.9"),
        ("２03.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("\u{a0}203.0.113.9", " \t203.0.113.9\t ", "203.0.113.9"),
        ("203.0.113.9:", "203.0.113.9:0", "203.0.113.9"),
        ("203.0.113.9:65536", "203.0.113.9:65535", "203.0.113.9"),
        ("203.0.113.9:0443", "203.0.113.9:443", "203.0.113.9"),
        ("203.0.113.9:00", "203.0.113.9:0", "203.0.113.9"),
        ("203.0.113.9:+443", "203.0.113.9:443", "203.0.113.9"),
        ("203.0.113.9: 443", "203.0.113.9:443", "203.0.113.9"),
        ("203.0.113.9:443:443", "203.0.113.9:443", "203.0.113.9"),
        ("203.0.113.9:https", "203.0.113.9:443", "203.0.113.9"),
        ("203.0.113.9:_x", "203.0.113.9:443", "203.0.113.9"),
        (":443", "203.0.113.9:443", "203.0.113.9"),
        ("[203.0.113.9]", "203.0.113.9", "203.0.113.9"),
        ("[203.0.113.9]:443", "203.0.113.9:443", "203.0.113.9"),
        (
            "[::ffff:203.0.113.009]",
            "[::ffff:203.0.113.9]",
            "203.0.113.9",
        ),
        ("::ffff:203.0.113.011", "::ffff:203.0.113.9", "203.0.113.9"),
        (
            "::ffff:203.0.113.9:443",
            "[::ffff:203.0.113.9]:443",
            "203.0.113.9",
        ),
        ("[2001:db8::1", "[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1]", "2001:DB8::1", "2001:db8::1"),
        ("[[2001:db8::1]]", "[2001:db8::1]", "2001:db8::1"),
        ("[ 2001:db8::1 ]", "[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:", "[2001:db8::1]:0", "2001:db8::1"),
        ("[2001:db8::1]443", "[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]:65536", "[2001:db8::1]:65535", "2001:db8::1"),
        ("[2001:db8::1]:0443", "[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1] :443", "[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1:99999", "2001:db8::1:9999", "2001:db8::1:9999"),
        ("2001:db8::1%eth0", "2001:db8::1", "2001:db8::1"),
        ("[fe80::1%1]:443", "[fe80::1]:443", "fe80::1"),
        ("2001:db8::00001", "2001:db8::0001", "2001:db8::1"),
        ("[]", "[::]", "::"),
        ("::g", "64:ff9b::203.0.113.9", "64:ff9b::cb00:7109"),
        ("for=203.0.113.9", "203.0.113.9", "203.0.113.9"),
        ("\"203.0.113.9\"", "203.0.113.9", "203.0.113.9"),
        ("\"[2001:db8::1]:443\"", "[2001:db8::1]:443", "2001:db8::1"),
        ("unknown", "203.0.113.9", "203.0.113.9"),
        ("_hidden", "203.0.113.9", "203.0.113.9"),
        ("-", "203.0.113.9", "203.0.113.9"),
        ("localhost", "127.0.0.1", "127.0.0.1"),
        ("office.example.com", "203.0.113.9", "203.0.113.9"),
    ] {
        assert_eq!(forwarded(1, &[rejected.as_bytes()]), None, "{rejected}");
        assert_eq!(
            forwarded(1, &[accepted.as_bytes()]).as_deref(),
            Some(address),
            "{accepted}"
        );
    }
}

#[test]
fn entries_further_left_are_ignored() {
    // C25, ip-020 to ip-026, ip-111, ip-114, ip-115
    let many = [b"203.0.113.9, ".repeat(200), b"192.0.2.66".to_vec()].concat();
    for lines in [
        &[&b"203.0.113.9, 192.0.2.66"[..]][..],
        &[b"10.0.0.1,192.0.2.66"],
        &[b"203.0.113.9", b"192.0.2.66"],
        &[b"203.0.113.9, 203.0.113.9", b"192.0.2.66"],
        &[b"not-an-ip, 192.0.2.66"],
        &[b"\xff\xfe, 192.0.2.66"],
        &[b"\xff\xfe", b"192.0.2.66"],
        &[b",,,\t192.0.2.66"],
        &[&many],
    ] {
        assert_eq!(
            forwarded(1, lines).as_deref(),
            Some("192.0.2.66"),
            "{lines:?}"
        );
    }
}

#[test]
fn missing_or_invalid_entry_makes_the_address_unknown() {
    // C24, C25, ip-001, ip-002, ip-029 to ip-033
    for lines in [
        &[][..],
        &[&b""[..]],
        &[b"203.0.113.9,"],
        &[b"203.0.113.9, "],
        &[b"203.0.113.9", b""],
        &[b"203.0.113.9", b" \t"],
        &[b",,,"],
        &[b"203.0.113.9, 203.0.113.9\xff"],
    ] {
        assert_eq!(forwarded(1, lines), None, "{lines:?}");
    }
    assert_eq!(
        forwarded(2, &[b"203.0.113.9,"]).as_deref(),
        Some("203.0.113.9")
    );
    assert_eq!(
        forwarded(2, &[b"203.0.113.9", b""]).as_deref(),
        Some("203.0.113.9")
    );
}

#[test]
fn proxies_count_from_the_right_across_header_lines() {
    // C25
    let lines: &[&[u8]] = &[b"192.0.2.1, 192.0.2.2", b"192.0.2.3", b"unknown,192.0.2.5"];
    for (n, found) in [
        (1, Some("192.0.2.5")),
        (2, None),
        (3, Some("192.0.2.3")),
        (4, Some("192.0.2.2")),
        (5, Some("192.0.2.1")),
        (6, None),
        (usize::MAX, None),
    ] {
        assert_eq!(forwarded(n, lines).as_deref(), found, "{n}");
    }
}

#[test]
fn other_headers_are_ignored() {
    // C25, ip-120 to ip-141
    for name in [
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-forwarded",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x_forwarded_for",
    ] {
        let mut parts = request(&[]);
        parts
            .headers
            .insert(name, HeaderValue::from_static("203.0.113.9"));
        assert_eq!(
            ClientIpSource::trusted_proxies(1).client_ip(&parts),
            None,
            "{name}"
        );
        parts
            .headers
            .insert("X-Forwarded-For", HeaderValue::from_static("192.0.2.66"));
        let found = ClientIpSource::trusted_proxies(1).client_ip(&parts);
        assert_eq!(found, Some(IpAddr::from([192, 0, 2, 66])), "{name}");
    }
}

#[test]
fn debug_names_the_constructor() {
    for (source, text) in [
        (ClientIpSource::peer(), "ClientIpSource::peer()"),
        (
            ClientIpSource::trusted_proxies(2),
            "ClientIpSource::trusted_proxies(2)",
        ),
        (
            ClientIpSource::from_fn(|_| None),
            "ClientIpSource::from_fn(..)",
        ),
    ] {
        assert_eq!(format!("{:?}", source.clone()), text);
    }
}

/// The text of an entry, and its address or `None`.
fn entry() -> impl Strategy<Value = (Vec<u8>, Option<IpAddr>)> {
    let v4 = any::<u32>().prop_map(|bits| Ipv4Addr::from(bits.to_be_bytes()));
    let v6 = prop_oneof![
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits.to_be_bytes())),
        v4.clone().prop_map(|v4| v4.to_ipv6_mapped()),
    ];
    let port = || option::of(any::<u16>());
    let with_port = |address: String, port: Option<u16>| match port {
        Some(port) => format!("{address}:{port}"),
        None => address,
    };
    let fold = |v6: Ipv6Addr| Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4));
    let address = prop_oneof![
        (v4.clone(), port())
            .prop_map(move |(v4, port)| (with_port(v4.to_string(), port), Some(v4.into()))),
        v6.clone().prop_map(move |v6| (v6.to_string(), fold(v6))),
        (v6.clone(), port())
            .prop_map(move |(v6, port)| (with_port(format!("[{v6}]"), port), fold(v6))),
    ];
    let noise = prop_oneof![
        v4.clone().prop_map(|v4| format!("[{v4}]")),
        (v4.clone(), 65_536..99_999_u32).prop_map(|(v4, port)| format!("{v4}:{port}")),
        (v4, "[a-z=;\"/ ]{1,4}[.-~]").prop_map(|(v4, after)| format!("{v4}{after}")),
        v6.prop_map(|v6| format!("{v6}%eth0")),
        "[g-z_=\"]{0,8}",
    ];
    let text = prop_oneof![
        3 => address.prop_map(|(text, address)| (text.into_bytes(), address)),
        1 => noise.prop_map(|text| (text.into_bytes(), None)),
        1 => vec(128..=255_u8, 1..4).prop_map(|bytes| (bytes, None)),
    ];
    ("[ \t]{0,2}", text, "[ \t]{0,2}").prop_map(|(before, (text, address), after)| {
        (
            [before.as_bytes(), &text, after.as_bytes()].concat(),
            address,
        )
    })
}

proptest! {
    #[test]
    fn client_address_equals_the_reference_model(
        lines in vec(vec(entry(), 1..5), 0..5),
        n in 1..12_usize,
    ) {
        // T9 (C24 to C26). The model lists every entry and takes the n-th from the right.
        let entries: Vec<_> = lines.iter().flatten().map(|&(_, address)| address).collect();
        let expected = match entries.len() {
            len if len >= n => entries[len - n],
            _ => None,
        };
        let lines: Vec<Vec<u8>> = lines
            .iter()
            .map(|line| {
                let texts: Vec<&[u8]> = line.iter().map(|entry| &*entry.0).collect();
                texts.join(&b","[..])
            })
            .collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let found = ClientIpSource::trusted_proxies(n).client_ip(&request(&lines));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn entries_of_the_client_do_not_change_the_result(
        spoofed in vec(vec(prop_oneof![Just(b','), b' '..=b'~', 128..=255_u8], 0..12), 0..4),
        trusted in vec(entry(), 1..5),
    ) {
        // T9 (C25)
        let n = trusted.len();
        let trusted: Vec<&[u8]> = trusted.iter().map(|entry| &*entry.0).collect();
        let lines: Vec<&[u8]> =
            spoofed.iter().map(Vec::as_slice).chain(trusted.iter().copied()).collect();
        prop_assert_eq!(forwarded(n, &lines), forwarded(n, &trusted));
    }
}
