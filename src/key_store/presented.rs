//! A key on its way to a store.

use std::fmt;

use crate::credential::{ApiKey, KeyDigest};

/// A key as a request presents it: its digest, which a store finds it by, and its secret, for a store whose service wants
/// that ([`KeyStore::lookup_presented`](super::KeyStore::lookup_presented)).
///
/// `Debug` shows neither (`C33`).
///
/// ```
/// use coverbase_auth::{ApiKey, Environment, key_store::PresentedKey};
///
/// let key = ApiKey::generate(Environment::Live);
/// let presented = PresentedKey::from(&key);
/// assert_eq!(*presented.digest(), key.digest());
/// assert_eq!(presented.expose_secret(), key.expose_secret());
/// assert_eq!(format!("{presented:?}"), "PresentedKey(..)");
/// ```
pub struct PresentedKey<'a> {
    secret: &'a [u8],
    digest: KeyDigest,
}

impl<'a> PresentedKey<'a> {
    /// `secret` is `token68`: ASCII.
    #[inline]
    pub(crate) fn new(secret: &'a [u8]) -> Self {
        let digest = KeyDigest::of(secret);
        Self { secret, digest }
    }

    /// What a store keeps in place of the secret, and finds it by.
    #[must_use]
    #[inline]
    pub const fn digest(&self) -> &KeyDigest {
        &self.digest
    }

    /// The whole key. It is to be handed on, over TLS, and not to be kept (`C7`).
    #[must_use]
    pub fn expose_secret(&self) -> &'a str {
        str::from_utf8(self.secret).unwrap_or_default()
    }
}

impl<'a> From<&'a ApiKey> for PresentedKey<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self::new(key.expose_secret().as_bytes())
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedKey(..)")
    }
}
