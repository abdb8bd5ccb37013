//! The networks from which an organization's API keys can be used (`C22`–`C24`, `C26`, `C42`).

use std::{collections::HashSet, fmt, net::IpAddr, sync::Arc};

use ipnet::{IpNet, Ipv4Net};

/// A set of IPv4 and IPv6 networks. The empty set restricts nothing (`C22`).
///
/// An allowlist is immutable, has the size of a pointer and is cheap to clone. Its networks are sorted when it is
/// built: a lookup takes O(log n) and allocates nothing.
///
/// A network of one family contains no address of the other: `0.0.0.0/0` contains no IPv6 address, and `::/0` no IPv4
/// address. An IPv4-mapped IPv6 address (`::ffff:203.0.113.7`) is the IPv4 address, both in the list and in a request
/// (`C26`, RFC 4291 §2.5.5.2).
///
/// Two lists are equal if they hold the same networks in the same order.
///
/// ```
/// use coverbase_auth::IpAllowlist;
///
/// let allowlist = IpAllowlist::parse(["203.0.113.0/24", "2001:db8:77::/48", "198.51.100.7"])?;
///
/// assert!(allowlist.permits(Some("203.0.113.9".parse()?)));
/// assert!(allowlist.permits(Some("::ffff:198.51.100.7".parse()?)));
/// assert!(!allowlist.permits(Some("192.0.2.66".parse()?)));
/// assert!(!allowlist.permits(None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct IpAllowlist(
    /// `None` is the empty set.
    Option<Arc<Compiled>>,
);

#[derive(PartialEq, Eq, Hash)]
struct Compiled {
    networks: Box<[IpNet]>,
    /// The networks that no other contains, sorted.
    outermost: Box<[IpNet]>,
}

impl IpAllowlist {
    /// Makes the empty list, which restricts nothing (`C22`).
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Parses networks as an administrator writes them (`C42`): `203.0.113.0/24`, `2001:db8::/32`, or an address, which is
    /// the network of that host (`/32`, `/128`).
    ///
    /// A mapped network of `/96` or longer becomes the IPv4 network: `::ffff:10.0.0.0/104` is `10.0.0.0/8`. The order is
    /// kept, a repeated network is dropped, and networks that overlap are kept. Without entries the list restricts nothing.
    ///
    /// # Errors
    ///
    /// Returns an error for the first entry that is not a network: one with bits set beyond the prefix (as in every mapped
    /// network shorter than `/96`), a leading zero in an octet or in the prefix, a sign, a zone, or white space.
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// let allowlist = IpAllowlist::parse(["10.0.0.0/8", "2001:DB8:0::1", "10.0.0.0/8"])?;
    /// assert_eq!(allowlist.to_strings(), ["10.0.0.0/8", "2001:db8::1/128"]);
    ///
    /// let error = IpAllowlist::parse(["10.0.0.0/8", "10.0.0.1/8"]).unwrap_err();
    /// assert_eq!(error.value(), "10.0.0.1/8");
    /// # Ok::<(), coverbase_auth::InvalidCidr>(())
    /// ```
    pub fn parse<I>(entries: I) -> Result<Self, InvalidCidr>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let parse = |entry: I::Item| {
            let value = entry.as_ref();
            parse_network(value).ok_or_else(|| InvalidCidr {
                value: value.into(),
            })
        };
        entries.into_iter().map(parse).collect()
    }

    /// Returns whether the list has no network, and so restricts nothing (`C22`).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a network of the list contains `address`: never, if the list is empty. Whether a request is admitted
    /// is [`permits`](Self::permits).
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let outermost = self.0.as_ref().map_or(&[][..], |list| &list.outermost);
        let after = outermost.partition_point(|network| network.addr() <= address);
        let nearest = after.checked_sub(1).and_then(|at| outermost.get(at));
        nearest.is_some_and(|network| network.contains(&address))
    }

    /// Returns whether a request from `client_ip` is admitted: always if the list is empty (`C22`), and otherwise if a
    /// network contains the address (`C23`). A list with any network, even `0.0.0.0/0`, rejects an unknown address, `None`
    /// (`C24`).
    #[must_use]
    pub fn permits(&self, client_ip: Option<IpAddr>) -> bool {
        self.is_empty() || client_ip.is_some_and(|address| self.contains(address))
    }

    /// Returns the networks in canonical form, in the order given, each once.
    #[must_use]
    pub fn networks(&self) -> &[IpNet] {
        self.0.as_ref().map_or(&[], |compiled| &compiled.networks)
    }

    /// Returns the canonical text of each network, in order, as the API returns it (`C42`) and a store keeps it.
    /// [`parse`](Self::parse) makes an equal list of it.
    #[must_use]
    pub fn to_strings(&self) -> Vec<String> {
        self.networks().iter().map(IpNet::to_string).collect()
    }
}

