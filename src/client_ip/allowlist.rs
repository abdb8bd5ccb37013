//! The networks that an organization lets its API keys call from (`C22`–`C24`, `C26`, `C42`).

use std::{
    collections::HashSet,
    fmt,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use ipnet::{IpNet, Ipv4Net};

/// A set of IPv4 and IPv6 networks; the empty set restricts nothing (`C22`).
///
/// Immutable, the size of a pointer and cheap to clone. The networks are compiled to sorted ranges
/// when the list is built: a lookup takes O(log n) and allocates nothing.
///
/// The two families never cover one another: `0.0.0.0/0` holds no IPv6 address and `::/0` no IPv4
/// address. An IPv4-mapped IPv6 address (`::ffff:203.0.113.7`) *is* the IPv4 address, in the list
/// and in the address asked about (`C26`, RFC 4291 §2.5.5.2).
///
/// Two lists are equal when they hold the same networks in the same order.
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IpAllowlist(Arc<Compiled>);

impl IpAllowlist {
    /// The list without a network, which restricts nothing (`C22`).
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// assert!(IpAllowlist::new().permits(None));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        // Nearly every key is unrestricted: one list for all of them stays in the CPU's cache.
        static UNRESTRICTED: LazyLock<IpAllowlist> =
            LazyLock::new(|| IpAllowlist(Arc::new(Compiled::default())));
        UNRESTRICTED.clone()
    }

    /// Reads networks as an administrator writes them (`C42`): `203.0.113.0/24`, `2001:db8::/32`, or
    /// a bare address, which is that host (`/32`, `/128`).
    ///
    /// A mapped network of `/96` or longer becomes the IPv4 network that it is: `::ffff:10.0.0.0/104`
    /// is `10.0.0.0/8`. The order is kept, a network that was already there is dropped, and networks
    /// that overlap stay as they were written. No entries make the list that restricts nothing.
    ///
    /// # Errors
    ///
    /// The first entry that is not a network: bits set beyond the prefix (so also every mapped
    /// network shorter than `/96`), a leading zero in an octet or in the prefix, a sign, a zone, any
    /// white space, nothing at all. One such entry refuses the whole list.
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// let allowlist = IpAllowlist::parse(["10.0.0.0/8", "2001:DB8:0::1", "10.0.0.0/8"])?;
    /// assert_eq!(allowlist.to_strings(), ["10.0.0.0/8", "2001:db8::1/128"]);
    ///
    /// let refused = IpAllowlist::parse(["10.0.0.0/8", "10.0.0.1/8"]).unwrap_err();
    /// assert_eq!(refused.value(), "10.0.0.1/8");
    /// # Ok::<(), coverbase_auth::InvalidCidr>(())
    /// ```
    pub fn parse<I>(entries: I) -> Result<Self, InvalidCidr>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        entries
            .into_iter()
            .map(|entry| {
                let entry = entry.as_ref();
                parse_network(entry).ok_or_else(|| InvalidCidr {
                    value: entry.into(),
                })
            })
            .collect()
    }

    /// Whether there is no network in the list, so that it restricts nothing (`C22`).
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// assert!(IpAllowlist::new().is_empty());
    /// assert!(!IpAllowlist::parse(["0.0.0.0/0", "::/0"])?.is_empty());
    /// # Ok::<(), coverbase_auth::InvalidCidr>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.networks.is_empty()
    }

    /// Whether one of the networks covers this address. An empty list has none, so the answer is
    /// `false`; whether a request may pass is [`permits`](Self::permits).
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// let allowlist = IpAllowlist::parse(["::/0"])?;
    /// assert!(allowlist.contains("2001:db8::1".parse()?));
    /// assert!(!allowlist.contains("::ffff:203.0.113.9".parse()?));
    /// assert!(!IpAllowlist::new().contains("203.0.113.9".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => covers(&self.0.v4, address.into()),
            IpAddr::V6(address) => covers(&self.0.v6, address.into()),
        }
    }

    /// Whether a request from this client address may pass: every one where the list is empty (`C22`),
    /// otherwise one that a network covers (`C23`). An unknown address, `None`, does not pass a list
    /// that restricts anything (`C24`), not even `0.0.0.0/0` with `::/0`.
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// let everywhere = IpAllowlist::parse(["0.0.0.0/0", "::/0"])?;
    /// assert!(everywhere.permits(Some("192.0.2.66".parse()?)));
    /// assert!(!everywhere.permits(None));
    /// assert!(IpAllowlist::new().permits(None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn permits(&self, client_ip: Option<IpAddr>) -> bool {
        self.is_empty() || client_ip.is_some_and(|address| self.contains(address))
    }

    /// The networks, canonical, in the order given and each of them once.
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// let allowlist = IpAllowlist::parse(["::ffff:10.0.0.0/104"])?;
    /// assert_eq!(allowlist.networks(), ["10.0.0.0/8".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn networks(&self) -> &[IpNet] {
        &self.0.networks
    }

    /// The canonical text of each network, in order: what the API returns (`C42`) and a store keeps.
    /// [`parse`](Self::parse) makes an equal list of it.
    ///
    /// ```
    /// use coverbase_auth::IpAllowlist;
    ///
    /// let allowlist = IpAllowlist::parse(["198.51.100.7", "2001:DB8::/32"])?;
    /// assert_eq!(allowlist.to_strings(), ["198.51.100.7/32", "2001:db8::/32"]);
    /// # Ok::<(), coverbase_auth::InvalidCidr>(())
    /// ```
    #[must_use]
    pub fn to_strings(&self) -> Vec<String> {
        self.0.networks.iter().map(IpNet::to_string).collect()
    }
}

