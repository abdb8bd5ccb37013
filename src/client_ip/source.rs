//! Where a request comes from, as the allowlist and the audit log see it (`C24`–`C26`, `C37`).

use std::{
    fmt, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
};

use http::{Extensions, HeaderMap, HeaderName, Request, request::Parts};

/// How the client address of a request is found (`C25`). The default is [`peer`](Self::peer).
///
/// An address that cannot be told is `None`, *unknown*, and never some other address in its place:
/// an organization with an allowlist then refuses the request (`C24`). What is found is canonical: an
/// IPv4-mapped IPv6 address is that IPv4 address (`C26`).
///
/// ```
/// use coverbase_auth::ClientIpSource;
///
/// // `203.0.113.9` was written by the client, `192.0.2.66` by the load balancer.
/// let (parts, _) = http::Request::builder()
///     .header("x-forwarded-for", "203.0.113.9, 192.0.2.66")
///     .body(())?
///     .into_parts();
///
/// let source = ClientIpSource::trusted_proxies(1);
/// assert_eq!(source.client_ip(&parts), Some("192.0.2.66".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ClientIpSource(Source);

impl ClientIpSource {
    /// The other end of the connection: for a service that clients reach directly.
    ///
    /// It is read from a [`PeerAddr`] in the request's extensions, else, with the `axum` feature, from
    /// the `axum::extract::ConnectInfo<SocketAddr>` of
    /// `into_make_service_with_connect_info::<SocketAddr>()`. With neither it is unknown.
    ///
    /// Behind a proxy this is the proxy's address, and an allowlist that holds it holds the world:
    /// use [`trusted_proxies`](Self::trusted_proxies) there.
    ///
    /// ```
    /// use coverbase_auth::{ClientIpSource, PeerAddr};
    /// use std::net::SocketAddr;
    ///
    /// let (parts, _) = http::Request::builder()
    ///     .extension(PeerAddr::new("203.0.113.9:51234".parse::<SocketAddr>()?))
    ///     .body(())?
    ///     .into_parts();
    /// assert_eq!(ClientIpSource::peer().client_ip(&parts), Some("203.0.113.9".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn peer() -> Self {
        Self(Source::Peer)
    }

    /// The `n`-th entry from the right of `X-Forwarded-For`, where `n` proxies stand before the
    /// service and each appends the address that it was reached from (`C25`). `0` is
    /// [`peer`](Self::peer).
    ///
    /// All lines of the header are one list, in order. Entries further left are the client's own
    /// words: they are neither read nor checked. Neither are the `n - 1` entries further right, which
    /// our own proxies wrote about one another; they only count, empty ones too. The address is
    /// unknown where the list is shorter than `n` and where the entry is not exactly one address:
    ///
    /// | an address | unknown |
    /// | --- | --- |
    /// | `203.0.113.7`, `203.0.113.7:443` | `203.0.113.007`, `203.0.113.7:`, `203.0.113.7:0443`, `203.0.113.7:65536` |
    /// | `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443` | `[203.0.113.7]`, `fe80::1%eth0`, `[2001:db8::1]443` |
    /// | `::ffff:203.0.113.7`, which is `203.0.113.7` | an empty entry, `unknown`, `for=203.0.113.7`, `"203.0.113.7"`, a host name |
    ///
    /// Spaces and tabs around an entry are dropped (RFC 9110 §5.6.1).
    ///
    /// # Deployment
    ///
    /// Count the proxies that *append*, and let nobody reach the service, nor an inner proxy, except
    /// through all of them: whoever comes in past one of them chooses the entry that is believed.
    /// Too small an `n` finds a proxy's address instead of the client's.
    ///
    /// ```
    /// use coverbase_auth::ClientIpSource;
    ///
    /// let (parts, _) = http::Request::builder()
    ///     .header("x-forwarded-for", "192.0.2.66, 203.0.113.9:51234")
    ///     .header("x-forwarded-for", "10.0.0.7")
    ///     .body(())?
    ///     .into_parts();
    ///
    /// // The outer proxy saw 203.0.113.9, the inner one saw the outer one at 10.0.0.7.
    /// let source = ClientIpSource::trusted_proxies(2);
    /// assert_eq!(source.client_ip(&parts), Some("203.0.113.9".parse()?));
    /// assert_eq!(ClientIpSource::trusted_proxies(4).client_ip(&parts), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trusted_proxies(n: usize) -> Self {
        Self(NonZeroUsize::new(n).map_or(Source::Peer, Source::TrustedProxies))
    }

    /// A rule of your own, for a proxy that names the client in another way, such as a header of its
    /// own. `None` means unknown. It runs where somebody asks for the address, as an allowlist and
    /// the audit log do: do not block in it, and believe nothing that a client could have sent.
    ///
    /// ```
    /// use coverbase_auth::ClientIpSource;
    ///
    /// // Sound only where the edge overwrites the header and nobody comes in past the edge.
    /// let source = ClientIpSource::from_fn(|parts| {
    ///     let mut lines = parts.headers.get_all("cf-connecting-ip").iter();
    ///     match (lines.next(), lines.next()) {
    ///         (Some(line), None) => line.to_str().ok()?.parse().ok(),
    ///         _ => None,
    ///     }
    /// });
    ///
    /// let (parts, _) = http::Request::builder()
    ///     .header("cf-connecting-ip", "::ffff:203.0.113.9")
    ///     .body(())?
    ///     .into_parts();
    /// assert_eq!(source.client_ip(&parts), Some("203.0.113.9".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_fn(f: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Function(Arc::new(f)))
    }

    /// The client address of this request, canonical (`C26`), or `None` where it is unknown (`C24`).
    ///
    /// ```
    /// use coverbase_auth::ClientIpSource;
    ///
    /// let (parts, _) = http::Request::new(()).into_parts();
    /// assert_eq!(ClientIpSource::peer().client_ip(&parts), None);
    /// ```
    #[must_use]
    pub fn client_ip(&self, parts: &Parts) -> Option<IpAddr> {
        canonical(match &self.0 {
            Source::Peer => peer_ip(&parts.extensions),
            Source::TrustedProxies(n) => forwarded_ip(&parts.headers, *n),
            Source::Function(f) => f(parts),
        })
    }

    /// The same, of a request that is whole, and is whole again afterwards.
    pub(crate) fn client_ip_of<B>(&self, request: &mut Request<B>) -> Option<IpAddr> {
        canonical(match &self.0 {
            Source::Peer => peer_ip(request.extensions()),
            Source::TrustedProxies(n) => forwarded_ip(request.headers(), *n),
            Source::Function(f) => {
                let (mut parts, ()) = Request::new(()).into_parts();
                swap_parts(request, &mut parts);
                let address = f(&parts);
                swap_parts(request, &mut parts);
                address
            }
        })
    }
}

