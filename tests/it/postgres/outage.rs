//! The database fails and recovers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use coverbase_auth::{
    ApiKey, Environment, KeyRecord, KeyRegistry, KeyStore,
    audit::{AuditLog, AuditQuery},
};
use http::{StatusCode, header::RETRY_AFTER};
use tokio::task::JoinSet;

use super::{
    NOW, acme,
    cluster::{Cluster, shared},
    eventually,
    fleet::{Instance, warm_key},
    proxy::{Link, Proxy},
};

/// The greatest time from a request to its answer while the database is down (C31).
const LIMIT: Duration = Duration::from_millis(300);

async fn timed_status(instance: &Instance, key: &ApiKey) -> StatusCode {
    let began = Instant::now();
    let response = instance.respond(key).await;
    let elapsed = began.elapsed();
    assert!(elapsed <= LIMIT, "{elapsed:?}");
    let is_unavailable = response.status() == 503;
    assert_eq!(response.headers().contains_key(RETRY_AFTER), is_unavailable);
    response.status()
}

// C31, T20
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn stopped_database_is_503_and_first_request_after_restart_succeeds() {
    let cluster = Cluster::start();
    let database = cluster.database_alone().await;
    let instance = Instance::connect(&database.url()).await;
    let (_, warm) = warm_key(&database, &[&instance]).await;
    for _ in 0..3 {
        let cold = ApiKey::generate(Environment::Live);
        let record = KeyRecord::new(format!("ak_{:?}", Instant::now()), acme());
        let created = instance.store.create(cold.digest(), record).await;
        created.unwrap();

        cluster.stop();
        for _ in 0..20 {
            assert_eq!(timed_status(&instance, &cold).await, 503);
            // The cache answers until the listener has noticed.
            let status = timed_status(&instance, &warm).await;
            assert!([200, 503].contains(&status.as_u16()), "{status}");
        }
        let began = Instant::now();
        assert!(instance.store.list(&acme()).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(3));

        cluster.start_again();
        assert_eq!(instance.status(&warm).await, 200, "the first request");
        assert_eq!(instance.status(&cold).await, 200);
        assert!(instance.store.list(&acme()).await.is_ok());
    }
    eventually("the cache is used again", async || {
        instance.has_cached(&warm).await
    })
    .await;
}

// C31, T20: connections are accepted, but nothing is answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn silent_database_is_503_and_first_request_after_it_succeeds() {
    let database = shared().database_alone().await;
    let proxy = Proxy::start(shared().port).await;
    let instance = Instance::connect(&database.url_by(proxy.port)).await;
    let (id, warm) = warm_key(&database, &[&instance]).await;
    for _ in 0..2 {
        proxy.set(Link::Silent);
        for _ in 0..10 {
            let cold = ApiKey::generate(Environment::Live);
            assert_eq!(timed_status(&instance, &cold).await, 503);
        }
        let began = Instant::now();
        assert!(instance.store.find(&acme(), &id).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(3));
        eventually("the listener has noticed", async || {
            instance.status(&warm).await == 503
        })
        .await;

        proxy.set(Link::Up);
        assert_eq!(instance.status(&warm).await, 200, "the first request");
        let began = Instant::now();
        eventually("the cache is used again", async || {
            instance.has_cached(&warm).await
        })
        .await;
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

// C31, T20: more lookups than connections, each sent during the silence.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn first_request_succeeds_after_silence_on_every_connection() {
    let database = shared().database_alone().await;
    let proxy = Proxy::start(shared().port).await;
    let url = database.url_by(proxy.port);
    // A deadline that a busy machine can meet. A statement on a dead connection takes two seconds.
    let instance = Arc::new(Instance::connect_with_deadline(&url, Duration::from_secs(1)).await);
    for _ in 0..2 {
        let (_, warm) = warm_key(&database, &[&instance]).await;
        proxy.set(Link::Silent);
        let mut crowd = JoinSet::new();
        for _ in 0..64 {
            let instance = Arc::clone(&instance);
            crowd.spawn(async move {
                for _ in 0..2 {
                    let cold = ApiKey::generate(Environment::Live);
                    assert_eq!(instance.status(&cold).await, 503);
                }
            });
        }
        crowd.join_all().await;

        proxy.set(Link::Up);
        instance.cache.flush();
        assert_eq!(instance.status(&warm).await, 200, "the first request");
    }
}

