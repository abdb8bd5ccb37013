//! What a key may do: [`Scope`] and the set of them, [`Scopes`].

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

/// One permission of an API key, such as `keys:manage`.
///
/// A scope is a whole, case-sensitive string (`C9`): there is no hierarchy, no wildcard and no prefix match.
/// Its characters are those of RFC 6749 §3.3: printable ASCII without space, `"` and `\`.
///
/// ```
/// use coverbase_auth::Scope;
///
/// const EXPORT: Scope = Scope::from_static("reports:export");
/// assert_eq!("reports:export".parse::<Scope>()?, EXPORT);
/// assert!("two scopes".parse::<Scope>().is_err());
/// # Ok::<(), coverbase_auth::InvalidScope>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Cow<'static, str>);

/// The scopes that the contract knows (`C9`), in the order of their bits in [`Scopes`].
static KNOWN: [Scope; 4] = [
    Scope::KEYS_MANAGE,
    Scope::AUDIT_READ,
    Scope::BANKING_READ,
    Scope::REVIEW_SENSITIVE_CHANGES,
];

impl Scope {
    /// Reading the public-API audit log (`C18`).
    pub const AUDIT_READ: Self = Self::from_static("audit:read");
    /// Reading banking details.
    pub const BANKING_READ: Self = Self::from_static("banking:read");
    /// Creating, listing, rotating and revoking API keys (`C18`).
    pub const KEYS_MANAGE: Self = Self::from_static("keys:manage");
    /// Reviewing sensitive changes.
    pub const REVIEW_SENSITIVE_CHANGES: Self = Self::from_static("review:sensitive_changes");

    /// A scope of a service's own, checked when the program is compiled.
    ///
    /// # Panics
    ///
    /// When `scope` is not a scope of RFC 6749 §3.3; in a `const` that is a compile error.
    ///
    /// ```
    /// # use coverbase_auth::Scope;
    /// const EXPORT: Scope = Scope::from_static("reports:export");
    /// assert_eq!(EXPORT.as_str(), "reports:export");
    /// ```
    #[must_use]
    pub const fn from_static(scope: &'static str) -> Self {
        assert!(
            is_scope_token(scope.as_bytes()),
            "a scope is printable ASCII without space, quote and backslash (RFC 6749 §3.3)"
        );
        Self(Cow::Borrowed(scope))
    }

    /// The scope as it is written.
    ///
    /// ```
    /// # use coverbase_auth::Scope;
    /// assert_eq!(Scope::AUDIT_READ.as_str(), "audit:read");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The four admin scopes of the contract (`C9`).
    ///
    /// ```
    /// # use coverbase_auth::Scope;
    /// let known = [Scope::KEYS_MANAGE, Scope::AUDIT_READ, Scope::BANKING_READ, Scope::REVIEW_SENSITIVE_CHANGES];
    /// assert_eq!(Scope::known(), known);
    /// ```
    #[must_use]
    pub fn known() -> &'static [Self] {
        &KNOWN
    }

    fn known_bit(&self) -> Option<u8> {
        KNOWN
            .iter()
            .position(|known| known == self)
            .map(|position| 1 << position)
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`, RFC 6749 §3.3.
const fn is_scope_token(mut bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    while let [first, rest @ ..] = bytes {
        if !matches!(first, 0x21 | 0x23..=0x5B | 0x5D..=0x7E) {
            return false;
        }
        bytes = rest;
    }
    true
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(scope: &str) -> Result<Self, InvalidScope> {
        if !is_scope_token(scope.as_bytes()) {
            return Err(InvalidScope(()));
        }
        let known = KNOWN.iter().find(|known| known.as_str() == scope);
        Ok(known
            .cloned()
            .unwrap_or_else(|| Self(Cow::Owned(scope.to_owned()))))
    }
}

impl TryFrom<&str> for Scope {
    type Error = InvalidScope;

    fn try_from(scope: &str) -> Result<Self, InvalidScope> {
        scope.parse()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.0)
    }
}

/// The text is not a scope of RFC 6749 §3.3.
///
/// ```
/// use coverbase_auth::{InvalidScope, Scope};
///
/// let read: Result<Scope, InvalidScope> = "two scopes".parse();
/// assert!(read.unwrap_err().to_string().starts_with("a scope is printable ASCII"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is printable ASCII without space, quote and backslash (RFC 6749 §3.3)")]
pub struct InvalidScope(());

/// The set of scopes that a key carries, or that a route requires.
///
/// The contract's own scopes are bits; a service's own are kept sorted behind an `Arc`, so a set is cheap to clone
/// and [`contains_all`](Self::contains_all) allocates nothing.
///
/// ```
/// use coverbase_auth::{Scope, Scopes};
///
/// let granted: Scopes = [Scope::KEYS_MANAGE, Scope::from_static("reports:export")].into();
/// assert!(granted.contains(&Scope::KEYS_MANAGE));
/// assert!(!granted.contains(&Scope::AUDIT_READ));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Scopes {
    known: u8,
    /// A thin pointer: few keys have any, and every key pays for it.
    own: Option<Arc<Box<[Scope]>>>,
}

