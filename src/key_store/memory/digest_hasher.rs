//! The hash of a digest.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type BuildDigestHasher = BuildHasherDefault<DigestHasher>;

/// Hashes a digest to its own first eight bytes.
///
/// An unkeyed hash is safe here. The service chooses which digests are inserted, and SHA-256 spreads them evenly. A caller
/// chooses the digest of a lookup only by searching SHA-256 preimages, and a lookup inserts nothing. The eight bytes are
/// enough: `DashMap` selects the shard by the high bits of the hash and the bucket by the low bits, so the two choices
/// are independent.
#[derive(Default)]
pub(super) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    /// The last call counts: a derived `Hash` of an array writes its length first.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;
    use crate::credential::KeyDigest;

    #[test]
    fn hash_of_a_digest_is_its_first_eight_bytes() {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let hash = BuildDigestHasher::default().hash_one(KeyDigest::from_bytes(bytes));
        assert_eq!(hash, 0x0807_0605_0403_0201);
    }
}
