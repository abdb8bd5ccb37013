//! The keys of one issuer at one moment, read from its JWK Set (RFC 7517 §5, C12a).

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use tracing::info;

use super::{
    error::{KeySetError, UnusableKey},
    jwk::{self, VerificationKey},
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
    /// By `kid`. Keys of one `kid` and algorithm are equal.
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
        if json.len() > MAX_BYTES {
            return Err(KeySetError::malformed("it is larger than 256 KiB"));
        }
        let set = json::parse_object(json).map_err(KeySetError::malformed)?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(KeySetError::malformed("it has no array `keys`"));
        };

        let (mut entries, mut unusable) = (Vec::<Entry<'_>>::new(), Vec::new());
        for (index, jwk) in jwks.iter().enumerate() {
            match jwk::read(jwk) {
                Ok((kid, keys)) => entries.push(Entry { index, kid, keys }),
                Err(reason) => unusable.push(UnusableKey::new(index, jwk::kid(jwk), reason)),
            }
        }
        let conflicts: Vec<bool> = entries
            .iter()
            .map(|entry| entry.conflicts(&entries))
            .collect();
        let mut usable: HashMap<Box<str>, Vec<VerificationKey>> = HashMap::new();
        for (Entry { index, kid, keys }, conflicts) in entries.into_iter().zip(conflicts) {
            if conflicts {
                let reason = "another key of the set has the same `kid` and algorithm".into();
                unusable.push(UnusableKey::new(index, Some(kid), reason));
            } else {
                usable.entry(kid.into()).or_default().extend(keys);
            }
        }
        unusable.sort_by_key(|key| key.index);
        if usable.is_empty() {
            return Err(KeySetError::no_usable_key(unusable));
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

impl Entry<'_> {
    /// Returns whether a token could mean this entry or another one with a different key.
    fn conflicts(&self, entries: &[Self]) -> bool {
        let same_kid = entries.iter().filter(|other| other.kid == self.kid);
        same_kid.flat_map(|other| &other.keys).any(|other| {
            let mut keys = self.keys.iter();
            keys.any(|key| key.conflicts_with(other))
        })
    }
}
