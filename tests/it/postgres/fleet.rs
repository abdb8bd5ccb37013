//! Instances with caches on one database: a change on one instance takes effect on all.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use coverbase_auth::{
    ApiKey, CachedStore, CoverbaseAuthLayer, Environment, IpAllowlist, KeyId, KeyRecord,
    KeyRegistry, PostgresStore,
};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    NOW, acme,
    cluster::{Database, shared},
    eventually,
    proxy::{Link, Proxy},
};

/// Stands for one process of the service.
pub(super) struct Instance {
    pub(super) store: PostgresStore,
    pub(super) cache: CachedStore<PostgresStore>,
    layer: CoverbaseAuthLayer,
}

impl Instance {
    /// The time to live is long, so that entries are removed by announcements only.
    pub(super) async fn connect(url: &str) -> Self {
        Self::connect_with_ttl(url, Duration::from_secs(3600)).await
    }

    pub(super) async fn connect_with_ttl(url: &str, ttl: Duration) -> Self {
        Self::connect_with(url, |cache| cache.with_ttl(ttl)).await
    }

    /// Waits long for the database, in tests that are not about its speed.
    async fn connect_patiently(url: &str) -> Self {
        Self::connect_with_deadline(url, Duration::from_secs(60)).await
    }

    pub(super) async fn connect_with_deadline(url: &str, deadline: Duration) -> Self {
        Self::connect_with(url, |cache| {
            let ttl = Duration::from_secs(3600);
            cache.with_ttl(ttl).with_load_deadline(deadline)
        })
        .await
    }

    async fn connect_with(
        url: &str,
        configure: impl FnOnce(CachedStore<PostgresStore>) -> CachedStore<PostgresStore>,
    ) -> Self {
        let store = PostgresStore::connect(url).await.unwrap();
        let cache = configure(CachedStore::new(store.clone()));
        Self {
            store,
            layer: CoverbaseAuthLayer::new(cache.clone()),
            cache,
        }
    }

    pub(super) async fn respond(&self, key: &ApiKey) -> Response<()> {
        let inner = service_fn(async |_| Ok::<_, Infallible>(Response::new(())));
        let authorization = format!("Bearer {}", key.expose_secret());
        let request = Request::builder().header(AUTHORIZATION, authorization);
        let service = self.layer.layer(inner);
        let response = service.oneshot(request.body(()).unwrap()).await;
        response.unwrap().map(drop)
    }

    pub(super) async fn status(&self, key: &ApiKey) -> StatusCode {
        self.respond(key).await.status()
    }

    pub(super) async fn revoke(&self, id: &KeyId) {
        let revocation = self.cache.revoke(&acme(), id, NOW).await;
        assert!(revocation.unwrap().unwrap().is_first);
    }

    /// Returns whether the cache answers for the key.
    pub(super) async fn has_cached(&self, key: &ApiKey) -> bool {
        let loads = self.cache.stats().loads;
        self.status(key).await == 200 && self.cache.stats().loads == loads
    }

