//! The cached answers: known keys and, apart from them, unknown keys. Each part is bounded, so random keys evict one
//! another and no known key (T14).

use std::sync::Arc;

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};

use super::{settings::Settings, stats::Counters};
use crate::{credential::KeyDigest, key_store::KeyRecord, principal::OrgId};

/// What a store knows of a key: the record, or that there is no such key.
pub(super) type Found = Option<KeyRecord>;

pub(super) struct Entries {
    known: Part<Known>,
    unknown: Part<Unknown>,
}

/// Anyone who presents a key chooses what is inserted here, so the hash is keyed.
type Part<V> = Cache<KeyDigest, V, UnitWeighter, DefaultHashBuilder, Arc<Counters>>;

/// Times are milliseconds of the monotonic clock.
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
    pub(super) fn new(settings: &Settings, counters: &Arc<Counters>) -> Self {
        Self {
            known: part(settings.capacity, counters),
            unknown: part(settings.negative_capacity, counters),
        }
    }

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

    /// Removes the known keys of the organization. Unknown keys belong to no organization and stay.
    pub(super) fn remove_organization(&self, org_id: &OrgId) {
        self.known
            .retain(|_, known| known.record.org_id() != org_id);
    }

    pub(super) fn clear(&self) {
        self.known.clear();
        self.unknown.clear();
    }
}

fn part<V: Clone>(capacity: usize, counters: &Arc<Counters>) -> Part<V> {
    let (hasher, counters) = (DefaultHashBuilder::default(), Arc::clone(counters));
    Cache::with(capacity, capacity as u64, UnitWeighter, hasher, counters)
}

impl<V> Lifecycle<KeyDigest, V> for Arc<Counters> {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: KeyDigest, _: V) {
        self.count_eviction();
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    // T14: digests that were searched for collisions in one process do not collide in another.
    #[test]
    fn hash_of_a_digest_differs_between_caches() {
        let hash = || DefaultHashBuilder::default().hash_one(KeyDigest::from_bytes([7; 32]));
        assert_ne!(hash(), hash());
    }
}
