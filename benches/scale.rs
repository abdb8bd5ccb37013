//! What more keys and more threads cost: `cargo bench --all-features --bench scale`.
//!
//! `COVERBASE_BENCH_KEYS=10000000` goes to ten million keys, which takes some minutes and 4 GiB.

#[path = "support/heap.rs"]
mod heap;
#[path = "support/mod.rs"]
mod support;

use std::{sync::Barrier, thread};

use coverbase_auth::{CoverbaseAuthLayer, KeyDigest, KeyRecord, KeyStore};
use support::{
    race::{
        Contender, Limit, is_test, nanoseconds_of, print_budget, print_heading, print_row, race,
    },
    requests::{key, with_key},
    services::{Bare, record, serve, store},
};
use tower::Layer;

/// Lookups that are timed together.
const BATCH: usize = 4096;

/// The number of keys that the budget names.
const BUDGETED: u64 = 10_000_000;

fn main() {
    let limit = std::env::var("COVERBASE_BENCH_KEYS");
    let limit = limit.map_or(1_000_000, |it| it.parse().expect("a number of keys"));
    let limit = if is_test() { 1000 } else { limit };
    many_keys(limit);
    threads();
}

fn many_keys(limit: u64) {
    let miss = cache_miss();
    print_heading(
        "A lookup in MemoryStore, by the number of keys",
        &[
            "any key, ns",
            "in cache misses",
            "a hot key, ns",
            "bytes a key",
        ],
    );
    let powers = (3..).map(|power| 10_u64.pow(power));
    for keys in powers.take_while(|keys| *keys <= limit) {
        let (uniform, hot, bytes) = lookups(keys);
        print_row(&keys.to_string(), &[uniform, uniform / miss, hot, bytes]);
        if keys == BUDGETED {
            print_budget(
                "lookup among 10,000,000 keys, in cache misses",
                uniform / miss,
                Limit::AtMost(3.0),
            );
            print_budget(
                "memory of a key beside its record, in bytes",
                bytes,
                Limit::AtMost(128.0),
            );
        }
    }
}

/// Returns the time to look up any of the keys, the time to look up a key of the hottest one in a hundred, and the bytes
/// that the store holds for each key beside its record.
fn lookups(keys: u64) -> (f64, f64, f64) {
    let digests: Vec<KeyDigest> = (0..keys).map(|number| key(number).digest()).collect();
    let (store, bytes) = heap::bytes_of(|| store(keys));
    let (records, of_records) = heap::bytes_of(|| (0..1000).map(record).collect::<Vec<_>>());
    let of_record = of_records / records.len() as f64 - size_of::<KeyRecord>() as f64;

    let among = |name: &str, limit: u64| {
        let (store, digests) = (&store, &digests);
        let mut numbers = Numbers(keys);
        let chosen: Vec<_> = (0..1 << 20).map(|_| numbers.below(limit)).collect();
        let mut chosen = chosen.into_iter().cycle();
        Contender::function(name, BATCH, move || {
            let number = chosen.next().expect("a cycle does not end");
            store.lookup(&digests[number])
        })
    };
    let contenders = vec![among("any", keys), among("hot", keys.div_ceil(100))];
    let times = race(contenders, 100);
    (
        times.of("any"),
        times.of("hot"),
        bytes / keys as f64 - of_record,
    )
}

/// Returns the time of one miss of the processor's caches: each read of 1 GiB depends on the read before.
fn cache_miss() -> f64 {
    let words = if is_test() { 1 << 10 } else { 1 << 27 };
    let memory = vec![1_usize; words];
    let mut place = 0;
    let mut numbers = Numbers(0);
    let walk = Contender::function("walk", BATCH, move || {
        place = (numbers.next() as usize ^ place).wrapping_mul(memory[place]) & (words - 1);
        place
    });
    race(vec![walk], 100).of("walk")
}

/// A stream of numbers that looks random and is the same in every run.
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

    fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }
}

/// Measures a whole call on one thread and on two at once. Two threads that share nothing show what the machine itself costs.
fn threads() {
    let layers = [store(1000), store(1000)].map(CoverbaseAuthLayer::new);
    let contender = |name: &str, threads: &'static [(usize, u64)]| {
        let layers = &layers;
        Contender::batch(name, move || at_once(layers, threads))
    };
    let contenders = vec![
        contender("one thread", &[(0, 1)]),
        contender("two threads, a store each", &[(0, 1), (1, 2)]),
        contender("two threads, a key each", &[(0, 1), (0, 2)]),
        contender("two threads, one key", &[(0, 1), (0, 1)]),
    ];
    let times = race(contenders, 25);
    print_heading(
        "A request with a key, on two threads",
        &["ns", "to one thread"],
    );
    for (name, time) in times.iter() {
        let ratio = time / times.of("one thread");
        print_row(name, &[time, ratio]);
    }
}

/// Returns the mean time of a call on threads that begin together, each with its layer and its key.
fn at_once(layers: &[CoverbaseAuthLayer], threads: &[(usize, u64)]) -> f64 {
    let calls = if is_test() { 10 } else { 100_000 };
    let barrier = &Barrier::new(threads.len());
    let total: f64 = thread::scope(|scope| {
        let started = threads.iter().map(|(layer, number)| {
            let mut service = layers[*layer].layer(Bare);
            let request = with_key(*number);
            scope.spawn(move || {
                barrier.wait();
                nanoseconds_of(calls, || serve(&mut service, request.clone()))
            })
        });
        let started: Vec<_> = started.collect();
        let times = started.into_iter().map(|it| it.join().expect("no panic"));
        times.sum()
    });
    total / threads.len() as f64
}
