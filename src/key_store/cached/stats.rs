//! How a cache is doing, in numbers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::credential::KeyDigest;

/// What a [`CachedStore`](super::CachedStore) has done since it was made.
///
/// ```
/// use coverbase_auth::key_store::CacheStats;
///
/// fn hit_rate(stats: &CacheStats) -> f64 {
///     stats.hits as f64 / (stats.hits + stats.misses).max(1) as f64
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups that were answered from the cache, whether there was such a key or not.
    pub hits: u64,
    /// Lookups that were not: each began a load, joined one, or was refused one.
    pub misses: u64,
    /// Questions that were put to the store.
    pub loads: u64,
    /// Entries that gave way to others for want of room.
    pub evictions: u64,
}

/// Hits are counted by every core at once, on lines of memory apart from each other and from what they read.
#[derive(Default)]
pub(super) struct Counters {
    hits: [Line; 8],
    misses: Line,
    loads: Line,
    evictions: Evictions,
}

#[derive(Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// Shared with the parts of the cache, which evict by themselves.
#[derive(Clone, Default)]
pub(super) struct Evictions(Arc<AtomicU64>);

impl Counters {
    #[inline]
    pub(super) fn hit(&self, digest: &KeyDigest) {
        let [.., last] = *digest.as_bytes();
        if let Some(hits) = self.hits.get(usize::from(last % 8)) {
            hits.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn miss(&self) {
        self.misses.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn load(&self) {
        self.loads.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn evictions(&self) -> Evictions {
        self.evictions.clone()
    }

    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.iter().map(Line::count).sum(),
            misses: self.misses.count(),
            loads: self.loads.count(),
            evictions: self.evictions.0.load(Ordering::Relaxed),
        }
    }
}

impl Line {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Evictions {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