/// Collects networks that are parsed already. Bits set beyond a prefix are cleared, as `ipnet` does; mapped and repeated
/// networks are treated as in [`IpAllowlist::parse`].
///
/// **An empty iterator makes the list that restricts nothing**: a filter that drops the last network admits every address.
///
/// ```
/// use coverbase_auth::IpAllowlist;
/// use ipnet::IpNet;
///
/// let office: IpNet = "203.0.113.9/24".parse()?;
/// let allowlist: IpAllowlist = [office].into_iter().collect();
/// assert_eq!(allowlist.to_strings(), ["203.0.113.0/24"]);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
impl FromIterator<IpNet> for IpAllowlist {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let mut seen = HashSet::new();
        let networks: Box<[IpNet]> = networks
            .into_iter()
            .map(|network| unmapped(network.trunc()))
            .filter(|network| seen.insert(*network))
            .collect();
        let mut outermost = networks.to_vec();
        outermost.sort_unstable();
        // Two networks nest or are disjoint, and the outer one sorts first.
        outermost.dedup_by(|inner, outer| outer.contains(&*inner));
        let compiled = Compiled {
            networks,
            outermost: outermost.into(),
        };
        Self((!compiled.networks.is_empty()).then(|| Arc::new(compiled)))
    }
}

impl fmt::Debug for IpAllowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IpAllowlist({:?})", self.networks())
    }
}

/// The error for an entry that [`IpAllowlist::parse`] cannot read as a network: the 422 of `C42`.
///
/// ```
/// use coverbase_auth::IpAllowlist;
///
/// let error = IpAllowlist::parse(["010.0.0.0/8"]).unwrap_err();
/// assert_eq!(error.value(), "010.0.0.0/8");
/// assert!(error.to_string().starts_with(r#"invalid CIDR "010.0.0.0/8": write "#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid CIDR {value:?}: write an address such as 198.51.100.7 or a network such as \
     203.0.113.0/24 or 2001:db8::/32, with no bits set beyond the prefix, no leading zeros, no zone \
     and no spaces"
)]
pub struct InvalidCidr {
    value: Box<str>,
}

impl InvalidCidr {
    /// Returns the entry as it was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Parses the address with std, since ipnet accepts leading zeros.
fn parse_network(entry: &str) -> Option<IpNet> {
    let Some((address, prefix)) = entry.split_once('/') else {
        return entry.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let prefix_len: u8 = prefix.parse().ok()?;
    let network = IpNet::new(address.parse().ok()?, prefix_len).ok()?;
    // std accepts a sign and leading zeros in a number.
    (prefix_len.to_string() == prefix && network == network.trunc()).then_some(network)
}

/// Returns the IPv4 network that a network inside `::ffff:0:0/96` is (`C26`), and any other network unchanged.
fn unmapped(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(address) = v6.addr().to_ipv4_mapped()
        && let Some(prefix_len) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(address, prefix_len)
    {
        return v4.into();
    }
    network
}

#[cfg(test)]
mod tests;
