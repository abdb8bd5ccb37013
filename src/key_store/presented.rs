//! A presented key.

use std::fmt;

use crate::credential::{ApiKey, KeyDigest};

/// A key as a request presents it: its digest, and its secret for a store that needs it
/// ([`KeyStore::lookup_presented`](super::KeyStore::lookup_presented)).
///
/// `Debug` shows neither (`C33`).
pub struct PresentedKey<'a> {
    secret: &'a [u8],
    digest: KeyDigest,
}

impl<'a> PresentedKey<'a> {
    /// `secret` is `token68`, which is ASCII.
    pub(crate) fn new(secret: &'a [u8]) -> Self {
        let digest = KeyDigest::of(secret);
        Self { secret, digest }
    }

    /// Returns the SHA-256 digest of the key, which stores keep in place of the secret.
    #[must_use]
    pub const fn digest(&self) -> &KeyDigest {
        &self.digest
    }

    /// Returns the whole key. Send it over TLS only, and do not keep it (`C7`).
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