    /// Returns how long the key is still accepted.
    pub(super) async fn passes_for(&self, key: &ApiKey) -> Duration {
        let began = Instant::now();
        while self.status(key).await == 200 {
            // Leaves the processor to the listener.
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        began.elapsed()
    }
}

/// Creates a key and waits until the cache of each instance has it.
///
/// The key is inserted without an announcement, which might remove it from a cache a moment later.
pub(super) async fn warm_key(database: &Database<'_>, instances: &[&Instance]) -> (KeyId, ApiKey) {
    let key = ApiKey::generate(Environment::Live);
    let digest = key.digest();
    let digest: &[u8] = digest.as_bytes();
    let insert =
        "INSERT INTO coverbase_auth.api_keys (org_id, id, digest, name, scopes, created_at)
        VALUES ('org_acme', 'ak_' || encode($1, 'hex'), $1, '', '{}', 0) RETURNING id";
    let row = database.client().await.query_one(insert, &[&digest]).await;
    for instance in instances {
        eventually("the key is cached", async || {
            instance.has_cached(&key).await
        })
        .await;
    }
    (row.unwrap().get::<_, &str>(0).into(), key)
}

async fn two_instances(database: &Database<'_>) -> (Instance, Instance) {
    let url = database.url();
    (
        Instance::connect_patiently(&url).await,
        Instance::connect_patiently(&url).await,
    )
}

// C41, T8
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn revocation_reaches_the_other_instance_within_milliseconds() {
    let database = shared().database_alone().await;
    let (one, other) = two_instances(&database).await;
    let mut times = Vec::new();
    for _ in 0..200 {
        let (id, key) = warm_key(&database, &[&one, &other]).await;
        one.revoke(&id).await;
        let time = other.passes_for(&key).await;
        assert_eq!(
            one.status(&key).await,
            401,
            "the revoking instance rejects at once"
        );
        assert_eq!(other.status(&key).await, 401);
        times.push(time);
    }
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "from a revocation's answer to the other instance's rejection: median {median:?}, worst {worst:?}"
    );
    assert!(median <= Duration::from_millis(5), "median {median:?}");
    assert!(worst <= Duration::from_millis(100), "worst {worst:?}");
}

// T8
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn every_change_reaches_the_other_instance() {
    let database = shared().database().await;
    let (one, other) = two_instances(&database).await;

    let (old_id, old) = warm_key(&database, &[&one, &other]).await;
    let new = ApiKey::generate(Environment::Live);
    assert_eq!(
        other.status(&new).await,
        401,
        "the cache knows that it does not exist"
    );
    let replacement = KeyRecord::new("ak_new", acme()).with_created_at(NOW);
    let rotated = one
        .cache
        .rotate(&old_id, new.digest(), replacement, NOW)
        .await;
    assert!(rotated.unwrap());
    assert_eq!(
        (one.status(&old).await, one.status(&new).await),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );
    eventually("the rotation is heard", async || {
        other.status(&old).await == 401 && other.status(&new).await == 200
    })
    .await;

    // The clients of these tests have no address.
    let networks = IpAllowlist::parse(["10.0.0.0/8"]).unwrap();
    one.cache.set_allowlist(&acme(), networks).await.unwrap();
    assert_eq!(one.status(&new).await, 403);
    eventually("the allowlist is heard", async || {
        other.status(&new).await == 403
    })
    .await;
    one.cache
        .set_allowlist(&acme(), IpAllowlist::new())
        .await
        .unwrap();
    eventually("the removal of the allowlist is heard", async || {
        other.status(&new).await == 200
    })
    .await;
}

// The id of the organization is too long for a payload, so all caches are cleared.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn change_of_an_organization_with_a_long_id_reaches_the_other_instance() {
    let database = shared().database().await;
    let (one, other) = two_instances(&database).await;
    let org_id = coverbase_auth::OrgId::from("x".repeat(8_000));
    let key = ApiKey::generate(Environment::Live);
    let record = KeyRecord::new("ak_a", org_id.clone());
    one.cache.create(key.digest(), record).await.unwrap();
    assert_eq!(other.status(&key).await, 200);
    let networks = IpAllowlist::parse(["10.0.0.0/8"]).unwrap();
    one.cache.set_allowlist(&org_id, networks).await.unwrap();
    eventually("the allowlist is heard", async || {
        other.status(&key).await == 403
    })
    .await;
}

// The listening connection is cut just before a revocation.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn revocation_is_heard_after_the_listening_connection_is_cut() {
    let database = shared().database_alone().await;
    let one = Instance::connect(&database.url()).await;
    let other = Instance::connect(&format!("{}&application_name=other", database.url())).await;
    let client = database.client().await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'other'";
    let mut worst = Duration::ZERO;
    for _ in 0..20 {
        let (id, key) = warm_key(&database, &[&one, &other]).await;
        client.query(cut, &[]).await.unwrap();
        one.revoke(&id).await;
        worst = worst.max(other.passes_for(&key).await);
        assert_eq!(other.status(&key).await, 401);
    }
    println!("a revoked key was accepted for {worst:?} at most while the listener was cut off");
    assert!(worst <= Duration::from_secs(5), "{worst:?}");
}

