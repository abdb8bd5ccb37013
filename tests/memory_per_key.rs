//! What a key costs in `MemoryStore`, beyond the bytes of its strings.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use coverbase_auth::{ApiKey, Environment, KeyRecord, MemoryStore, OrgId, Scope};

/// Counts what is in use, each block as large as malloc makes it: a header of 8 bytes, and a multiple of 16.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

const fn block_len(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16)
}

// SAFETY: `System` does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(block_len(layout), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(block_len(layout), Ordering::Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_key_costs_at_most_300_bytes_beyond_its_strings() {
    for keys in [1_000_000] {
        let per_key = bytes_per_key(keys);
        println!("{keys} keys: {per_key} bytes each");
        assert!(per_key <= 300, "{keys} keys: {per_key} bytes each");
    }
}

/// Ten keys in each organization, with a name and two scopes.
fn bytes_per_key(keys: usize) -> usize {
    let store = MemoryStore::new();
    let secrets: Vec<_> = (0..keys)
        .map(|_| ApiKey::generate(Environment::Live))
        .collect();
    let before = IN_USE.load(Ordering::Relaxed);
    let mut strings = 0;
    for (organization, secrets) in secrets.chunks(10).enumerate() {
        let org_id = OrgId::from(format!("org_{organization:024}"));
        strings += org_id.as_str().len();
        for (position, secret) in secrets.iter().enumerate() {
            let key_id = format!("ak_{organization:018}{position:04}");
            let name = format!("key number {position}");
            strings += key_id.len() + name.len();
            let record = KeyRecord::new(key_id, org_id.clone())
                .with_name(name)
                .with_scopes([Scope::AUDIT_READ, Scope::KEYS_MANAGE])
                .with_created_at(1_700_000_000)
                .with_expires_at(1_900_000_000);
            store.insert(secret, record);
        }
    }
    (IN_USE.load(Ordering::Relaxed) - before - strings) / keys
}
