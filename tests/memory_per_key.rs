//! The memory that `MemoryStore` takes for a key beside the key's record. A program of its own, for its allocator counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use coverbase_auth::{KeyDigest, KeyRecord, KeyRegistry, MemoryStore, OrgId, Scope};

/// Counts the bytes in use. Each block has the size that malloc gives it: a header of 8 bytes, and a multiple of 16.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

const fn block_len(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16)
}

// SAFETY: every call is forwarded to the system's allocator.
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
async fn key_takes_at_most_128_bytes_beside_its_record() {
    for keys in [100_000, 1_000_000] {
        let per_key = bytes_per_key(keys).await;
        println!("{keys} keys: {per_key} bytes each beside the record");
        assert!(per_key <= 128, "{keys} keys: {per_key} bytes each");
    }
}

/// Ten keys in each organization, with every field that an administrator sets.
async fn bytes_per_key(keys: usize) -> usize {
    let mut records = Vec::with_capacity(keys);
    let before = IN_USE.load(Ordering::Relaxed);
    for organization in 0..keys / 10 {
        let org_id = OrgId::from(format!("org_{organization:024}"));
        for position in 0..10 {
            let record = KeyRecord::new(
                format!("ak_{organization:018}{position:04}"),
                org_id.clone(),
            )
            .with_name(format!("key number {position}"))
            .with_scopes([Scope::AUDIT_READ, Scope::KEYS_MANAGE])
            .with_created_by("user_2x9kPqLmNvRt")
            .with_created_at(1_700_000_000)
            .with_expires_at(1_900_000_000);
            records.push((spread(organization * 10 + position), record));
        }
    }
    let of_records = IN_USE.load(Ordering::Relaxed) - before;
    let store = MemoryStore::new();
    for (digest, record) in records.drain(..) {
        store.create(digest, record).await.unwrap();
    }
    (IN_USE.load(Ordering::Relaxed) - before - of_records) / keys
}

/// A digest that is as evenly spread as one of SHA-256, and cheaper.
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
