//! A cache in front of a store that is slower than memory.

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
    Invalidations, KeyStore, Lookup, LookupAnswer, PendingLookup, PresentedKey, StoreError,
    invalidations::Subscriber,
};
use crate::{
    clock::{Clock, SystemClock},
    credential::KeyDigest,
};

/// A load that nobody waits for any more may take as many deadlines as this to fill the cache.
const LOAD_LIFETIME: u32 = 4;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Remembers what the store `S` has answered. Clones are one cache.
///
/// A key that is in the cache is answered at once, without a lock that a load could hold and without an allocation. For
/// one that is not, the store is asked, once for all who ask at the same time, by a task that goes on when they hang up.
///
/// ```
/// use std::time::Duration;
///
/// use coverbase_auth::{CachedStore, CoverbaseAuthLayer, MemoryStore};
///
/// let database = MemoryStore::new(); // for the sake of the example
/// let store = CachedStore::new(database).with_ttl(Duration::from_secs(10));
/// let layer = CoverbaseAuthLayer::new(store.clone());
/// # let _ = layer;
/// ```
///
/// # What a cache may get wrong, and this one does not
///
/// - **A revoked key.** The store says what has changed through its [`Invalidations`], and no request that begins after a
///   change has been announced sees what was before it: not from the cache, nor from a load that was under way (T8). While
///   the store cannot hear of changes ([`Invalidation::Lost`](super::Invalidation::Lost)) nothing is cached at all. A store
///   without `Invalidations` is believed for the time to live; see [`evict`](Self::evict).
/// - **A store that fails.** "Cannot tell" is never remembered: the lookup is answered with a [`StoreError`], a 503
///   (`C31`), and the next one asks again. What is remembered goes on until its time to live is over, counted from before
///   the store was asked.
/// - **A store that hangs.** A lookup waits for the [load deadline](Self::with_load_deadline) and no longer, and whoever
///   asks when a load has taken that long has one of their own.
/// - **A flood of random keys.** Keys that do not exist have a part of the cache, and a time to live, of their own (T14).
///   Loads under way are [bounded](Self::with_max_loads).
///
/// # Runtime
///
/// A lookup that has to wait must be made within a tokio runtime that has its timer enabled. Outside of one it is answered with
/// a [`StoreError`].
pub struct CachedStore<S> {
    flights: Arc<Flights<Waiters>>,
    clock: Arc<dyn Clock>,
    store: Arc<S>,
    invalidations: Invalidations,
    settings: Settings,
}

impl<S: KeyStore> CachedStore<S> {
    /// A cache of 100,000 keys for 30 seconds, and of 50,000 that do not exist for 2 seconds. Each is set by a method of
    /// its name, before the store is cloned: what is set anew begins as a cache of its own.
    #[must_use]
    pub fn new(store: S) -> Self {
        let invalidations = store.invalidations().cloned().unwrap_or_default();
        let (store, clock) = (Arc::new(store), Arc::new(SystemClock));
        Self::build(store, invalidations, clock, Settings::default())
    }

