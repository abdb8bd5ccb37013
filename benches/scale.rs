//! How the hot path bears growth: more keys, more threads, a writer beside the readers, larger organizations, longer
//! allowlists. It prints what `benches/report` reads: `cargo bench --bench scale >benches/results/scale.tsv`.
//!
//! `COVERBASE_BENCH_KEYS=10000000` goes to ten million keys, which takes some minutes and 4 GiB.

#[path = "support/heap.rs"]
mod heap;
#[path = "support/race.rs"]
mod race;
#[path = "support/mod.rs"]
mod support;

use std::{
    future::Future,
    hint::black_box,
    net::IpAddr,
    ops::Range,
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Instant,
};

use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, IpAllowlist, KeyDigest, KeyRecord, KeyRegistry, KeyStore,
    MemoryStore, OrgId,
};
use ipnet::IpNet;
use race::{Contender, is_test, median, print, race, thread_nanoseconds};
use support::{Bare, key, presenting, record, routed, serve, store};
use tower::Layer;

/// Lookups that are timed together.
const BATCH: usize = 4096;

fn main() {
    let limit =
        std::env::var("COVERBASE_BENCH_KEYS").map_or(1_000_000, |it| it.parse().expect("a number"));
    let limit = if is_test() { 1000 } else { limit };
    let sizes: Vec<u64> = (3..)
        .map(|power| 10_u64.pow(power))
        .take_while(|keys| *keys <= limit)
        .collect();
    print(
        "scale: one dependent cache miss",
        &[("walk of 1 GiB".to_owned(), cache_miss())],
    );
    for keys in sizes {
        many_keys(keys);
    }
    threads();
    beside_a_writer(limit.min(1_000_000));
    organizations(limit.min(1_000_000));
    allowlists();
}

fn rounds() -> usize {
    if is_test() { 1 } else { 100 }
}

/// A stream of numbers that looks random and is the same each time.
struct Numbers(u64);

impl Numbers {
    /// The finalizer of SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Each step's place depends on what the last one read.
fn cache_miss() -> f64 {
    let words = if is_test() { 1 << 10 } else { 1 << 27 };
    let memory = vec![1_u64; words];
    let mut place = 0;
    let mut numbers = Numbers(0);
    let walk = Contender::function("walk", BATCH, move || {
        place =
            (numbers.next() as usize ^ place).wrapping_mul(memory[place] as usize) & (words - 1);
        place
    });
    race(vec![walk], rounds())[0].1
}

fn many_keys(keys: u64) {
    let digests: Vec<KeyDigest> = (0..keys).map(|number| key(number).digest()).collect();
    let (store, bytes) = heap::bytes_of(|| store(keys));
    let (records, of_records) = heap::bytes_of(|| (0..1000).map(record).collect::<Vec<_>>());
    let record = of_records / records.len() as f64 - size_of::<KeyRecord>() as f64;

    let contender = |name: &str, chosen: Vec<u32>| {
        let (store, digests) = (&store, &digests);
        let mut turn = (0..chosen.len()).cycle();
        Contender::function(name, BATCH, move || {
            let number = chosen[turn.next().expect("a cycle does not end")];
            store.lookup(&digests[number as usize])
        })
    };
    let mut numbers = Numbers(keys);
    let uniform = (0..1 << 20).map(|_| numbers.below(keys) as u32).collect();
    let mut numbers = Numbers(keys);
    // Nine in ten ask for one key in a hundred.
    let hot = keys.div_ceil(100);
    let skewed = (0..1 << 20).map(|_| match numbers.below(10) {
        0 => numbers.below(keys) as u32,
        _ => numbers.below(hot) as u32,
    });
    let contenders = vec![
        contender("uniform", uniform),
        contender("skewed", skewed.collect()),
    ];
    let mut results = race(contenders, rounds());
    results.push(("bytes a key".to_owned(), bytes / keys as f64));
    results.push(("bytes a record alone".to_owned(), record));
    print(&format!("scale: {keys} keys"), &results);
}

/// Processor time of a whole call, on one thread and on two at once. Two that share nothing show what the machine makes of
/// that.
fn threads() {
    let calls = if is_test() { 10 } else { 100_000 };
    let layers = [store(1000), store(1000)].map(CoverbaseAuthLayer::new);
    let contender = |name: &str, threads: &'static [(usize, u64)]| {
        let layers = &layers;
        Contender::batch(name, move || {
            at_once(threads, |(layer, number)| {
                let mut service = layers[layer].layer(Bare);
                let request = routed(presenting(key(number).expose_secret()));
                nanoseconds_of(calls, || serve(&mut service, request.clone()))
            })
        })
    };
    let contenders = vec![
        contender("one thread", &[(0, 1)]),
        contender("two threads, two stores", &[(0, 1), (1, 2)]),
        contender("two threads, two keys", &[(0, 1), (0, 2)]),
        contender("two threads, one key", &[(0, 1), (0, 1)]),
    ];
    print("scale: threads", &race(contenders, rounds().min(25)));
}

