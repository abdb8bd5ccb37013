use std::fmt;

use super::jwk::quoted;

/// An entry of a JWK Set that is not used, with the reason. Its `Display` is escaped and safe to log.
///
/// ```
/// # use coverbase_auth::KeySet;
/// let error = KeySet::from_jwks(r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#).unwrap_err();
/// let unusable = &error.unusable_keys()[0];
/// assert_eq!(unusable.kid(), None);
/// assert_eq!(unusable.to_string(), "key 1: it has no `kid`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    pub(crate) index: usize,
    kid: Option<String>,
    reason: String,
}

impl UnusableKey {
    pub(crate) fn new(index: usize, kid: Option<&str>, reason: String) -> Self {
        let kid = kid.map(str::to_owned);
        Self { index, kid, reason }
    }

    /// Returns the `kid` of the entry, unescaped.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns why the entry is not used: ``its `use` is "enc", not "sig"``.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for UnusableKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kid() {
            Some(kid) => write!(formatter, "key {}: {}", quoted(kid), self.reason),
            None => write!(formatter, "key {}: {}", self.index + 1, self.reason),
        }
    }
}

/// Why a [`KeySet`](crate::KeySet) cannot be built. Its `Display` names the file or URL, if any, and the fix.
///
/// ```
/// use coverbase_auth::KeySet;
///
/// let error = KeySet::from_jwks(r#"{"keys": []}"#).unwrap_err();
/// assert_eq!(error.to_string(), "no usable key in the JWKS: it is empty");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct KeySetError {
    message: String,
    unusable: Vec<UnusableKey>,
}

impl KeySetError {
    /// Returns the entries of the set if none of them is usable.
    #[must_use]
    pub fn unusable_keys(&self) -> &[UnusableKey] {
        &self.unusable
    }

    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            unusable: Vec::new(),
        }
    }

    pub(crate) fn malformed(reason: impl fmt::Display) -> Self {
        Self::new(format!("not a JWKS ({{\"keys\": [..]}}): {reason}"))
    }

    pub(crate) fn no_usable_key(unusable: Vec<UnusableKey>) -> Self {
        let reasons: Vec<_> = unusable.iter().map(UnusableKey::to_string).collect();
        let reasons = match &reasons[..] {
            [] => "it is empty".to_owned(),
            reasons => reasons.join("; "),
        };
        Self {
            message: format!("no usable key in the JWKS: {reasons}"),
            unusable,
        }
    }

    /// Adds the file or URL.
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self {
            message: format!("{place}: {}", self.message),
            ..self
        }
    }
}