/// Unrestricted, as [`IpAllowlist::new`].
impl Default for IpAllowlist {
    fn default() -> Self {
        Self::new()
    }
}

/// For networks that are typed already. An [`IpNet`] with bits set beyond its prefix stands for the
/// network around it, as it does in `ipnet`; mapped networks and repeated ones are treated as in
/// [`IpAllowlist::parse`].
///
/// **An iterator without an item makes the list that restricts nothing**: a filter that drops the
/// last network opens the organization to every address.
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
            .map(|network| fold_mapped(network.trunc()))
            .filter(|network| seen.insert(*network))
            .collect();
        if networks.is_empty() {
            return Self::new();
        }
        Self(Arc::new(Compiled::new(networks)))
    }
}

impl fmt::Debug for IpAllowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IpAllowlist")
            .field(&self.0.networks)
            .finish()
    }
}

/// An entry that [`IpAllowlist::parse`] cannot read as a network; on the wire `C42`'s 422.
///
/// ```
/// use coverbase_auth::IpAllowlist;
///
/// let refused = IpAllowlist::parse(["010.0.0.0/8"]).unwrap_err();
/// assert_eq!(refused.value(), "010.0.0.0/8");
/// assert!(refused.to_string().starts_with(r#"invalid CIDR "010.0.0.0/8": write "#));
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
    /// The entry, as it was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

