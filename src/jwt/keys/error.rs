use std::{error::Error, fmt, io};

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
    pub(crate) kid: Option<Box<str>>,
    pub(crate) reason: Box<str>,
}

impl UnusableKey {
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
#[derive(Debug)]
pub struct KeySetError {
    /// The file or URL.
    place: Option<String>,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the key set cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("not a JWKS ({{\"keys\": [..]}}): {0}")]
    Form(String),
    #[error("no usable key in the JWKS: {}", listed(.0))]
    NoUsableKey(Vec<UnusableKey>),
    /// How to fetch the set is configured wrongly.
    #[cfg(feature = "jwks")]
    #[error("{0}")]
    Setup(String),
}

fn listed(keys: &[UnusableKey]) -> String {
    if keys.is_empty() {
        return "it is empty".to_owned();
    }
    let keys: Vec<_> = keys.iter().map(UnusableKey::to_string).collect();
    keys.join("; ")
}

impl KeySetError {
    /// Returns the entries of the set if none of them is usable.
    #[must_use]
    pub fn unusable_keys(&self) -> &[UnusableKey] {
        match &self.fault {
            Fault::NoUsableKey(keys) => keys,
            _ => &[],
        }
    }

    /// Adds the file or URL.
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self {
            place: Some(place.to_string()),
            ..self
        }
    }
}

impl From<Fault> for KeySetError {
    fn from(fault: Fault) -> Self {
        Self { place: None, fault }
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        self.fault.fmt(formatter)
    }
}

impl Error for KeySetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.fault.source()
    }
}
