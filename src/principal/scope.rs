//! Permissions of API keys: [`Scope`], and [`Scopes`], a set of them.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

/// One permission of an API key, such as `keys:manage`.
///
/// A scope is compared as a whole, case-sensitive string, without hierarchy, wildcard or prefix match (`C9`). Its
/// characters are those of RFC 6749 §3.3: printable ASCII without space, `"` and `\`.
///
/// ```
/// use coverbase_auth::Scope;
///
/// const EXPORT: Scope = Scope::from_static("reports:export");
/// assert_eq!("reports:export".parse::<Scope>()?, EXPORT);
/// assert!("two scopes".parse::<Scope>().is_err());
/// # Ok::<(), coverbase_auth::InvalidScope>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Cow<'static, str>);

/// The scopes of the contract (`C9`), in their order in [`Scopes`].
static KNOWN: [Scope; 4] = [
    Scope::KEYS_MANAGE,
    Scope::AUDIT_READ,
    Scope::BANKING_READ,
    Scope::REVIEW_SENSITIVE_CHANGES,
];

impl Scope {
    /// Reading the audit log (`C18`).
    pub const AUDIT_READ: Self = Self::from_static("audit:read");
    /// Reading banking details.
    pub const BANKING_READ: Self = Self::from_static("banking:read");
    /// Creating, listing, rotating and revoking API keys (`C18`).
    pub const KEYS_MANAGE: Self = Self::from_static("keys:manage");
    /// Reviewing sensitive changes.
    pub const REVIEW_SENSITIVE_CHANGES: Self = Self::from_static("review:sensitive_changes");

    /// Makes a scope of the service's own. In a `const` it is checked at compile time.
    ///
    /// # Panics
    ///
    /// Panics if `scope` is not a scope of RFC 6749 §3.3.
    #[must_use]
    pub const fn from_static(scope: &'static str) -> Self {
        assert!(
            is_scope_token(scope.as_bytes()),
            "a scope is printable ASCII without space, quote and backslash (RFC 6749 §3.3)"
        );
        Self(Cow::Borrowed(scope))
    }

    /// Returns the scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the four admin scopes of the contract (`C9`).
    #[must_use]
    pub fn known() -> &'static [Self] {
        &KNOWN
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
        if is_scope_token(scope.as_bytes()) {
            Ok(Self(Cow::Owned(scope.to_owned())))
        } else {
            Err(InvalidScope(()))
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error for a text that is not a scope of RFC 6749 §3.3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is printable ASCII without space, quote and backslash (RFC 6749 §3.3)")]
pub struct InvalidScope(());

/// A set of scopes: those that a key carries, or those that a route requires. The default is the empty set.
///
/// A set is one pointer, which is cheap to clone, and [`contains_all`](Self::contains_all) allocates nothing.
///
/// ```
/// use coverbase_auth::{Scope, Scopes};
///
/// let granted: Scopes = [Scope::KEYS_MANAGE, Scope::from_static("reports:export")].into();
/// assert!(granted.contains(&Scope::KEYS_MANAGE));
/// assert!(!granted.contains(&Scope::AUDIT_READ));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Scopes(
    /// A thin pointer, since every key holds one. `None` is the empty set.
    Option<Arc<Box<[Scope]>>>,
);

impl Scopes {
    /// Makes the empty set, which is the default of a key (`C9`).
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether `scope` is in the set, compared as a whole string (`C9`).
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.iter().any(|contained| contained == scope)
    }

    /// Returns whether every scope of `required` is in the set.
    #[must_use]
    pub fn contains_all(&self, required: &Self) -> bool {
        required.iter().all(|scope| self.contains(scope))
    }

    /// Iterates over the scopes, the contract's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter().flat_map(|scopes| scopes.iter())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        let position = |scope: &Scope| KNOWN.iter().position(|known| known == scope);
        scopes.sort_by_key(|scope| position(scope).unwrap_or(KNOWN.len()));
        Self((!scopes.is_empty()).then(|| Arc::new(scopes.into())))
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
        let scopes = self.iter().map(Scope::as_str);
        f.debug_set().entries(scopes).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // C9, RFC 6749 §3.3
    #[test]
    fn text_is_a_scope_in_the_grammar_of_rfc_6749() {
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
    fn scope_is_compared_as_a_whole_and_with_case() {
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
        // T5
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
