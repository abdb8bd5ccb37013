//! Explores the orders in which the steps of [`Flights`] can interleave at their locks.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle \
//!     cargo test --release --features cache --lib cached::exploration
//! ```
//!
//! In the model a store holds one key, whose record has a version. A change increments the version, announces it, and is
//! answered. The property: **a request that begins after the answer of a change sees that version or a later one** (T8).

use std::{
    sync::{Arc, Mutex, atomic::AtomicU64 as AtomAside},
    time::Duration,
};

use shuttle::{
    Config, Runner,
    scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};
use tokio::time::Instant;

use super::{
    entries::Found,
    flights::{Begun, Flights, Load},
    settings::Settings,
};
use crate::{
    credential::KeyDigest,
    key_store::{Invalidation, KeyRecord, LookupAnswer, StoreError, invalidations::Subscriber},
};

const DIGEST: KeyDigest = KeyDigest::from_bytes([7; 32]);
const ORG: &str = "org_acme";

/// The number of random orders, which are the same in every run.
const RANDOM_ORDERS: usize = 100_000;
const SEED: u64 = 1;

/// The bound on exhaustive searches.
const MAX_ORDERS: usize = 2_000_000;

struct Model {
    flights: Arc<Flights<Asking>>,
    /// Milliseconds of the monotonic clock.
    now: AtomAside,
    /// The start of the time of loads, which passes with the clock.
    began_at: Instant,
    /// The version of the row.
    version: AtomicU64,
    /// The latest version whose change was answered. It is an atomic of the standard library, which shuttle does not
    /// schedule: it is read and written together with the step beside it.
    answered: AtomAside,
}

/// The requests that wait for a load: for each one the version that was answered before it began.
#[derive(Clone, Default)]
struct Asking(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    floors: Vec<u64>,
    answer: Option<LookupAnswer>,
}

impl Asking {
    fn join(&self, floor: u64) {
        let mut asked = self.0.lock().unwrap();
        asked.floors.push(floor);
        if let Some(answer) = &asked.answer {
            assert_fresh(answer, floor);
        }
    }

    fn send(&self, answer: &LookupAnswer) {
        // An error shows no old version, and another load may still answer.
        if answer.is_err() {
            return;
        }
        let mut asked = self.0.lock().unwrap();
        let answer = asked.answer.get_or_insert_with(|| answer.clone()).clone();
        for floor in &asked.floors {
            assert_fresh(&answer, *floor);
        }
    }
}

fn assert_fresh(answer: &LookupAnswer, floor: u64) {
    if let Ok(found) = answer {
        assert_found_fresh(found, floor);
    }
}

fn assert_found_fresh(found: &Found, floor: u64) {
    let version = version(found);
    assert!(
        version >= floor,
        "saw {version} after the answer of {floor}"
    );
}

/// Version 0 means that the key does not exist yet.
fn version(found: &Found) -> u64 {
    found.as_ref().map_or(0, KeyRecord::created_at)
}

impl Model {
    fn new(version: u64) -> Arc<Self> {
        let settings = Settings {
            max_loads: 3,
            load_deadline: Duration::from_secs(1),
            ..Settings::default()
        };
        Arc::new(Self {
            flights: Arc::new(Flights::new(settings)),
            now: 0.into(),
            began_at: Instant::now(),
            version: version.into(),
            answered: version.into(),
        })
    }

    /// A lookup as `CachedStore` does it. If it begins a load, `end` ends the load.
    fn request(&self, end: impl FnOnce(&Self, Load<Asking>)) {
        let floor = self.answered.load(SeqCst);
        let now = self.now.load(SeqCst);
        if let Some(found) = self.flights.at(now, &DIGEST) {
            return assert_found_fresh(&found, floor);
        }
        let asked_at = self.began_at + Duration::from_millis(now);
        match self.flights.begin(now, asked_at, &DIGEST) {
            Begun::Cached(found) => assert_found_fresh(&found, floor),
            Begun::Joined(asking) => asking.join(floor),
            Begun::Load(load) => {
                load.waiters.join(floor);
                end(self, load);
            }
            Begun::Full => {}
        }
    }

    fn load(&self, load: Load<Asking>) {
        let version = self.version.load(SeqCst);
        let record = KeyRecord::new("ak_6sLyzf0Xz0Cq", ORG).with_created_at(version);
        finish(load, &Ok(Some(record).filter(|_| version > 0)));
    }

    fn fail(&self, load: Load<Asking>) {
        finish(load, &Err(StoreError::new("down")));
    }

    /// The task of the load panicked or was aborted.
    fn cancel(&self, load: Load<Asking>) {
        drop(load);
    }

    fn change(&self, announcement: &Invalidation) {
        let version = self.version.fetch_add(1, SeqCst) + 1;
        self.flights.invalidate(announcement);
        self.answered.fetch_max(version, SeqCst);
    }

