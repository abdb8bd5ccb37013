//! `CachedStore`, tested by the answers of the layer and the calls of its store.

mod coherence;
mod faults;
mod loads;
mod unannounced;

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use coverbase_auth::{
    ApiKey, CachedStore, CoverbaseAuthLayer, KeyDigest, KeyRecord, KeyStore, Lookup, MemoryStore,
    PeerAddr, StoreError, key_store::Invalidations, testing::TestClock,
};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt, service_fn};

const KEY: &str = "ak_live_7Qd0cX3vJ1pWk9Zs2RtB6yLh";
const KEY_ID: &str = "ak_6sLyzf0Xz0Cq";
const ORG: &str = "org_acme";
const NOW: u64 = 1_800_000_000;

/// A database: it reads the row when it is called, then behaves as its mood says, and answers with the row that it read.
#[derive(Debug, Clone)]
struct Database {
    rows: MemoryStore,
    invalidations: Option<Invalidations>,
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicUsize>,
    /// A permit for each row that was read and is held back.
    read: Arc<Semaphore>,
    /// A permit for each held-back answer that may go.
    released: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
enum Mood {
    Answers,
    HoldsBack,
    Takes(Duration),
    Hangs,
    Fails,
    FailsAfter(Duration),
    Panics,
    PanicsAtOnce,
}

impl Database {
    /// A database with [`KEY`] that announces its changes.
    fn new() -> Self {
        let rows = MemoryStore::new();
        rows.insert(&key(), KeyRecord::new(KEY_ID, ORG));
        Self {
            invalidations: rows.invalidations().cloned(),
            rows,
            mood: Arc::new(Mutex::new(Mood::Answers)),
            calls: Arc::default(),
            read: Arc::new(Semaphore::new(0)),
            released: Arc::new(Semaphore::new(0)),
        }
    }

    fn without_announcements() -> Self {
        Self {
            invalidations: None,
            ..Self::new()
        }
    }

    fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn has_read(&self) {
        self.read.acquire().await.unwrap().forget();
    }

    fn release(&self) {
        self.released.add_permits(1);
    }
}

impl KeyStore for Database {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        assert!(!matches!(mood, Mood::PanicsAtOnce), "as told");
        let (database, digest) = (self.clone(), *digest);
        Lookup::pending(async move {
            let row = database.rows.lookup(&digest).await;
            match mood {
                Mood::Answers => {}
                Mood::HoldsBack => {
                    database.read.add_permits(1);
                    database.released.acquire().await.unwrap().forget();
                }
                Mood::Takes(time) => sleep(time).await,
                Mood::Hangs => std::future::pending().await,
                Mood::Fails => return Err(StoreError::new("connection refused")),
                Mood::FailsAfter(time) => {
                    sleep(time).await;
                    return Err(StoreError::new("connection reset"));
                }
                Mood::Panics | Mood::PanicsAtOnce => panic!("as told"),
            }
            row
        })
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        self.invalidations.as_ref()
    }
}

/// A service behind the layer, over a cache of the database.
struct Service {
    database: Database,
    store: CachedStore<Database>,
    layer: CoverbaseAuthLayer,
    clock: TestClock,
}

impl Service {
    fn over(database: Database) -> Self {
        Self::with(database, |store| store)
    }

    fn with(
        database: Database,
        configure: impl FnOnce(CachedStore<Database>) -> CachedStore<Database>,
    ) -> Self {
        let clock = TestClock::at(NOW);
        let store = configure(CachedStore::new(database.clone()).with_clock(clock.clone()));
        Self {
            layer: CoverbaseAuthLayer::new(store.clone()).with_clock(clock.clone()),
            database,
            store,
            clock,
        }
    }

    /// The status of a request with [`KEY`].
    async fn status(&self) -> StatusCode {
        answer(&self.layer, KEY).await.status()
    }

    fn spawn_request(&self) -> tokio::task::JoinHandle<StatusCode> {
        let layer = self.layer.clone();
        tokio::spawn(async move { answer(&layer, KEY).await.status() })
    }
}

async fn answer(layer: &CoverbaseAuthLayer, token: &str) -> Response<()> {
    let inner = service_fn(|_| ready(Ok::<_, Infallible>(Response::new(()))));
    let request = Request::builder()
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .extension(PeerAddr::new(([203, 0, 113, 7], 443)))
        .body(())
        .unwrap();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    response.map(drop)
}

fn key() -> ApiKey {
    KEY.parse().unwrap()
}

/// Returns how long the future took on tokio's clock, which tests pause.
async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let before = Instant::now();
    let output = future.await;
    (before.elapsed(), output)
}
