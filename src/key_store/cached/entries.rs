//! The cached answers: known keys and, apart from them, unknown keys. Each part is bounded, so random keys evict one
//! another and no known key (T14).

use std::sync::{Arc, atomic::Ordering};

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};

use super::{settings::Settings, stats::Counters};
use crate::{credential::KeyDigest, key_store::KeyRecord, principal::OrgId};

/// What a store knows of a key: the record, or that there is no such key.
pub(super) type Found = Option<KeyRecord>;

pub(super) struct Entries {
    known: Part,
    unknown: Part,
}

/// Anyone who presents a key chooses what is inserted here, so the hash is keyed.
type Part = Cache<KeyDigest, Entry, UnitWeighter, DefaultHashBuilder, Arc<Counters>>;

#[derive(Clone)]
struct Entry {
    found: Found,
    /// The end of its time to live, in milliseconds of the monotonic clock.
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
        let live = |part: &Part| part.get(digest).filter(|entry| now < entry.until);
        let entry = live(&self.known).or_else(|| live(&self.unknown))?;
        Some(entry.found)
    }

    /// Caches an answer for its time to live, which counts from `began_at`.
    pub(super) fn keep(&self, digest: KeyDigest, found: Found, began_at: u64, settings: &Settings) {
        let (part, ttl) = match found {
            Some(_) => (&self.known, settings.ttl),
            None => (&self.unknown, settings.negative_ttl),
        };
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let until = began_at.saturating_add(ttl);
        part.insert(digest, Entry { found, until });
    }

    pub(super) fn remove(&self, digest: &KeyDigest) {
        self.known.remove(digest);
        self.unknown.remove(digest);
    }

    /// Removes the known keys of the organization. Unknown keys belong to no organization and stay.
    pub(super) fn remove_organization(&self, org_id: &OrgId) {
        self.known
            .retain(|_, entry| entry.found.as_ref().map(KeyRecord::org_id) != Some(org_id));
    }

    pub(super) fn clear(&self) {
        self.known.clear();
        self.unknown.clear();
    }
}

fn part(capacity: usize, counters: &Arc<Counters>) -> Part {
    let (hasher, counters) = (DefaultHashBuilder::default(), Arc::clone(counters));
    Cache::with(capacity, capacity as u64, UnitWeighter, hasher, counters)
}

impl Lifecycle<KeyDigest, Entry> for Arc<Counters> {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: KeyDigest, _: Entry) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
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
