//! The client address of a request (`C24`–`C26`, `C37`).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
};

use http::{Extensions, HeaderMap, HeaderName, request::Parts};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How the client address of a request is found (`C25`). The default is [`peer`](Self::peer).
///
/// An address that cannot be determined is *unknown*, `None`, and an organization with an allowlist rejects the request
/// (`C24`). An IPv4-mapped IPv6 address becomes that IPv4 address (`C26`).
///
/// ```
/// use coverbase_auth::ClientIpSource;
///
/// // The client wrote `203.0.113.9`, and the load balancer appended `192.0.2.66`.
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

#[derive(Clone, Default)]
enum Source {
    #[default]
    Peer,
    TrustedProxies(NonZeroUsize),
    Function(Arc<ClientIpFn>),
}

type ClientIpFn = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

impl ClientIpSource {
    /// Uses the peer address of the connection, for a service that clients reach directly.
    ///
    /// The address is read from a [`PeerAddr`] in the request's extensions, or else, with the `axum` feature, from the
    /// `axum::extract::ConnectInfo<SocketAddr>` of `into_make_service_with_connect_info::<SocketAddr>()`. Without either
    /// it is unknown.
    ///
    /// Behind a proxy this is the proxy's address, and an allowlist with that address admits every client: use
    /// [`trusted_proxies`](Self::trusted_proxies) there.
    #[must_use]
    pub fn peer() -> Self {
        Self(Source::Peer)
    }

    /// Uses the `n`-th entry from the right of `X-Forwarded-For`, for a service behind `n` proxies that each append the
    /// address of their own peer (`C25`). `0` is [`peer`](Self::peer).
    ///
    /// All lines of the header are one list, in order. Entries further left were written by the client and are ignored.
    /// The `n - 1` entries further right were written by the inner proxies; they are counted and not read, even if they
    /// are empty. The address is unknown if the list is shorter than `n`, or if the entry is not exactly one address:
    ///
    /// | an address | unknown |
    /// | --- | --- |
    /// | `203.0.113.7`, `203.0.113.7:443` | `203.0.113.007`, `203.0.113.7:`, `203.0.113.7:0443`, `203.0.113.7:65536` |
    /// | `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443` | `[203.0.113.7]`, `fe80::1%eth0`, `[2001:db8::1]443` |
    /// | `::ffff:203.0.113.7`, which is `203.0.113.7` | an empty entry, `unknown`, `for=203.0.113.7`, `"203.0.113.7"`, a host name |
    ///
    /// Spaces and tabs around an entry are removed (RFC 9110 §5.6.1).
    ///
    /// # Deployment
    ///
    /// Count the proxies that *append* to the header, and make sure that the service and the inner proxies can only be
    /// reached through all of them: a client that bypasses a proxy chooses the entry that is used. If `n` is too small,
    /// the result is a proxy's address.
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
    /// // The outer proxy's peer was 203.0.113.9, and the inner proxy's peer was the outer proxy, 10.0.0.7.
    /// let source = ClientIpSource::trusted_proxies(2);
    /// assert_eq!(source.client_ip(&parts), Some("203.0.113.9".parse()?));
    /// assert_eq!(ClientIpSource::trusted_proxies(4).client_ip(&parts), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trusted_proxies(n: usize) -> Self {
        Self(NonZeroUsize::new(n).map_or(Source::Peer, Source::TrustedProxies))
    }

    /// Uses the result of `f`, for a proxy that states the client address in another way. `None` means unknown.
    ///
    /// `f` is called when the address is needed, as for an allowlist or an audit record. It must not block, and must not
    /// trust a value that a client can send.
    ///
    /// ```
    /// use coverbase_auth::ClientIpSource;
    ///
    /// // Safe only if the edge overwrites the header and the service can only be reached through the edge.
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

    /// Returns the client address of a request in canonical form (`C26`), or `None` if it is unknown (`C24`).
    #[must_use]
    pub fn client_ip(&self, parts: &Parts) -> Option<IpAddr> {
        let address = match &self.0 {
            Source::Peer => peer_ip(&parts.extensions),
            Source::TrustedProxies(n) => forwarded_ip(&parts.headers, *n),
            Source::Function(f) => f(parts),
        };
        address.map(|address| address.to_canonical())
    }
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

/// The peer address of a connection. A server that accepts connections inserts it into the extensions of each request, for
/// [`ClientIpSource::peer`].
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
    /// Makes a peer address.
    #[must_use]
    pub fn new(addr: impl Into<SocketAddr>) -> Self {
        Self(addr.into())
    }

    /// Returns the address and port as they were given.
    #[must_use]
    pub fn addr(self) -> SocketAddr {
        self.0
    }
}

fn peer_ip(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<PeerAddr>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let peer = peer.or_else(|| {
        let connect_info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
        connect_info.map(|info| info.0)
    });
    peer.map(|peer| peer.ip())
}

/// Reads the `n`-th entry from the right of all lines. The lines are split as bytes, since a client can make its own
/// entries invalid UTF-8.
fn forwarded_ip(headers: &HeaderMap, n: NonZeroUsize) -> Option<IpAddr> {
    let lines = headers.get_all(&X_FORWARDED_FOR).into_iter().rev();
    let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    parse_entry(entries.nth(n.get() - 1)?)
}

fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        if !after.is_empty() && !after.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        return address.parse().ok().map(IpAddr::V6);
    }
    if let Some((address, port)) = entry.split_once(':')
        && let Ok(address) = address.parse::<Ipv4Addr>()
    {
        return is_port(port).then_some(IpAddr::V4(address));
    }
    entry.parse().ok()
}

/// Returns whether `port` is a number from 0 to 65535 without a sign and without leading zeros, which std accepts.
fn is_port(port: &str) -> bool {
    let number = port.parse::<u16>();
    number.is_ok_and(|number| number.to_string() == port)
}

#[cfg(test)]
mod tests;