/// `C26`
fn canonical(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| address.to_canonical())
}

fn swap_parts<B>(request: &mut Request<B>, parts: &mut Parts) {
    mem::swap(request.method_mut(), &mut parts.method);
    mem::swap(request.uri_mut(), &mut parts.uri);
    mem::swap(request.version_mut(), &mut parts.version);
    mem::swap(request.headers_mut(), &mut parts.headers);
    mem::swap(request.extensions_mut(), &mut parts.extensions);
}

impl fmt::Debug for ClientIpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Peer => f.write_str("ClientIpSource::peer()"),
            Source::TrustedProxies(n) => write!(f, "ClientIpSource::trusted_proxies({n})"),
            Source::Function(_) => f.write_str("ClientIpSource::from_fn(..)"),
        }
    }
}

/// The address of the other end of the connection, which whoever accepts connections puts into the
/// extensions of each request, for [`ClientIpSource::peer`].
///
/// ```
/// use coverbase_auth::PeerAddr;
/// use std::net::SocketAddr;
///
/// # let remote: SocketAddr = "203.0.113.9:51234".parse().unwrap();
/// // let (stream, remote) = listener.accept().await?;
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddr::new(remote));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(SocketAddr);

impl PeerAddr {
    /// The peer at this address.
    ///
    /// ```
    /// use coverbase_auth::PeerAddr;
    ///
    /// let peer = PeerAddr::new(([203, 0, 113, 9], 51234));
    /// assert_eq!(peer.addr().port(), 51234);
    /// ```
    #[must_use]
    pub fn new(addr: impl Into<SocketAddr>) -> Self {
        Self(addr.into())
    }

    /// The address and port, as they were given.
    #[must_use]
    pub fn addr(self) -> SocketAddr {
        self.0
    }
}

