//! The digest of an API key, which is stored in place of the secret.

use std::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 digest of a whole API key, by which a [`KeyStore`](crate::KeyStore) finds the key (`C7`).
///
/// A digest is not a secret: presented as a credential it is hashed again and matches no key. It therefore compares with
/// the ordinary `==`, not in constant time.
///
/// ```
/// use coverbase_auth::{ApiKey, KeyDigest};
///
/// let key: ApiKey = "ak_live_example".parse()?;
/// let stored: [u8; 32] = *key.digest().as_bytes();
/// assert_eq!(KeyDigest::from_bytes(stored), key.digest());
/// # Ok::<(), coverbase_auth::InvalidApiKey>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Hashes a presented key.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Makes a digest of the bytes that a store has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // C7, NIST's example for SHA-256 of "abc" (FIPS 180-4).
    #[test]
    fn digest_is_sha_256() {
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
            0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(KeyDigest::of(b"abc").as_bytes(), &expected);
        assert_eq!(format!("{:?}", KeyDigest::of(b"abc")), "KeyDigest(..)");
    }
}