#[derive(Default, PartialEq, Eq, Hash)]
struct Compiled {
    networks: Box<[IpNet]>,
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Compiled {
    fn new(networks: Box<[IpNet]>) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for network in &networks {
            match network {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        Self {
            v4: merge(v4, |last: u32| last.checked_add(1)),
            v6: merge(v6, |last: u128| last.checked_add(1)),
            networks,
        }
    }
}

/// Sorted ranges of first and last address, none of which overlaps or touches the next.
fn merge<T: Copy + Ord>(mut ranges: Vec<(T, T)>, next: fn(T) -> Option<T>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    ranges.dedup_by(|&mut (first, last), (_, merged_last)| {
        // Nothing comes after the family's last address, and so everything touches it.
        let touches = next(*merged_last).is_none_or(|next| first <= next);
        if touches {
            *merged_last = last.max(*merged_last);
        }
        touches
    });
    ranges.into_boxed_slice()
}

fn covers<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    ranges
        .partition_point(|&(first, _)| first <= address)
        .checked_sub(1)
        .and_then(|nearest| ranges.get(nearest))
        .is_some_and(|&(_, last)| address <= last)
}

fn parse_network(entry: &str) -> Option<IpNet> {
    let network = match entry.split_once('/') {
        None => IpNet::from(entry.parse::<IpAddr>().ok()?),
        // ipnet's own parser takes leading zeros, in the octets as in the prefix; std's addresses
        // do not, and a prefix that is not written as we would write it is refused.
        Some((address, prefix)) => {
            let prefix_len: u8 = prefix.parse().ok()?;
            if prefix_len.to_string() != prefix {
                return None;
            }
            IpNet::new(address.parse().ok()?, prefix_len).ok()?
        }
    };
    (network == network.trunc()).then_some(network)
}

/// A mapped network that is wholly inside `::ffff:0:0/96`, as the IPv4 network that it is (`C26`).
fn fold_mapped(network: IpNet) -> IpNet {
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
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn list(entries: &[&str]) -> IpAllowlist {
        IpAllowlist::parse(entries).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_empty_list_restricts_nothing_and_contains_nothing() {
        // C22, C24
        for unrestricted in [IpAllowlist::new(), IpAllowlist::default(), list(&[])] {
            assert!(unrestricted.is_empty());
            assert!(unrestricted.permits(None));
            assert!(unrestricted.permits(Some(ip("192.0.2.66"))));
            assert!(!unrestricted.contains(ip("192.0.2.66")));
        }
    }

    #[test]
    fn an_unknown_address_passes_no_restriction() {
        // C24, ip-092
        let everywhere = list(&["0.0.0.0/0", "::/0"]);
        assert!(everywhere.permits(Some(ip("8.8.8.8"))));
        assert!(everywhere.permits(Some(ip("2001:db8::1"))));
        assert!(!everywhere.permits(None));
    }

    #[test]
    fn a_network_ends_where_its_prefix_says() {
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
    fn the_families_do_not_cover_one_another() {
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
    fn what_is_returned_is_canonical() {
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
            // The mapped addresses in it are IPv4 and so not reached by it.
            ("::fffe:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(list(&[given]).to_strings(), [canonical], "{given}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_network_is_invalid() {
        // C42; beside each refusal the entry that it imitates.
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
            let refused = IpAllowlist::parse([valid, invalid, valid]).unwrap_err();
            assert_eq!(refused.value(), invalid);
            assert!(refused.to_string().contains(&format!("{invalid:?}")));
            assert!(!list(&[valid]).is_empty(), "{valid}");
        }
    }

    #[test]
    fn order_is_kept_and_what_repeats_is_dropped() {
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
    fn typed_networks_are_made_canonical_too() {
        let typed: IpAllowlist = ["10.9.8.7/8", "::ffff:10.9.8.7/104", "::ffff:1.2.3.4/80"]
            .map(|net| net.parse().unwrap())
            .into_iter()
            .collect();
        assert_eq!(typed.to_strings(), ["10.0.0.0/8", "::/80"]);
        assert!(typed.contains(ip("::ffff:10.1.1.1")));
        assert!(!typed.contains(ip("::ffff:1.2.3.4")));
    }

    #[test]
    fn neighbours_merge_up_to_the_last_address() {
        let halves = list(&[
            "128.0.0.0/1",
            "0.0.0.0/1",
            "255.255.255.255",
            "8000::/1",
            "::/1",
        ]);
        assert_eq!(*halves.0.v4, [(0, u32::MAX)]);
        assert_eq!(*halves.0.v6, [(0, u128::MAX)]);

        let apart = list(&["10.0.0.2", "10.0.0.0", "10.0.0.3", "10.0.0.0/32"]);
        assert_eq!(apart.0.v4.len(), 2);
        assert!(!apart.contains(ip("10.0.0.1")));

        let inside = list(&["10.0.0.0/8", "10.0.0.0/24", "11.0.0.0/8"]);
        assert_eq!(inside.0.v4.len(), 1);
        assert!(inside.contains(ip("10.200.0.1")));
    }

    #[test]
    fn the_handle_is_one_pointer_and_says_what_it_holds() {
        assert_eq!(size_of::<IpAllowlist>(), size_of::<usize>());
        assert!(Arc::ptr_eq(&IpAllowlist::new().0, &list(&[]).0));
        assert_eq!(
            format!("{:?}", list(&["::1", "10.0.0.0/8"])),
            "IpAllowlist([::1/128, 10.0.0.0/8])"
        );
    }

    /// Few distinct bits, so that networks meet, nest and repeat; some of them mapped.
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

    /// The first and the last address of a network and what lies just beyond them.
    fn boundaries(network: &IpNet) -> Vec<IpAddr> {
        let around = |edge: IpAddr| {
            [-1, 0, 1].map(|step| match edge {
                IpAddr::V4(v4) => {
                    Ipv4Addr::from_bits(v4.to_bits().wrapping_add_signed(step)).into()
                }
                IpAddr::V6(v6) => {
                    Ipv6Addr::from_bits(v6.to_bits().wrapping_add_signed(step.into())).into()
                }
            })
        };
        [around(network.network()), around(network.broadcast())].concat()
    }

    /// The rule for one network, without ranges and without folding the network.
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
        fn the_compiled_list_answers_as_a_linear_search(
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
        fn what_parses_is_what_std_parses(
            entry in r"[0-9a-f:.%/+ ]{0,20}|[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}|0\.0\.0\.0/[+0-9]{1,3}",
        ) {
            // C42: the address is std's, and the prefix is a number written plainly.
            if let Ok(allowlist) = IpAllowlist::parse([&entry]) {
                let (address, prefix) = entry.split_once('/').unwrap_or((&entry, "0"));
                prop_assert!(address.parse::<IpAddr>().is_ok());
                prop_assert_eq!(prefix.parse::<u8>().unwrap().to_string(), prefix);
                prop_assert_eq!(allowlist.networks().len(), 1);
            }
        }
    }
}