    /// A change of another instance that is missed. The property holds for it from `Resumed` on.
    fn change_missed(&self) {
        self.flights.invalidate(&Invalidation::Lost);
        let version = self.version.fetch_add(1, SeqCst) + 1;
        self.flights.invalidate(&Invalidation::Resumed);
        self.answered.fetch_max(version, SeqCst);
    }

    fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds * 1_000, SeqCst);
    }

    fn flush(&self) {
        let version = self.version.fetch_add(1, SeqCst) + 1;
        self.flights.flush();
        self.answered.fetch_max(version, SeqCst);
    }

    /// At the end, whatever has happened, a request is answered with the present version.
    fn rest(&self) {
        self.pass(1);
        self.request(Self::load);
        let found = self.flights.at(self.now.load(SeqCst), &DIGEST);
        let found = found.expect("cached, since nothing is in flight and nothing is lost");
        assert_found_fresh(&found, self.answered.load(SeqCst));
    }
}

fn finish(load: Load<Asking>, answer: &LookupAnswer) {
    load.finish(answer).send(answer);
}

type Step = fn(&Model);

fn key_changes(model: &Model) {
    model.change(&Invalidation::Key(DIGEST));
}

fn organization_changes(model: &Model) {
    model.change(&Invalidation::Organization(ORG.into()));
}

fn loads(model: &Model) {
    model.request(Model::load);
}

fn fails(model: &Model) {
    model.request(Model::fail);
}

fn is_cancelled(model: &Model) {
    model.request(Model::cancel);
}

/// Passes the deadline of every load and the time to live of every entry.
fn time_passes(model: &Model) {
    model.pass(40);
}

fn load_is_overdue(model: &Model) {
    model.pass(1);
}

fn run(version: u64, threads: &'static [&'static [Step]]) {
    let model = Model::new(version);
    let threads = threads.iter().map(|steps| {
        let model = Arc::clone(&model);
        thread::spawn(move || steps.iter().for_each(|step| step(&model)))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    model.rest();
}

fn explore_random(version: u64, threads: &'static [&'static [Step]]) {
    explore(
        RandomScheduler::new_from_seed(SEED, RANDOM_ORDERS),
        version,
        threads,
    );
    explore(
        PctScheduler::new_from_seed(SEED, 3, RANDOM_ORDERS),
        version,
        threads,
    );
}

fn explore_every(version: u64, threads: &'static [&'static [Step]]) {
    let tried = explore(DfsScheduler::new(Some(MAX_ORDERS), false), version, threads);
    assert!(tried < MAX_ORDERS, "the search was not exhaustive");
}

fn explore(
    scheduler: impl Scheduler + 'static,
    version: u64,
    threads: &'static [&'static [Step]],
) -> usize {
    let tried = Runner::new(scheduler, Config::new()).run(move || run(version, threads));
    println!("{tried} orders");
    tried
}

// T8: a request after the answer of a change meets a load from before it.

#[test]
fn load_and_revocation_in_every_order_are_coherent() {
    explore_every(1, &[&[loads], &[key_changes, loads]]);
}

#[test]
fn load_and_allowlist_change_in_every_order_are_coherent() {
    explore_every(1, &[&[loads], &[organization_changes, loads]]);
}

#[test]
fn load_and_creation_in_every_order_are_coherent() {
    explore_every(0, &[&[loads], &[key_changes, loads]]);
}

#[test]
fn load_and_flush_in_every_order_are_coherent() {
    explore_every(1, &[&[loads], &[Model::flush, loads]]);
}

#[test]
fn load_and_missed_change_in_every_order_are_coherent() {
    explore_every(1, &[&[loads], &[Model::change_missed, loads]]);
}

#[test]
fn cancelled_load_and_revocation_in_every_order_are_coherent() {
    explore_every(1, &[&[is_cancelled], &[key_changes, loads]]);
}

#[test]
fn two_loads_and_a_revocation_in_every_order_are_coherent() {
    explore_every(1, &[&[loads], &[loads], &[key_changes]]);
}

#[test]
fn requests_and_revocations_in_random_orders_are_coherent() {
    explore_random(
        1,
        &[
            &[loads, loads],
            &[loads, loads],
            &[key_changes, loads],
            &[key_changes, loads],
        ],
    );
}

#[test]
fn failures_and_cancellations_in_random_orders_are_coherent() {
    explore_random(
        1,
        &[
            &[fails, loads],
            &[is_cancelled, loads],
            &[loads],
            &[key_changes, loads],
        ],
    );
}

/// A second load joins the flight of an overdue one, and either can end first.
#[test]
fn overdue_loads_in_random_orders_are_coherent() {
    explore_random(
        1,
        &[
            &[loads],
            &[load_is_overdue, loads],
            &[time_passes, fails],
            &[key_changes, loads],
        ],
    );
}

#[test]
fn all_steps_in_random_orders_are_coherent() {
    explore_random(
        1,
        &[
            &[loads, time_passes, loads],
            &[key_changes, loads, is_cancelled],
            &[load_is_overdue, fails, Model::flush, loads],
            &[organization_changes, loads],
            &[Model::change_missed, loads],
        ],
    );
}
