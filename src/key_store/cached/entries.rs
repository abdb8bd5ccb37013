//! What is cached: keys that there are, and, apart from them, keys that there are not. Each part is bounded, so that random
//! keys push out one another and no good one (T14).

use std::hash::{BuildHasher, Hasher, RandomState};

use quick_cache::{Lifecycle, UnitWeighter, sync::Cache};

use super::{settings::Settings, stats::Evictions};
use crate::{credential::KeyDigest, key_store::KeyRecord, principal::OrgId};

/// A store's word on a key: the record, or that there is none. That a store could not tell is no word on a key.
pub(super) type Found = Option<KeyRecord>;

pub(super) struct Entries {
    known: Part<Known>,
    unknown: Part<Unknown>,
}

type Part<V> = Cache<KeyDigest, V, UnitWeighter, SecretSpread, Evictions>;

/// Times are the monotonic clock's milliseconds.
#[derive(Clone)]
struct Known {
    record: KeyRecord,
    until: u64,
}

#[derive(Clone, Copy)]
struct Unknown {
    until: u64,
}

impl Entries {
    pub(super) fn new(settings: &Settings, evictions: &Evictions) -> Self {
        let spread = SecretSpread::new();
        Self {
            known: part(settings.capacity, spread, evictions),
            unknown: part(settings.negative_capacity, spread, evictions),
        }
    }

    #[inline]
    pub(super) fn at(&self, now: u64, digest: &KeyDigest) -> Option<Found> {
        if let Some(known) = self.known.get(digest)
            && now < known.until
        {
            return Some(Some(known.record));
        }
        let unknown = self.unknown.get(digest)?;
        (now < unknown.until).then_some(None)
    }

    pub(super) fn keep_known(&self, digest: KeyDigest, record: KeyRecord, until: u64) {
        self.known.insert(digest, Known { record, until });
    }

    pub(super) fn keep_unknown(&self, digest: KeyDigest, until: u64) {
        self.unknown.insert(digest, Unknown { until });
    }

    pub(super) fn remove(&self, digest: &KeyDigest) {
        self.known.remove(digest);
        self.unknown.remove(digest);
    }

    /// What is not known to be there is nobody's, and stays.
    pub(super) fn remove_organization(&self, org_id: &OrgId) {
        self.known
            .retain(|_, known| known.record.org_id() != org_id);
    }

    pub(super) fn clear(&self) {
        self.known.clear();
        self.unknown.clear();
    }
}

fn part<V: Clone>(capacity: usize, spread: SecretSpread, evictions: &Evictions) -> Part<V> {
    let weight = u64::try_from(capacity).unwrap_or(u64::MAX);
    Cache::with(capacity, weight, UnitWeighter, spread, evictions.clone())
}

impl<V> Lifecycle<KeyDigest, V> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: KeyDigest, _: V) {
        self.count();
    }
}

/// A digest is its own hash where nobody chooses what is inserted. Here everybody does who presents a key, and could
/// search for keys whose digests lie side by side: so each cache spreads them in a way of its own.
#[derive(Clone, Copy)]
struct SecretSpread {
    mask: u64,
    factor: u64,
}

impl SecretSpread {
    fn new() -> Self {
        let random = RandomState::new();
        Self {
            mask: random.hash_one(0),
            factor: random.hash_one(1) | 1,
        }
    }
}

impl BuildHasher for SecretSpread {
    type Hasher = SpreadHasher;

    #[inline]
    fn build_hasher(&self) -> SpreadHasher {
        SpreadHasher {
            spread: *self,
            hash: 0,
        }
    }
}

struct SpreadHasher {
    spread: SecretSpread,
    hash: u64,
}

impl Hasher for SpreadHasher {
    /// Each half of the product depends on every bit of the word and of the secret, and they are folded together.
    #[inline]
    fn write_u64(&mut self, word: u64) {
        let factor = u128::from(self.spread.factor);
        let product = u128::from(word ^ self.spread.mask) * factor;
        self.hash = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.hash ^ u64::from(*byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    // T14: digests that somebody has searched for, all alike in what picks a place in a map.
    #[test]
    fn digests_that_lie_side_by_side_are_spread() {
        let alike = |count: u16| {
            let mut bytes = [0; 32];
            bytes[2..4].copy_from_slice(&count.to_le_bytes());
            KeyDigest::from_bytes(bytes)
        };
        // Under secrets that are always the same, so that no luck is in it.
        let secrets = (1..=100_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let places = secrets.map(|secret| {
            let spread = SecretSpread {
                mask: secret.rotate_left(32),
                factor: secret | 1,
            };
            let places = (0..256).map(|count| spread.hash_one(alike(count)) % 256);
            places.collect::<HashSet<_>>().len()
        });
        let mean = places.sum::<usize>() / 100;
        assert!(mean > 140, "{mean} places of 256");
        let at = |spread: SecretSpread| spread.hash_one(alike(1));
        assert_ne!(at(SecretSpread::new()), at(SecretSpread::new()));
    }
}