    /// How long a key is believed to be as the store said, from before it was asked. 30 seconds by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// let store = CachedStore::new(MemoryStore::new()).with_ttl(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn with_ttl(self, ttl: Duration) -> Self {
        self.with(|settings| settings.ttl = ttl)
    }

    /// How long a key is believed not to exist. 2 seconds by default.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// let store = CachedStore::new(MemoryStore::new()).with_negative_ttl(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn with_negative_ttl(self, ttl: Duration) -> Self {
        self.with(|settings| settings.negative_ttl = ttl)
    }

    /// About how many keys are remembered. 100,000 by default.
    ///
    /// ```
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// let store = CachedStore::new(MemoryStore::new()).with_capacity(1_000_000);
    /// ```
    #[must_use]
    pub fn with_capacity(self, keys: usize) -> Self {
        self.with(|settings| settings.capacity = keys)
    }

    /// About how many keys are remembered not to exist. 50,000 by default.
    ///
    /// ```
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// let store = CachedStore::new(MemoryStore::new()).with_negative_capacity(10_000);
    /// ```
    #[must_use]
    pub fn with_negative_capacity(self, keys: usize) -> Self {
        self.with(|settings| settings.negative_capacity = keys)
    }

    /// How long a lookup waits for the store until it is answered 503 (`C31`). 250 milliseconds by default, a day at most.
    /// The load goes on for three times as long again, and may still fill the cache.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// let store = CachedStore::new(MemoryStore::new()).with_load_deadline(Duration::from_millis(100));
    /// ```
    #[must_use]
    pub fn with_load_deadline(self, deadline: Duration) -> Self {
        self.with(|settings| settings.load_deadline = deadline.min(DAY))
    }

    /// How many questions the store is asked at a time; a lookup that needs one more is answered 503 at once (T14). 1,024
    /// by default.
    ///
    /// ```
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// let store = CachedStore::new(MemoryStore::new()).with_max_loads(64);
    /// ```
    #[must_use]
    pub fn with_max_loads(self, loads: usize) -> Self {
        self.with(|settings| settings.max_loads = loads)
    }

    /// Ages by the [monotonic time](Clock::monotonic_millis) of `clock`. The default is [`SystemClock`].
    ///
    /// ```
    /// # use coverbase_auth::{CachedStore, MemoryStore, SystemClock};
    /// let store = CachedStore::new(MemoryStore::new()).with_clock(SystemClock);
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self::build(
            self.store,
            self.invalidations,
            Arc::new(clock),
            self.settings,
        )
    }

    /// Forgets a key, and the load of it that may be under way: the next lookup asks the store. For changes that the store
    /// does not announce itself.
    ///
    /// ```
    /// # use coverbase_auth::{ApiKey, CachedStore, KeyStore, Environment, MemoryStore};
    /// fn key_has_changed<S: KeyStore>(store: &CachedStore<S>, key: &ApiKey) {
    ///     store.evict(&key.digest());
    /// }
    /// # key_has_changed(&CachedStore::new(MemoryStore::new()), &ApiKey::generate(Environment::Test));
    /// ```
    pub fn evict(&self, digest: &KeyDigest) {
        self.flights.evict(digest);
    }

    /// Forgets everything, and all loads that are under way.
    ///
    /// ```
    /// # use coverbase_auth::{CachedStore, MemoryStore};
    /// CachedStore::new(MemoryStore::new()).flush();
    /// ```
    pub fn flush(&self) {
        self.flights.flush();
    }

    /// What it has done so far.
    ///
    /// ```
    /// use coverbase_auth::{ApiKey, CachedStore, Environment, KeyStore, MemoryStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), coverbase_auth::StoreError> {
    /// let store = CachedStore::new(MemoryStore::new());
    /// let digest = ApiKey::generate(Environment::Live).digest();
    /// for _ in 0..3 {
    ///     assert!(store.lookup(&digest).await?.is_none());
    /// }
    /// let stats = store.stats();
    /// assert_eq!((stats.hits, stats.misses, stats.loads), (2, 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.flights.counters.stats()
    }

    /// The store behind the cache.
    ///
    /// ```
    /// use coverbase_auth::{ApiKey, CachedStore, Environment, KeyRecord, MemoryStore};
    ///
    /// let store = CachedStore::new(MemoryStore::new());
    /// store.get_ref().insert(&ApiKey::generate(Environment::Test), KeyRecord::new("ak_1", "org_acme"));
    /// ```
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        Self::build(self.store, self.invalidations, self.clock, self.settings)
    }

    fn build(
        store: Arc<S>,
        invalidations: Invalidations,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let flights = Arc::new(Flights::new(settings));
        let subscriber: Arc<dyn Subscriber> = flights.clone();
        invalidations.subscribe(Arc::downgrade(&subscriber));
        Self {
            flights,
            clock,
            store,
            invalidations,
            settings,
        }
    }

    /// What is remembered of the key, or what `ask` gets out of the store.
    #[inline]
    fn answer(&self, digest: &KeyDigest, ask: impl FnOnce(&S) -> Lookup) -> Lookup {
        let now = self.clock.monotonic_millis();
        match self.flights.at(now, digest) {
            Some(found) => {
                self.flights.counters.hit(digest);
                Lookup::ready(Ok(found))
            }
            None => self.miss(now, digest, ask),
        }
    }

    #[cold]
    fn miss(&self, now: u64, digest: &KeyDigest, ask: impl FnOnce(&S) -> Lookup) -> Lookup {
        self.flights.counters.miss();
        match self.flights.begin(now, Instant::now(), digest) {
            Begun::Cached(found) => Lookup::ready(Ok(found)),
            Begun::Joined(waiters) => self.wait_for(&waiters),
            Begun::Load(load) => self.load(load, ask),
            Begun::Full => Lookup::ready(Err(StoreError::new("too many lookups are under way"))),
        }
    }

    /// The store is asked here, and waited for in a task of its own.
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
                let lifetime = self.settings.load_deadline.saturating_mul(LOAD_LIFETIME);
                runtime.spawn(see_through(load, pending, lifetime));
                lookup
            }
        }
    }

    fn wait_for(&self, waiters: &Waiters) -> Lookup {
        let answer = waiters.answer();
        let patience = self.settings.load_deadline;
        Lookup::pending(async move {
            if Handle::try_current().is_err() {
                return Err(no_runtime());
            }
            let answer = timeout(patience, answer).await;
            answer.unwrap_or_else(|_| Err(overdue(patience)))
        })
    }
}

async fn see_through(load: Load<Waiters>, pending: PendingLookup, lifetime: Duration) {
    let answer = timeout(lifetime, pending).await;
    finish(load, &answer.unwrap_or_else(|_| Err(overdue(lifetime))));
}

fn finish(load: Load<Waiters>, answer: &LookupAnswer) {
    load.finish(answer).tell(answer);
}

fn no_runtime() -> StoreError {
    StoreError::new("there is no tokio runtime")
}

fn overdue(patience: Duration) -> StoreError {
    StoreError::new(format!("no answer within {patience:?}"))
}

#[deny(clippy::missing_trait_methods)]
impl<S: KeyStore> KeyStore for CachedStore<S> {
    #[inline]
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.answer(digest, |store| store.lookup(digest))
    }

    #[inline]
    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        self.answer(key.digest(), |store| store.lookup_presented(key))
    }

    /// The store's own, or where it has none, what is changed through this cache: so caches can be stacked.
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
            settings: self.settings,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .field("stats", &self.flights.counters.stats())
            .finish_non_exhaustive()
    }
}
