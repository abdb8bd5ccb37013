//! How the hot path bears growth: more keys, more threads, a writer beside the readers, longer allowlists. It prints what
//! `benches/report` reads: `cargo bench --bench scale >benches/results/scale.tsv`.
//!
//! `COVERBASE_BENCH_KEYS=10000000` goes to ten million keys, which takes a few minutes and 3 GiB.

#[path = "support/race.rs"]
mod race;
#[path = "support/mod.rs"]
mod support;

use std::{
    hint::black_box,
    net::IpAddr,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use coverbase_auth::{ApiKey, CoverbaseAuthLayer, IpAllowlist, KeyDigest, KeyStore, MemoryStore};
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
    writer(limit.min(100_000));
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
    let secrets: Vec<ApiKey> = (0..keys).map(key).collect();
    let digests: Vec<KeyDigest> = secrets.iter().map(ApiKey::digest).collect();
    let before = resident_bytes();
    let store = store(0);
    for (number, secret) in (0..).zip(&secrets) {
        store.insert(secret, record(number));
    }
    let bytes = (resident_bytes() - before) / keys as f64;

    let contender = |name: &str, chosen: Vec<KeyDigest>| {
        let store = store.clone();
        let mut chosen = chosen.into_iter().cycle();
        Contender::function(name, BATCH, move || {
            store.lookup(&chosen.next().expect("a cycle does not end"))
        })
    };
    let digest = |number: u64| digests[number as usize];
    let mut numbers = Numbers(keys);
    let uniform = (0..1 << 20).map(|_| digest(numbers.below(keys))).collect();
    let mut numbers = Numbers(keys);
    // Nine in ten ask for one key in a hundred.
    let hot = keys.div_ceil(100);
    let skewed = (0..1 << 20)
        .map(|_| match numbers.below(10) {
            0 => digest(numbers.below(keys)),
            _ => digest(numbers.below(hot)),
        })
        .collect();
    let contenders = vec![contender("uniform", uniform), contender("skewed", skewed)];
    let mut results = race(contenders, rounds());
    results.push(("bytes a key".to_owned(), bytes));
    print(&format!("scale: {keys} keys"), &results);
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.expect("a number of pages") * 4096.0
}

/// Processor time of a whole call, with one thread and with two at once.
fn threads() {
    let calls = if is_test() { 10 } else { 200_000 };
    let layer = CoverbaseAuthLayer::new(store(1000));
    let medians = |numbers: &[u64]| {
        let times = (0..rounds().min(15)).map(|_| {
            at_once(numbers, |number| {
                let mut service = layer.layer(Bare);
                let request = routed(presenting(key(number).expose_secret()));
                nanoseconds_of(calls, || serve(&mut service, request.clone()))
            })
        });
        median(times.collect())
    };
    let results = [
        ("one thread", &[1][..]),
        ("two threads, two keys", &[1, 2]),
        ("two threads, one key", &[1, 1]),
    ];
    let results = results.map(|(name, numbers)| (name.to_owned(), medians(numbers)));
    print("scale: threads", &results);
}

/// The mean of what the threads measure, all of which begin together.
fn at_once(numbers: &[u64], run: impl Fn(u64) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(numbers.len());
    let (run, barrier) = (&run, &barrier);
    let total: f64 = thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .iter()
            .map(|number| {
                scope.spawn(move || {
                    barrier.wait();
                    run(*number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    total / numbers.len() as f64
}

fn nanoseconds_of(calls: usize, mut call: impl FnMut()) -> f64 {
    let started = thread_nanoseconds();
    for _ in 0..calls {
        call();
    }
    (thread_nanoseconds() - started) / calls as f64
}

/// One thread that replaces records and revokes keys without a pause, and one that reads.
fn writer(keys: u64) {
    let calls = if is_test() { 10 } else { 1_000_000 };
    let store = store(keys);
    let digests: Vec<KeyDigest> = (0..keys).map(|number| key(number).digest()).collect();
    let read = || {
        let mut numbers = Numbers(1);
        nanoseconds_of(calls, || {
            drop(black_box(
                store.lookup(&digests[numbers.below(keys) as usize]),
            ));
        })
    };
    let alone = read();
    let stop = AtomicBool::new(false);
    let (beside, updates) = thread::scope(|scope| {
        let writer = scope.spawn(|| updates_a_second(&store, keys, &stop));
        let beside = read();
        stop.store(true, Ordering::Relaxed);
        (beside, writer.join().expect("no panic"))
    });
    print(
        &format!("scale: a writer among {keys} keys"),
        &[
            ("reading alone".to_owned(), alone),
            ("reading beside the writer".to_owned(), beside),
            ("updates a second".to_owned(), updates),
        ],
    );
}

fn updates_a_second(store: &MemoryStore, keys: u64, stop: &AtomicBool) -> f64 {
    let secrets: Vec<ApiKey> = (0..keys.min(10_000)).map(key).collect();
    let mut numbers = Numbers(2);
    let (started, mut updates) = (Instant::now(), 0_u32);
    while updates < 10 || !stop.load(Ordering::Relaxed) {
        let number = numbers.below(secrets.len() as u64);
        let record = record(number);
        let record = if updates.is_multiple_of(2) {
            record.with_revoked_at(1)
        } else {
            record
        };
        store.insert(&secrets[number as usize], record);
        updates += 1;
    }
    f64::from(updates) / started.elapsed().max(Duration::from_nanos(1)).as_secs_f64()
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
            &format!("{networks} networks"),
            BATCH,
            move || allowlist.permits(black_box(Some(address))),
        ));
    }
    print("scale: allowlists", &race(contenders, rounds()));
}
