//! A cache in front of a slow store.
//!
//! `flights` is the state machine that keeps entries and loads coherent, `entries` the cached answers, `waiters` the
//! channel from a load to its lookups. This file adds the runtime: tasks, timers and the store.

mod entries;
#[cfg(all(test, shuttle))]
mod exploration;
mod flights;
mod registry;
mod settings;
mod stats;
mod waiters;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

pub use self::stats::CacheStats;
use self::{
    flights::{Begun, Flights, Load},
    settings::Settings,
    waiters::Waiters,
};
use super::{
    Invalidations, KeyStore, Lookup, LookupAnswer, PresentedKey, StoreError,
    invalidations::Subscriber,
};
use crate::{
    clock::{Clock, SystemClock},
    credential::KeyDigest,
};

/// How many load deadlines a load may take. Its lookups wait for one; the rest is time to fill the cache.
const LOAD_LIFETIME: u32 = 4;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A cache in front of the store `S`. Clones share one cache.
///
/// A cached key is answered without an allocation. For a key that is not cached, one task asks the store, once for all
/// concurrent lookups of the key; it goes on when they are dropped.
///
/// ```
/// use std::time::Duration;
///
/// use coverbase_auth::{CachedStore, CoverbaseAuthLayer, MemoryStore};
///
/// let database = MemoryStore::new(); // stands for a database
/// let store = CachedStore::new(database).with_ttl(Duration::from_secs(10));
/// let layer = CoverbaseAuthLayer::new(store.clone());
/// # let _ = layer;
/// ```
///
/// # Guarantees
///
/// - **Revoked keys.** The store announces changes through its [`Invalidations`]. No request that begins after an
///   announcement sees the state before it, neither from the cache nor from a load that was in flight (T8). While the store
///   may miss changes ([`Invalidation::Lost`](super::Invalidation::Lost)) nothing is cached. Without `Invalidations`
///   answers are cached for the time to live; see [`evict`](Self::evict).
/// - **Failing stores.** Errors are not cached: the request is answered 503 (`C31`), and the next one asks the store again.
///   Cached answers stay valid until their time to live is over, counted from before the store was asked.
/// - **Slow stores.** A lookup waits for the [load deadline](Self::with_load_deadline) at most. A lookup that begins after
///   the deadline of a load begins a load of its own.
/// - **Floods of random keys.** Unknown keys have a capacity and a time to live of their own (T14). The number of loads in
///   flight is [bounded](Self::with_max_loads).
///
/// # Runtime
///
/// A lookup that has to wait needs a tokio runtime with its timer enabled; without one it is answered with a
/// [`StoreError`].
pub struct CachedStore<S> {
    flights: Arc<Flights<Waiters>>,
    clock: Arc<dyn Clock>,
    store: Arc<S>,
    invalidations: Invalidations,
}

impl<S: KeyStore> CachedStore<S> {
    /// Creates a cache with the default settings. Change settings before the store is cloned: each setter starts with an
    /// empty cache.
    #[must_use]
    pub fn new(store: S) -> Self {
        let store = Self {
            flights: Arc::new(Flights::new(Settings::default())),
            clock: Arc::new(SystemClock),
            invalidations: store.invalidations().cloned().unwrap_or_default(),
            store: Arc::new(store),
        };
        store.subscribe();
        store
    }

