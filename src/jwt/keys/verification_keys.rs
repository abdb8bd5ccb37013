//! The keys of one issuer at one moment, read from its JWK Set (RFC 7517 §5, C12a).

use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Keys of one `kid` and algorithm are equal.
    usable: Vec<Entry>,
    pub(super) unusable: Vec<UnusableKey>,
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

        let (mut usable, mut unusable) = (Vec::<Entry>::new(), Vec::new());
        for (index, jwk) in jwks.iter().enumerate() {
            match jwk::read(jwk) {
                Ok((kid, keys)) => {
                    let kid = kid.into();
                    usable.push(Entry { index, kid, keys });
                }
                Err(reason) => unusable.push(UnusableKey::new(index, jwk::kid(jwk), reason)),
            }
        }
        let conflicting = usable.iter().filter(|entry| entry.conflicts(&usable));
        let conflicting: Vec<_> = conflicting.map(|entry| entry.index).collect();
        for Entry { index, kid, .. } in
            usable.extract_if(.., |entry| conflicting.contains(&entry.index))
        {
            let reason = "another key of the set has the same `kid` and algorithm".into();
            unusable.push(UnusableKey::new(index, Some(&kid), reason));
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
        let mut entries = self
            .usable
            .iter()
            .filter(|entry| *entry.kid == *signed.kid)
            .peekable();
        if entries.peek().is_none() {
            let mut unusable = self.unusable.iter();
            return match unusable.find(|key| key.kid() == Some(signed.kid)) {
                Some(key) => {
                    info!(target: "coverbase_auth", %key, "a session token names an unusable key");
                    Err(Unverified::UnusableKey)
                }
                None => Err(Unverified::UnknownKid),
            };
        }
        let mut keys = entries.flat_map(|entry| &entry.keys);
        let key = keys.find(|key| key.algorithm == signed.algorithm);
        let key = &key.ok_or(Unverified::OtherAlgorithm)?.key;
        key.verify_sig(signed.message, signed.signature)
            .map_err(|_| Unverified::WrongSignature)
    }

    /// The number of usable entries.
    #[cfg(feature = "jwks")]
    pub(crate) fn len(&self) -> usize {
        self.usable.len()
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
#[derive(Debug)]
struct Entry {
    index: usize,
    kid: Box<str>,
    keys: Vec<VerificationKey>,
}

impl Entry {
    /// Returns whether a token could mean this entry or another one with a different key.
    fn conflicts(&self, entries: &[Self]) -> bool {
        let same_kid = entries.iter().filter(|other| other.kid == self.kid);
        same_kid.flat_map(|other| &other.keys).any(|other| {
            let mut same = self
                .keys
                .iter()
                .filter(|key| key.algorithm == other.algorithm);
            same.any(|key| key.key.as_ref() != other.key.as_ref())
        })
    }
}
