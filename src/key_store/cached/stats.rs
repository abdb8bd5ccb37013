//! The statistics of a cache.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`CachedStore`](super::CachedStore) has done since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups that were answered from the cache, for known and unknown keys.
    pub hits: u64,
    /// Lookups that were not: each began a load, joined a load, or was rejected because too many loads were in flight.
    pub misses: u64,
    /// Lookups that were sent to the store.
    pub loads: u64,
    /// Entries that were evicted because the cache was full.
    pub evictions: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) evictions: AtomicU64,
}

impl Counters {
    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }
}