#[derive(Clone, Default)]
enum Source {
    #[default]
    Peer,
    TrustedProxies(NonZeroUsize),
    Function(Arc<ClientIpFn>),
}

type ClientIpFn = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fn peer_ip(extensions: &Extensions) -> Option<IpAddr> {
    let ours = extensions.get::<PeerAddr>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let ours = ours.or_else(|| {
        let axum = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>()?;
        Some(axum.0)
    });
    Some(ours?.ip())
}

fn forwarded_ip(headers: &HeaderMap, n: NonZeroUsize) -> Option<IpAddr> {
    parse_entry(forwarded_entry(headers, n)?)
}

/// The `n`-th entry from the right of all lines. Bytes, since what a client put further left need not
/// be text, and must not decide anything.
fn forwarded_entry(headers: &HeaderMap, n: NonZeroUsize) -> Option<&[u8]> {
    headers
        .get_all(&X_FORWARDED_FOR)
        .into_iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','))
        .nth(n.get() - 1)
}

fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        if !after.is_empty() && !after.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    if let Some((address, port)) = entry.split_once(':')
        && let Ok(address) = address.parse::<Ipv4Addr>()
    {
        return is_port(port).then_some(IpAddr::V4(address));
    }
    entry.parse().ok()
}

/// A number from 0 to 65535, written plainly: std alone would take a sign and leading zeros.
fn is_port(port: &str) -> bool {
    port == "0" || (port.starts_with(|c| matches!(c, '1'..='9')) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn request(lines: &[&[u8]]) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        for line in lines {
            let line = HeaderValue::from_bytes(line).unwrap();
            parts.headers.append(&X_FORWARDED_FOR, line);
        }
        // Where X-Forwarded-For decides, this address must never show.
        parts.extensions.insert(PeerAddr::new(([127, 0, 0, 1], 1)));
        parts
    }

    fn forwarded(n: usize, lines: &[&[u8]]) -> Option<String> {
        let address = ClientIpSource::trusted_proxies(n).client_ip(&request(lines))?;
        Some(address.to_string())
    }

    // A function sees all of a request that is whole, and leaves it as it was.
    #[test]
    fn a_request_is_whole_after_a_function_has_seen_its_parts() {
        let source = ClientIpSource::from_fn(|parts| {
            let client = parts.headers.get("x-client")?.to_str().ok()?;
            (parts.method == "PUT" && parts.uri == "/v1/ip").then_some(client.parse().ok()?)
        });
        let mut request = Request::put("/v1/ip")
            .version(http::Version::HTTP_2)
            .header("x-client", "::ffff:203.0.113.9")
            .extension(7_u8)
            .body("body")
            .unwrap();
        let expected = Some("203.0.113.9".parse().unwrap());
        for _ in 0..2 {
            assert_eq!(source.client_ip_of(&mut request), expected);
        }
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.extensions().get(), Some(&7_u8));
        assert_eq!(*request.body(), "body");
        request.headers_mut().clear();
        assert_eq!(source.client_ip_of(&mut request), None);
    }

    #[test]
    fn the_default_is_the_peer_whatever_the_headers_say() {
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
    fn no_source_yields_a_mapped_address() {
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
    fn axum_tells_the_peer_where_nobody_else_did() {
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
    fn an_entry_is_exactly_one_address() {
        // C26, ip-040 to ip-109; beside each refusal the entry that it imitates.
        for (refused, accepted, address) in [
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
            assert_eq!(forwarded(1, &[refused.as_bytes()]), None, "{refused}");
            assert_eq!(
                forwarded(1, &[accepted.as_bytes()]).as_deref(),
                Some(address),
                "{accepted}"
            );
        }
    }

    #[test]
    fn what_stands_further_left_is_never_believed() {
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
    fn an_unknown_address_never_becomes_another_one() {
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
    fn proxies_count_from_the_right_across_lines() {
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
    fn no_other_header_counts() {
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
    fn debug_says_how_it_was_made() {
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

    /// An entry's text with the address that it stands for, `None` where it is not one.
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
        fn the_rule_is_its_reference_model(
            lines in vec(vec(entry(), 1..5), 0..5),
            n in 1..12_usize,
        ) {
            // T9 (C24 to C26): write all entries down, count from the right, believe that one.
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
        fn what_a_client_prepends_changes_nothing(
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
}
