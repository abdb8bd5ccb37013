//! A cache in front of a store that is not asked any more.

use std::time::Duration;

use coverbase_auth::{CachedStore, KeyStore, MemoryStore};

use crate::support::{key, store};

/// A cache that has read the keys 0 to `keys`, and believes them for longer than a bench takes.
pub(crate) fn cached(keys: u64) -> CachedStore<MemoryStore> {
    let cached = CachedStore::new(store(keys)).with_ttl(Duration::from_secs(3600));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        for number in 0..keys {
            let found = cached.lookup(&key(number).digest()).await;
            assert!(found.expect("a store that answers").is_some());
        }
    });
    cached
}