// The listening connection is dead without an error: a cable is cut.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn silent_listening_connection_is_noticed_within_five_seconds() {
    let database = shared().database().await;
    let one = Instance::connect(&database.url()).await;
    let proxy = Proxy::start(shared().port).await;
    let other = Instance::connect(&database.url_by(proxy.port)).await;
    let (id, key) = warm_key(&database, &[&one, &other]).await;
    let (_, kept) = warm_key(&database, &[&one, &other]).await;
    // A heartbeat has just been answered.
    tokio::time::sleep(Duration::from_millis(1_020)).await;
    proxy.set(Link::Silent);
    one.revoke(&id).await;
    let time = other.passes_for(&key).await;
    println!("a revoked key was accepted for {time:?} after the cable was cut");
    assert!(time <= Duration::from_secs(5), "{time:?}");
    for _ in 0..10 {
        // The instance cannot tell a good key from a revoked one.
        assert_eq!(other.status(&key).await, 503);
        assert_eq!(other.status(&kept).await, 503);
    }

    proxy.set(Link::Up);
    eventually("lookups succeed again", async || {
        other.status(&kept).await == 200
    })
    .await;
    assert_eq!(other.status(&key).await, 401);
    // The instance listens again, on a new connection.
    eventually("the cache is used again", async || {
        other.has_cached(&kept).await
    })
    .await;
    let (id, key) = warm_key(&database, &[&one, &other]).await;
    one.revoke(&id).await;
    assert!(other.passes_for(&key).await <= Duration::from_secs(1));
}

// T17: any client of the database can send any payload.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn forged_notification_admits_no_key() {
    let database = shared().database().await;
    let (one, other) = two_instances(&database).await;
    let client = database.client().await;
    let (revoked_id, revoked) = warm_key(&database, &[&one, &other]).await;
    one.revoke(&revoked_id).await;
    eventually("the revocation is heard", async || {
        other.status(&revoked).await == 401
    })
    .await;
    let (_, kept) = warm_key(&database, &[&one, &other]).await;
    let unknown = ApiKey::generate(Environment::Live);

    let hex = |key: &ApiKey| {
        let bytes = key.digest();
        let digits = bytes.as_bytes().iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    };
    let mut payloads = vec![
        String::new(),
        "*".to_owned(),
        "o:org_acme".to_owned(),
        "o:".to_owned(),
        "k:".to_owned(),
        "k:zz".to_owned(),
        format!("k:{}", hex(&revoked)),
        format!("k:{}", hex(&unknown)),
        format!("k:{}", hex(&kept)),
        "x".repeat(7_999),
        "\u{1b}[31m\r\n\u{fffd}{\"key\":\"ak_live\"}".to_owned(),
    ];
    for seed in 0..500_u32 {
        // Random text, most of it after a valid prefix.
        let noise: String = (0..seed % 70)
            .map(|n| char::from_u32((seed * 2_654_435 + n * 40_503) % 0xd7ff).unwrap_or('?'))
            .filter(|c| *c != '\0')
            .collect();
        payloads.push(["", "k:", "o:", "*"][seed as usize % 4].to_owned() + &noise);
    }
    for payload in &payloads {
        let notify = "SELECT pg_notify('coverbase_auth', $1)";
        client.query(notify, &[payload]).await.unwrap();
        for instance in [&one, &other] {
            assert_eq!(instance.status(&revoked).await, 401, "{payload:?}");
            assert_eq!(instance.status(&unknown).await, 401, "{payload:?}");
            assert_eq!(instance.status(&kept).await, 200, "{payload:?}");
        }
    }
    // Revocations are still heard.
    let (id, key) = warm_key(&database, &[&one, &other]).await;
    one.revoke(&id).await;
    assert!(other.passes_for(&key).await <= Duration::from_secs(1));
}