    /// Sets how long a known key is cached, counted from before the store was asked. The default is 30 seconds.
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        self.with(|settings| settings.ttl = ttl)
    }

    /// Sets how long an unknown key is cached. The default is 2 seconds.
    #[must_use]
    pub fn with_negative_ttl(self, ttl: Duration) -> Self {
        self.with(|settings| settings.negative_ttl = ttl)
    }

    /// Sets about how many known keys are cached. The default is 100,000.
    #[must_use]
    pub fn with_capacity(self, keys: usize) -> Self {
        self.with(|settings| settings.capacity = keys)
    }

    /// Sets about how many unknown keys are cached. The default is 50,000.
    #[must_use]
    pub fn with_negative_capacity(self, keys: usize) -> Self {
        self.with(|settings| settings.negative_capacity = keys)
    }

    /// Sets how long a lookup waits for the store before it is answered 503 (`C31`). The default is 250 milliseconds, the
    /// maximum one day. The load itself has three times as long again to fill the cache.
    #[must_use]
    pub fn with_load_deadline(self, deadline: Duration) -> Self {
        self.with(|settings| settings.load_deadline = deadline.min(DAY))
    }

    /// Sets how many loads can be in flight. Beyond that a lookup is answered 503 at once (T14). The default is 1,024.
    #[must_use]
    pub fn with_max_loads(self, loads: usize) -> Self {
        self.with(|settings| settings.max_loads = loads)
    }

    /// Sets the clock whose [monotonic time](Clock::monotonic_millis) entries age by. The default is [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self.with(|_| {})
    }

    /// Removes a key from the cache, and cancels the effect of a load in flight. Use it for changes that the store does not
    /// announce itself.
    pub fn evict(&self, digest: &KeyDigest) {
        self.flights.evict(digest);
    }

    /// Removes every key from the cache, and cancels the effect of every load in flight.
    pub fn flush(&self) {
        self.flights.flush();
    }

    /// Returns the statistics of the cache.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.flights.counters.stats()
    }

    /// Returns the store behind the cache.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.flights.settings;
        set(&mut settings);
        self.flights = Arc::new(Flights::new(settings));
        self.subscribe();
        self
    }

    fn subscribe(&self) {
        let subscriber: Arc<dyn Subscriber> = self.flights.clone();
        self.invalidations.subscribe(Arc::downgrade(&subscriber));
    }

    /// Answers from the cache, or with what `ask` gets from the store.
    fn answer(&self, digest: &KeyDigest, ask: impl FnOnce(&S) -> Lookup) -> Lookup {
        let now = self.clock.monotonic_millis();
        if let Some(found) = self.flights.at(now, digest) {
            return Lookup::ready(Ok(found));
        }
        match self.flights.begin(now, Instant::now(), digest) {
            Begun::Cached(found) => Lookup::ready(Ok(found)),
            Begun::Joined(waiters) => self.wait_for(&waiters),
            Begun::Load(load) => self.load(load, ask),
            Begun::Full => Lookup::ready(Err(StoreError::new("too many lookups are in flight"))),
        }
    }

    /// Asks the store here, and awaits a pending answer in a task.
    fn load(&self, load: Load<Waiters>, ask: impl FnOnce(&S) -> Lookup) -> Lookup {
        match ask(&self.store).into_answer() {
            Ok(answer) => {
                finish(load, &answer);
                Lookup::ready(answer)
            }
            Err(pending) => {
                let Ok(runtime) = Handle::try_current() else {
                    return Lookup::ready(Err(no_runtime()));
                };
                let lookup = self.wait_for(&load.waiters);
                let settings = &self.flights.settings;
                let lifetime = settings.load_deadline.saturating_mul(LOAD_LIFETIME);
                runtime.spawn(async move {
                    let answer = timeout(lifetime, pending).await;
                    finish(load, &answer.unwrap_or_else(|_| Err(overdue(lifetime))));
                });
                lookup
            }
        }
    }

    fn wait_for(&self, waiters: &Waiters) -> Lookup {
        let answer = waiters.answer();
        let patience = self.flights.settings.load_deadline;
        Lookup::pending(async move {
            if Handle::try_current().is_err() {
                return Err(no_runtime());
            }
            let answer = timeout(patience, answer).await;
            answer.unwrap_or_else(|_| Err(overdue(patience)))
        })
    }
}

fn finish(load: Load<Waiters>, answer: &LookupAnswer) {
    load.finish(answer).send(answer);
}

fn no_runtime() -> StoreError {
    StoreError::new("a cached store needs a tokio runtime")
}

fn overdue(patience: Duration) -> StoreError {
    StoreError::new(format!("no answer within {patience:?}"))
}

#[deny(clippy::missing_trait_methods)]
impl<S: KeyStore> KeyStore for CachedStore<S> {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.answer(digest, |store| store.lookup(digest))
    }

    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        self.answer(key.digest(), |store| store.lookup_presented(key))
    }

    /// Returns the channel of the store, or the one that announces changes made through this cache.
    fn invalidations(&self) -> Option<&Invalidations> {
        Some(&self.invalidations)
    }
}

impl<S> Clone for CachedStore<S> {
    fn clone(&self) -> Self {
        Self {
            flights: Arc::clone(&self.flights),
            clock: Arc::clone(&self.clock),
            store: Arc::clone(&self.store),
            invalidations: self.invalidations.clone(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.store)
            .field("settings", &self.flights.settings)
            .field("stats", &self.flights.counters.stats())
            .finish_non_exhaustive()
    }
}
