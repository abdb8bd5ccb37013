//! What a key costs in `MemoryStore`, beyond the bytes of its strings. A program of its own, for its allocator counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use coverbase_auth::{KeyDigest, KeyRecord, KeyRegistry, MemoryStore, OrgId, Scope};

/// Counts what is in use, each block as large as malloc makes it: with a header of 8 bytes, and a multiple of 16.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

const fn block_len(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16)
}

// SAFETY: every call goes to the system's allocator as it came.
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
static COUNTING: Counting = Counting;

#[tokio::test]
async fn a_key_costs_at_most_300_bytes_beyond_its_strings() {
    for keys in [100_000, 1_000_000] {
        let per_key = bytes_per_key(keys).await;
        println!("{keys} keys: {per_key} bytes each");
        assert!(per_key <= 300, "{keys} keys: {per_key} bytes each");
    }
}

/// Ten keys in each organization, with all that an administrator gives a key.
async fn bytes_per_key(keys: usize) -> usize {
    let user_id = "user_2x9kPqLmNvRt";
    let store = MemoryStore::new();
    let before = IN_USE.load(Ordering::Relaxed);
    let mut strings = 0;
    for organization in 0..keys / 10 {
        let org_id = OrgId::from(format!("org_{organization:024}"));
        strings += org_id.as_str().len();
        for position in 0..10 {
            let key_id = format!("ak_{organization:018}{position:04}");
            let name = format!("key number {position}");
            strings += key_id.len() + name.len() + user_id.len();
            let record = KeyRecord::new(key_id, org_id.clone())
                .with_name(name)
                .with_scopes([Scope::AUDIT_READ, Scope::KEYS_MANAGE])
                .with_created_by(user_id)
                .with_created_at(1_700_000_000)
                .with_expires_at(1_900_000_000);
            let digest = spread(organization * 10 + position);
            store.create(digest, record).await.unwrap();
        }
    }
    (IN_USE.load(Ordering::Relaxed) - before - strings) / keys
}

/// A digest, as evenly spread as one of SHA-256 and cheaper.
fn spread(seed: usize) -> KeyDigest {
    let mut z = seed as u64;
    let words = [(); 4].map(|()| {
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    let mut bytes = [0; 32];
    bytes.copy_from_slice(words.as_flattened());
    KeyDigest::from_bytes(bytes)
}