impl Scopes {
    /// The empty set: what a key carries unless an administrator grants more (`C9`).
    ///
    /// ```
    /// assert!(coverbase_auth::Scopes::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            known: 0,
            own: None,
        }
    }

    /// Whether nothing is granted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.known == 0 && self.own.is_none()
    }

    /// Whether `scope` is in the set, compared as a whole string (`C9`).
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        match scope.known_bit() {
            Some(bit) => self.known & bit != 0,
            None => self.own().binary_search(scope).is_ok(),
        }
    }

    /// Whether every scope of `required` is in the set.
    ///
    /// ```
    /// use coverbase_auth::{Scope, Scopes};
    ///
    /// let granted = Scopes::from([Scope::AUDIT_READ, Scope::BANKING_READ]);
    /// assert!(granted.contains_all(&[Scope::AUDIT_READ].into()));
    /// assert!(granted.contains_all(&Scopes::new()));
    /// assert!(!granted.contains_all(&[Scope::KEYS_MANAGE].into()));
    /// ```
    #[must_use]
    #[inline]
    pub fn contains_all(&self, required: &Self) -> bool {
        let granted = |scope| self.own().binary_search(scope).is_ok();
        required.known & !self.known == 0
            && (required.own.as_ref()).is_none_or(|own| own.iter().all(granted))
    }

    /// The scopes, the contract's own first.
    ///
    /// ```
    /// use coverbase_auth::{Scope, Scopes};
    ///
    /// let scopes: Scopes = [Scope::from_static("a:b"), Scope::AUDIT_READ].into();
    /// assert_eq!(scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["audit:read", "a:b"]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        let known = KNOWN
            .iter()
            .enumerate()
            .filter(|(position, _)| self.known & (1 << position) != 0)
            .map(|(_, scope)| scope);
        known.chain(self.own())
    }

    fn own(&self) -> &[Scope] {
        self.own.as_ref().map_or(&[], |own| own)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut known = 0;
        let mut own = Vec::new();
        for scope in scopes {
            match scope.known_bit() {
                Some(bit) => known |= bit,
                None => own.push(scope),
            }
        }
        own.sort_unstable();
        own.dedup();
        let own = (!own.is_empty()).then(|| Arc::new(own.into()));
        Self { known, own }
    }
}

impl IntoIterator for Scopes {
    type Item = Scope;
    type IntoIter = std::vec::IntoIter<Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().cloned().collect::<Vec<_>>().into_iter()
    }
}

impl<const N: usize> From<[Scope; N]> for Scopes {
    fn from(scopes: [Scope; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        [scope].into()
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Scope::as_str))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // C9, RFC 6749 §3.3
    #[test]
    fn the_grammar_is_that_of_rfc_6749() {
        for good in [
            "keys:manage",
            "a",
            "!",
            "#[]~",
            "KEYS:MANAGE",
            "*",
            "a/b.c_d-e",
        ] {
            assert!(good.parse::<Scope>().is_ok(), "{good:?}");
        }
        for bad in [
            "", " ", "a b", " a", "a ", "a\"b", "a\\b", "a\tb", "a\0", "kéy", "a\u{7f}",
        ] {
            assert!(bad.parse::<Scope>().is_err(), "{bad:?}");
        }
    }

    // C9
    #[test]
    fn a_scope_is_compared_whole_and_with_its_case() {
        let granted = Scopes::from(Scope::KEYS_MANAGE);
        assert!(granted.contains(&"keys:manage".parse().unwrap()));
        for other in [
            "keys:managex",
            "keys:manag",
            "keys",
            "KEYS:MANAGE",
            "keys:*",
            "*",
            "xkeys:manage",
        ] {
            let other: Scope = other.parse().unwrap();
            assert!(!granted.contains(&other), "{other}");
            assert!(!Scopes::from(other).contains(&Scope::KEYS_MANAGE));
        }
    }

    proptest! {
        // T5: accepted exactly when required ⊆ granted.
        #[test]
        fn contains_all_is_the_subset_relation(
            granted in proptest::collection::btree_set("keys:manage|audit:read|banking:read|[ab]:[cd]", 0..6),
            required in proptest::collection::btree_set("keys:manage|audit:read|banking:read|[ab]:[cd]", 0..4),
        ) {
            let set = |texts: &std::collections::BTreeSet<String>| -> Scopes {
                texts.iter().map(|text| text.parse::<Scope>().unwrap()).collect()
            };
            prop_assert_eq!(set(&granted).contains_all(&set(&required)), required.is_subset(&granted));
            prop_assert_eq!(set(&granted).iter().count(), granted.len());
        }
    }
}
