//! The keys of one issuer at one moment, read from the JWK Set that it publishes (RFC 7517 §5).

use std::{
    collections::{BTreeMap, HashMap},
    fmt, io,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    json::{self, Value},
    jwt::{
        headers::Headers,
        keys::jwk::{VerifyingKey, quoted},
    },
};

/// The largest key set that is read: a set of a hundred RSA keys is a sixth of it.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// One state of a key set, replaced only as a whole.
#[derive(Debug)]
pub(crate) struct Keys {
    usable: BTreeMap<Box<str>, VerifyingKey>,
    refused: Vec<RefusedKey>,
    headers: Headers,
    superseded: AtomicBool,
}

impl Keys {
    pub(crate) fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MAX_BYTES {
            return Err(KeySetError::form("it is larger than 256 KiB"));
        }
        let set = json::parse_object(json).map_err(|error| KeySetError::form(error.to_string()))?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(KeySetError::form("it has no array `keys`"));
        };

        let mut occurrences: HashMap<&str, usize> = HashMap::new();
        for kid in jwks.iter().filter_map(kid) {
            *occurrences.entry(kid).or_default() += 1;
        }

        let mut keys = Self {
            usable: BTreeMap::new(),
            refused: Vec::new(),
            headers: Headers::default(),
            superseded: AtomicBool::new(false),
        };
        for (index, jwk) in jwks.iter().enumerate() {
            let kid = kid(jwk).filter(|kid| !kid.is_empty());
            match usable(jwk, kid, &occurrences) {
                Ok((kid, key)) => drop(keys.usable.insert(kid.into(), key)),
                Err(reason) => keys.refused.push(RefusedKey {
                    index,
                    kid: kid.map(Into::into),
                    reason: reason.into(),
                }),
            }
        }
        if keys.usable.is_empty() {
            Err(KeySetError::from(Fault::NoUsableKey(keys.refused)))
        } else {
            Ok(keys)
        }
    }

    /// The key of exactly this `kid`.
    pub(crate) fn key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.usable.get(kid)
    }

    /// The headers of tokens that these keys have verified.
    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }

    #[cfg(feature = "jwks")]
    pub(crate) fn len(&self) -> usize {
        self.usable.len()
    }

    pub(crate) fn refused(&self) -> &[RefusedKey] {
        &self.refused
    }

    /// From here on nothing counts that was verified by these keys.
    #[cfg(feature = "jwks")]
    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn are_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }
}

fn kid<'a>(jwk: &'a Value<'_>) -> Option<&'a str> {
    jwk.as_object()?.get("kid")?.as_str()
}

fn usable<'a>(
    jwk: &Value<'_>,
    kid: Option<&'a str>,
    occurrences: &HashMap<&str, usize>,
) -> Result<(&'a str, VerifyingKey), String> {
    let jwk = jwk.as_object().ok_or("it is not a JSON object")?;
    let kid = kid.ok_or("it has no `kid`, by which tokens name their key")?;
    if occurrences.get(kid).is_some_and(|times| *times > 1) {
        return Err(
            "another key of the set has the same `kid`: which one signed cannot be told".into(),
        );
    }
    Ok((kid, VerifyingKey::from_jwk(jwk)?))
}

/// A key of a [`KeySet`](crate::KeySet) that is not used, with the reason. Its text is escaped, fit for a log.
///
/// ```
/// # use coverbase_auth::KeySet;
/// let error = KeySet::from_jwks(r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#).unwrap_err();
/// let refused = &error.refused()[0];
/// assert_eq!(refused.kid(), None);
/// assert_eq!(refused.reason(), "it has no `kid`, by which tokens name their key");
/// assert_eq!(refused.to_string(), "key 1: it has no `kid`, by which tokens name their key");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    index: usize,
    kid: Option<Box<str>>,
    reason: Box<str>,
}

impl RefusedKey {
    /// The key's `kid`, unescaped, where it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Why the key is not used: ``its `use` is "enc", not "sig"``.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for RefusedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kid() {
            Some(kid) => write!(formatter, "key {}: {}", quoted(kid), self.reason),
            None => write!(formatter, "key {}: {}", self.index + 1, self.reason),
        }
    }
}

/// Why there is no [`KeySet`](crate::KeySet): for the person who builds the layer. Its text names the file or the address, where there is one, and what to mend.
///
/// ```
/// use coverbase_auth::{KeySet, jwt::KeySetError};
///
/// let set: Result<KeySet, KeySetError> = KeySet::from_jwks(r#"{"keys": []}"#);
/// assert_eq!(set.unwrap_err().to_string(), "no usable key in the JWKS: it is empty");
/// ```
#[derive(Debug)]
pub struct KeySetError {
    /// The file or the address.
    place: Option<Box<str>>,
    fault: Fault,
}

#[derive(Debug)]
pub(crate) enum Fault {
    Read(io::Error),
    Form(String),
    NoUsableKey(Vec<RefusedKey>),
    /// How the set would be fetched is not well configured: what is wrong, and what to do.
    #[cfg(feature = "jwks")]
    Setup(String),
}

impl KeySetError {
    /// The keys that were there and are unfit, where that is the reason.
    #[must_use]
    pub fn refused(&self) -> &[RefusedKey] {
        match &self.fault {
            Fault::NoUsableKey(refused) => refused,
            _ => &[],
        }
    }

    fn form(reason: impl Into<String>) -> Self {
        Fault::Form(reason.into()).into()
    }

    /// Names the file or the address.
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self {
            place: Some(place.to_string().into()),
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
        match &self.fault {
            Fault::Read(error) => write!(formatter, "the key set cannot be read: {error}"),
            Fault::Form(reason) => write!(formatter, "not a JWKS ({{\"keys\": [..]}}): {reason}"),
            Fault::NoUsableKey(refused) if refused.is_empty() => {
                formatter.write_str("no usable key in the JWKS: it is empty")
            }
            Fault::NoUsableKey(refused) => {
                formatter.write_str("no usable key in the JWKS: ")?;
                for (index, key) in refused.iter().enumerate() {
                    write!(formatter, "{}{key}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            #[cfg(feature = "jwks")]
            Fault::Setup(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for KeySetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Read(error) => Some(error),
            _ => None,
        }
    }
}