// Lookups that are sent again share a connection: a slow server does not get a connection for each of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn slow_lookups_are_sent_twice_on_few_connections() {
    const LOOKUPS: usize = 100;

    let database = shared().database_alone().await;
    let instance = Instance::connect(&database.url()).await;
    let (_, key) = warm_key(&database, &[&instance]).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    let lock = "LOCK TABLE coverbase_auth.api_keys IN ACCESS EXCLUSIVE MODE";
    transaction.batch_execute(lock).await.unwrap();

    let mut lookups = JoinSet::new();
    for _ in 0..LOOKUPS {
        let (store, digest) = (instance.store.clone(), key.digest());
        lookups.spawn(async move { store.lookup(&digest).await });
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let connections = "SELECT FROM pg_stat_activity WHERE datname = current_database()";
    let observer = database.client().await;
    let connections = observer.query(connections, &[]).await.unwrap().len();
    // The pool, the listener, the two clients of this test, and those of the lookups that are sent again.
    assert!(connections <= 16 + 1 + 2 + 8, "{connections}");

    transaction.rollback().await.unwrap();
    for answer in lookups.join_all().await {
        assert!(answer.unwrap().is_some());
    }
}

// An instance that hears changes answers from its cache until the time to live is over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn cached_key_is_valid_until_its_ttl_while_statements_hang() {
    const TTL: Duration = Duration::from_secs(2);

    let database = shared().database_alone().await;
    let instance = Instance::connect_with_ttl(&database.url(), TTL).await;
    let (_, warm) = warm_key(&database, &[&instance]).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();

    instance.cache.flush();
    let began = Instant::now();
    assert_eq!(instance.status(&warm).await, 200);
    let lock = "LOCK TABLE coverbase_auth.api_keys IN ACCESS EXCLUSIVE MODE";
    transaction.batch_execute(lock).await.unwrap();
    let cold = ApiKey::generate(Environment::Live);
    assert_eq!(timed_status(&instance, &cold).await, 503);
    assert_eq!(timed_status(&instance, &warm).await, 200);
    instance.passes_for(&warm).await;
    let passed_for = began.elapsed();
    // The first request after the time to live has waited for the deadline.
    assert!(
        (TTL..TTL + 2 * LIMIT).contains(&passed_for),
        "{passed_for:?}"
    );
    assert_eq!(timed_status(&instance, &warm).await, 503);

    transaction.rollback().await.unwrap();
    assert_eq!(instance.status(&warm).await, 200, "the first request");
}

// C6, T14: searches of one organization do not delay the keys of another, even if their callers stop waiting.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn audit_searches_leave_connections_for_keys() {
    let database = shared().database_alone().await;
    let instance = Instance::connect_with_deadline(&database.url(), Duration::from_secs(1)).await;
    let (_, key) = warm_key(&database, &[&instance]).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    let lock = "LOCK TABLE coverbase_auth.audit_records IN ACCESS EXCLUSIVE MODE";
    transaction.batch_execute(lock).await.unwrap();

    let mut searches = JoinSet::new();
    for n in 0..80 {
        let store = instance.store.clone();
        searches.spawn(async move {
            let query = AuditQuery::default();
            let curious = "org_curious".into();
            let search = store.query(&curious, &query);
            // Every second caller stops waiting.
            let patience = Duration::from_millis(if n % 2 == 0 { 150 } else { 60_000 });
            tokio::time::timeout(patience, search).await.is_ok()
        });
    }
    let waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let observer = database.client().await;
    let waiting = async || observer.query(waiting, &[]).await.unwrap().len();
    eventually("a quarter of the connections wait", async || {
        waiting().await == 4
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(waiting().await, 4, "and no more");
    instance.cache.flush();
    assert_eq!(instance.status(&key).await, 200);

    transaction.rollback().await.unwrap();
    searches.join_all().await;
    let page = instance.store.query(&acme(), &AuditQuery::default()).await;
    assert_eq!(page.unwrap().total, 0, "searches work again");
}

// C31, T20: the database fails and recovers between requests.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn flapping_database_is_never_401() {
    let database = shared().database_alone().await;
    let proxy = Proxy::start(shared().port).await;
    let instance = Instance::connect(&database.url_by(proxy.port)).await;
    let (_, key) = warm_key(&database, &[&instance]).await;
    for _ in 0..20 {
        proxy.set(Link::Closed);
        for _ in 0..5 {
            instance.cache.flush();
            assert_eq!(timed_status(&instance, &key).await, 503);
        }
        proxy.set(Link::Up);
        instance.cache.flush();
        assert_eq!(instance.status(&key).await, 200);
    }
    // Last-used times that could not be written are written after recovery.
    eventually("the last-used time is written", async || {
        instance.store.flush().await.is_ok()
    })
    .await;
    let client = database.client().await;
    let used = "SELECT last_used_at FROM coverbase_auth.api_keys";
    let row = client.query_one(used, &[]).await.unwrap();
    assert!(row.get::<_, Option<i64>>(0) > Some(i64::try_from(NOW).unwrap()));
}
