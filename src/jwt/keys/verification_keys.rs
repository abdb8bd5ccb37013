//! The keys of one issuer at one moment, read from its JWK Set (RFC 7517 §5, C12a).

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use tracing::info;

use super::{
    error::{Fault, KeySetError, UnusableKey},
    jwk::{self, VerificationKey, member},
};
use crate::{
    json::{self, Value},
    jwt::{algorithm::Algorithm, rejection::Reason},
};

/// The size limit of a JWK Set: 256 KiB. A set of a hundred RSA keys has a sixth of it.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// One state of a key set. A newer state replaces it as a whole.
#[derive(Debug)]
pub(crate) struct Keys {
    /// By `kid`: at most one key for each algorithm.
    usable: HashMap<Box<str>, Vec<VerificationKey>>,
    unusable: Vec<UnusableKey>,
    superseded: AtomicBool,
}

/// A message, its signature, and the key that the header names for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) kid: &'a str,
    pub(crate) algorithm: Algorithm,
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Why a signature is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    UnknownKid,
    UnusableKey,
    OtherAlgorithm,
    WrongSignature,
}

impl Unverified {
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::UnknownKid => "`kid` is not in the key set",
            Self::UnusableKey => "`kid` names an unusable key of the key set",
            Self::OtherAlgorithm => "`alg` is not the algorithm of the key",
            Self::WrongSignature => "the signature is wrong",
        }
    }
}

impl Keys {
    pub(crate) fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let form = |reason: &str| KeySetError::from(Fault::Form(reason.to_owned()));
        if json.len() > MAX_BYTES {
            return Err(form("it is larger than 256 KiB"));
        }
        let set = json::parse_object(json).map_err(|error| form(&error.to_string()))?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(form("it has no array `keys`"));
        };

        let (mut entries, mut unusable) = (Vec::new(), Vec::new());
        for (index, jwk) in jwks.iter().enumerate() {
            match Entry::read(index, jwk) {
                Ok(entry) => entries.push(entry),
                Err(reason) => unusable.push(Entry::unusable(index, kid(jwk), reason)),
            }
        }
        for entry in entries.iter().filter(|entry| entry.conflicts(&entries)) {
            let reason = "another key of the set has the same `kid` and algorithm";
            unusable.push(Entry::unusable(entry.index, Some(entry.kid), reason.into()));
        }
        unusable.sort_by_key(|key| key.index);
        let mut usable: HashMap<Box<str>, Vec<VerificationKey>> = HashMap::new();
        for entry in entries {
            if unusable.iter().any(|other| other.index == entry.index) {
                continue;
            }
            let keys = usable.entry(entry.kid.into()).or_default();
            for key in entry.keys {
                // An equal key is an entry that occurs twice.
                if keys
                    .iter()
                    .all(|other| other.algorithm() != key.algorithm())
                {
                    keys.push(key);
                }
            }
        }
        if usable.is_empty() {
            return Err(Fault::NoUsableKey(unusable).into());
        }
        Ok(Self {
            usable,
            unusable,
            superseded: AtomicBool::new(false),
        })
    }

    /// Verifies with the key of exactly this `kid` and algorithm (C11, C12).
    pub(crate) fn verify(&self, signed: &Signed<'_>) -> Result<(), Unverified> {
        let Some(keys) = self.usable.get(signed.kid) else {
            let mut unusable = self.unusable.iter();
            return match unusable.find(|key| key.kid() == Some(signed.kid)) {
                Some(key) => {
                    info!(target: "coverbase_auth", %key, "a session token names an unusable key");
                    Err(Unverified::UnusableKey)
                }
                None => Err(Unverified::UnknownKid),
            };
        };
        let key = keys.iter().find(|key| key.algorithm() == signed.algorithm);
        let key = key.ok_or(Unverified::OtherAlgorithm)?;
        if key.verifies(signed.message, signed.signature) {
            Ok(())
        } else {
            Err(Unverified::WrongSignature)
        }
    }

    /// The number of `kid`s that can be used.
    #[cfg(feature = "jwks")]
    pub(crate) fn len(&self) -> usize {
        self.usable.len()
    }

    pub(crate) fn unusable(&self) -> &[UnusableKey] {
        &self.unusable
    }

    /// Invalidates what these keys have verified.
    #[cfg(feature = "jwks")]
    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }

    pub(crate) fn are_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }
}

/// A usable entry of the set.
struct Entry<'a> {
    index: usize,
    kid: &'a str,
    keys: Vec<VerificationKey>,
}

impl<'a> Entry<'a> {
    fn read(index: usize, jwk: &'a Value<'_>) -> Result<Self, String> {
        let object = jwk.as_object().ok_or("it is not a JSON object")?;
        let kid = kid(jwk).ok_or("it has no `kid`")?;
        let keys = jwk::read(object)?;
        Ok(Self { index, kid, keys })
    }

    fn unusable(index: usize, kid: Option<&str>, reason: String) -> UnusableKey {
        UnusableKey {
            index,
            kid: kid.map(Into::into),
            reason: reason.into(),
        }
    }

    /// Returns whether a token could mean this entry or another one with a different key.
    fn conflicts(&self, entries: &[Self]) -> bool {
        let same_kid = entries.iter().filter(|other| other.kid == self.kid);
        same_kid.flat_map(|other| &other.keys).any(|other| {
            let mut keys = self.keys.iter();
            keys.any(|key| key.conflicts_with(other))
        })
    }
}

fn kid<'a>(jwk: &'a Value<'_>) -> Option<&'a str> {
    let kid = jwk.as_object().and_then(|jwk| member(jwk, "kid"))?;
    kid.as_str().filter(|kid| !kid.is_empty())
}