/// The mean of what the threads measure, all of which begin together.
fn at_once<T: Copy + Sync>(of: &[T], run: impl Fn(T) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(of.len());
    let (run, barrier) = (&run, &barrier);
    let total: f64 = thread::scope(|scope| {
        let threads: Vec<_> = of
            .iter()
            .map(|one| {
                scope.spawn(move || {
                    barrier.wait();
                    run(*one)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    total / of.len() as f64
}

fn nanoseconds_of(calls: usize, mut call: impl FnMut()) -> f64 {
    let started = thread_nanoseconds();
    for _ in 0..calls {
        call();
    }
    (thread_nanoseconds() - started) / calls as f64
}

/// Reads, alone and beside a thread that inserts, replaces and revokes keys without a pause.
fn beside_a_writer(keys: u64) {
    let store = store(keys);
    let updated: Vec<ApiKey> = (0..keys.min(100_000)).map(key).collect();
    let (mut results, rate) = reads_beside(&store, keys, |updates| {
        // Every third is a new key.
        let number = if updates % 3 == 0 {
            keys + updates
        } else {
            updates % updated.len() as u64
        };
        let record = match updates % 3 {
            2 => record(number).with_revoked_at(1),
            _ => record(number),
        };
        match updated.get(number as usize) {
            Some(secret) => store.insert(secret, record),
            None => store.insert(&key(number), record),
        }
    });
    results.push(("updates a second".to_owned(), rate));
    print(&format!("scale: a writer among {keys} keys"), &results);
}

/// What a lookup of any of the keys takes alone and beside `update`, which is called without a pause with the number of
/// calls before; and how often that is in a second.
fn reads_beside(
    store: &MemoryStore,
    keys: u64,
    update: impl Fn(u64) + Sync,
) -> (Vec<(String, f64)>, f64) {
    let calls = if is_test() { 10 } else { 200_000 };
    let digests: Vec<KeyDigest> = (0..keys).map(|number| key(number).digest()).collect();
    let read = || {
        let mut numbers = Numbers(1);
        nanoseconds_of(calls, || {
            drop(black_box(
                store.lookup(&digests[numbers.below(keys) as usize]),
            ));
        })
    };
    let mut updates = 0;
    let mut rates = Vec::new();
    let beside = || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let (started, first) = (Instant::now(), updates);
                while updates == first || !stop.load(Ordering::Relaxed) {
                    update(updates);
                    updates += 1;
                }
                (updates - first) as f64 / started.elapsed().as_secs_f64()
            });
            let beside = read();
            stop.store(true, Ordering::Relaxed);
            rates.push(writer.join().expect("no panic"));
            beside
        })
    };
    let contenders = vec![
        Contender::batch("reading alone", read),
        Contender::batch("reading beside the writer", beside),
    ];
    let results = race(contenders, rounds().min(25));
    (results, median(rates))
}

/// A change of an organization's allowlist, which reaches each of its keys, among many organizations of ten keys.
fn organizations(keys: u64) {
    let store = store(keys);
    let mut contenders = Vec::new();
    let mut first = keys;
    for size in [10, 1000, 100_000].map(|size: u64| size.min(keys)) {
        let org_id = organization_of(&store, first..first + size);
        first += size;
        let mut allowlists = [allowlist(1), allowlist(2)].into_iter().cycle();
        let (name, store) = (format!("an organization of {size} keys"), &store);
        let changes = (1000 / size).max(1) as usize;
        contenders.push(Contender::function(&name, changes, move || {
            let allowlist = allowlists.next().expect("a cycle does not end");
            set_allowlist(store, &org_id, allowlist);
        }));
    }
    print(
        &format!("scale: a change of allowlist among {keys} keys"),
        &race(contenders, rounds().min(25)),
    );
}

/// Adds an organization with keys of these numbers, and makes sure that a change reaches each.
fn organization_of(store: &MemoryStore, numbers: Range<u64>) -> OrgId {
    let org_id = OrgId::from(format!("org_of_{}_keys", numbers.end - numbers.start));
    for number in numbers.clone() {
        let record = KeyRecord::new(format!("ak_{number:022}"), org_id.clone());
        store.insert(&key(number), record);
    }
    set_allowlist(store, &org_id, allowlist(3));
    for number in numbers {
        let found = at_hand(store.lookup(&key(number).digest())).expect("an answer");
        assert_eq!(*found.expect("a key").allowlist(), allowlist(3));
    }
    org_id
}

fn allowlist(network: u8) -> IpAllowlist {
    IpAllowlist::parse([format!("10.{network}.0.0/16")]).expect("a network")
}

fn set_allowlist(store: &MemoryStore, org_id: &OrgId, allowlist: IpAllowlist) {
    at_hand(store.set_allowlist(org_id, allowlist)).expect("it is in memory");
}

/// What a store in memory answers.
fn at_hand<F: Future>(answer: F) -> F::Output {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a store in memory waits for nobody"),
    }
}

fn allowlists() {
    let address: IpAddr = "10.3.7.9".parse().expect("an address");
    let network: IpNet = "10.3.7.0/25".parse().expect("a network");
    let mut contenders = vec![Contender::function(
        "one IpNet::contains",
        BATCH,
        move || black_box(network).contains(black_box(&address)),
    )];
    for networks in [1, 100, 10_000] {
        let entries = (0..networks).map(|net| format!("10.{}.{}.0/25", net >> 8, net & 255));
        let allowlist = IpAllowlist::parse(entries).expect("networks");
        contenders.push(Contender::function(
            &format!("an allowlist of {networks}"),
            BATCH,
            move || allowlist.permits(black_box(Some(address))),
        ));
    }
    print("scale: allowlists", &race(contenders, rounds()));
}
