//! The allocations of a `CachedStore`: none for a hit, and a bounded amount under a flood. A program of its own, for its
//! allocator counts.
#![cfg(feature = "cache")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::ready,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use coverbase_auth::{
    ApiKey, CachedStore, CoverbaseAuthLayer, Environment, KeyDigest, KeyFormat, KeyRecord,
    KeyStore, Lookup, MemoryStore,
};
use http::{Request, Response, header::AUTHORIZATION};
use tower::{Layer, ServiceExt, service_fn};

/// Counts the allocations of this thread, and the bytes that all threads hold.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}
static HELD: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        HELD.fetch_add(layout.size().cast_signed(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size().cast_signed(), Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A store of one key that counts its calls.
#[derive(Debug, Clone)]
struct Counted {
    rows: MemoryStore,
    calls: Arc<AtomicUsize>,
}

impl Counted {
    fn of(key: &ApiKey) -> Self {
        let rows = MemoryStore::new();
        rows.insert(key, KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme"));
        Self {
            rows,
            calls: Arc::default(),
        }
    }
}

impl KeyStore for Counted {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.calls.fetch_add(1, Relaxed);
        self.rows.lookup(digest)
    }
}

/// Counts the allocations of a whole request, from the call of the layer to the response.
fn allocations_through_the_layer(store: impl KeyStore, key: &ApiKey) -> usize {
    let inner = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(()))));
    let service = CoverbaseAuthLayer::new(store).layer(inner);
    let request = || {
        let bearer = format!("Bearer {}", key.expose_secret());
        let request = Request::builder().header(AUTHORIZATION, bearer);
        request.body(()).unwrap()
    };
    let serve = |request| {
        let mut future = pin!(service.clone().oneshot(request));
        let before = ALLOCATIONS.get();
        let poll = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_ready());
        ALLOCATIONS.get() - before
    };
    serve(request());
    serve(request())
}

#[test]
fn hit_allocates_nothing() {
    let key = ApiKey::generate(Environment::Live);
    let memory = Counted::of(&key).rows;
    let cached = CachedStore::new(memory.clone());
    drop(cached.lookup(&key.digest()));

    let digest = key.digest();
    let before = ALLOCATIONS.get();
    drop(cached.lookup(&digest));
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(
        allocations_through_the_layer(cached, &key),
        allocations_through_the_layer(memory, &key)
    );
}

// T14: 10⁶ random keys take at most 64 MiB, and a hot key stays cached.
#[test]
fn flood_of_random_keys_is_bounded_and_evicts_no_known_key() {
    const FLOOD: usize = 1_000_000;
    let hot = ApiKey::generate(Environment::Live);
    let database = Counted::of(&hot);
    let store = CachedStore::new(database.clone());
    let before = HELD.load(Relaxed);
    for count in 0..FLOOD {
        let random = digest_number(count);
        let unknown = store.lookup(&random);
        drop(unknown);
        if count % 10 == 0 {
            drop(store.lookup(&hot.digest()));
        }
    }
    let growth = HELD.load(Relaxed) - before;
    let stats = store.stats();
    let loads_of_hot = database.calls.load(Relaxed) - FLOOD;
    println!("{growth} bytes, {loads_of_hot} loads of the hot key, {stats:?}");
    assert!(growth <= 64 << 20, "{growth} bytes");
    // On a busy machine the time to live of 30 seconds can pass once or twice.
    assert!(loads_of_hot * 1_000 <= FLOOD / 10, "{loads_of_hot} loads");
}

/// A key with a wrong checksum does not reach the cache.
#[test]
fn flood_of_unminted_keys_does_not_reach_the_store() {
    let database = Counted::of(&ApiKey::generate(Environment::Live));
    let store = CachedStore::new(database.clone());
    let inner = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(()))));
    let layer = CoverbaseAuthLayer::new(store.clone()).with_key_format(KeyFormat::Minted);
    let service = layer.layer(inner);
    for count in 0..1_000 {
        let random = format!("Bearer ak_live_{count:047}");
        let request = Request::builder().header(AUTHORIZATION, random);
        let mut future = pin!(service.clone().oneshot(request.body(()).unwrap()));
        let poll = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_ready());
    }
    assert_eq!(database.calls.load(Relaxed), 0);
    assert_eq!(store.stats().misses, 0);
}

/// A different digest for each number, evenly spread.
fn digest_number(count: usize) -> KeyDigest {
    let mut bytes = [0; 32];
    let word = (count as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    KeyDigest::from_bytes(bytes)
}
