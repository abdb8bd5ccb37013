//! The contract tests, and several instances on one database.

use coverbase_auth::{
    ApiKey, KeyRecord, KeyRegistry, PostgresStore,
    audit::{AuditLog, AuditQuery},
    testing::{audit_contract, key_store_contract},
};
use tokio::task::JoinSet;

use super::{NOW, acme, cluster::shared, create, eventually, instance, is_live};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn store_passes_the_contract_tests() {
    let database = shared().database().await;
    let store = instance(&database).await;
    key_store_contract::key_store(async |keys: Vec<(ApiKey, KeyRecord)>| {
        for (key, record) in keys {
            let allowlist = record.allowlist().clone();
            store
                .set_allowlist(record.org_id(), allowlist)
                .await
                .unwrap();
            store.create(key.digest(), record).await.unwrap();
        }
        store.clone()
    })
    .await;
    key_store_contract::key_registry(async || store.clone()).await;
    let flush = async |store: &PostgresStore| store.flush().await.unwrap();
    key_store_contract::last_used(async || store.clone(), flush).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn audit_log_passes_the_contract_tests() {
    let database = shared().database().await;
    let store = instance(&database).await;
    audit_contract::check(store.clone()).await;
    let unknown = store.query(&"org\0".into(), &AuditQuery::default()).await;
    assert_eq!(unknown.unwrap().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn eight_instances_create_the_tables_at_once() {
    for _ in 0..5 {
        let database = shared().database().await;
        let mut instances = JoinSet::new();
        for _ in 0..8 {
            let url = database.url();
            instances.spawn(async move { PostgresStore::connect(&url).await.unwrap() });
        }
        let instances = instances.join_all().await;
        let digest = create(&instances[0], "ak_a").await;
        for instance in &instances {
            assert!(is_live(instance, &digest).await);
        }
        let migrations = "SELECT count(*), max(version) FROM coverbase_auth.migrations";
        let row = database.client().await.query_one(migrations, &[]).await;
        let row = row.unwrap();
        assert_eq!(row.get::<_, i64>(0), i64::from(row.get::<_, i32>(1)));
    }
}

// C40
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn concurrent_rotations_on_two_instances_succeed_once() {
    let database = shared().database().await;
    let instances = [instance(&database).await, instance(&database).await];
    for round in 0..100 {
        let old_id = format!("ak_{round}");
        let old = create(&instances[0], &old_id).await;
        let mut rotations = JoinSet::new();
        for (number, instance) in instances.iter().cloned().enumerate() {
            let old_id = old_id.as_str().into();
            let replacement = KeyRecord::new(format!("ak_{round}_{number}"), "org_acme");
            let digest = ApiKey::generate(coverbase_auth::Environment::Live).digest();
            rotations.spawn(async move {
                let done = instance.rotate(&old_id, digest, replacement, NOW).await;
                (done.unwrap(), digest)
            });
        }
        let rotations = rotations.join_all().await;
        assert_eq!(rotations.iter().filter(|(done, _)| *done).count(), 1);
        assert!(!is_live(&instances[round % 2], &old).await);
        for (done, digest) in rotations {
            assert_eq!(is_live(&instances[round % 2], &digest).await, done);
        }
    }
}

// C41
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn concurrent_revocations_on_two_instances_have_one_first() {
    let database = shared().database().await;
    let instances = [instance(&database).await, instance(&database).await];
    for round in 0..50 {
        let id = format!("ak_{round}");
        create(&instances[0], &id).await;
        let mut revocations = JoinSet::new();
        for n in 0..8 {
            let (instance, id) = (instances[n % 2].clone(), id.as_str().into());
            revocations.spawn(async move {
                let revocation = instance.revoke(&acme(), &id, NOW + n as u64).await;
                revocation.unwrap().unwrap()
            });
        }
        let revocations = revocations.join_all().await;
        assert_eq!(revocations.iter().filter(|each| each.is_first).count(), 1);
        let first = revocations[0].record.revoked_at();
        for revocation in &revocations {
            assert_eq!(revocation.record.revoked_at(), first);
        }
    }
}

// C38
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn newest_last_used_time_of_two_instances_is_kept() {
    let database = shared().database().await;
    let (one, other) = (instance(&database).await, instance(&database).await);
    let mut digests = Vec::new();
    for n in 0..50 {
        digests.push(create(&one, &format!("ak_{n}")).await);
    }
    key_store_contract::last_used(
        async || one.clone(),
        async |_: &PostgresStore| {
            other.flush().await.unwrap();
            one.flush().await.unwrap();
        },
    )
    .await;
    let records = other.list(&acme()).await.unwrap();
    assert_eq!(records.len(), digests.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn dropped_or_closed_store_leaves_no_connection() {
    let database = shared().database().await;
    let client = database.client().await;
    let connections = async || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
        client.query_one(count, &[]).await.unwrap().get::<_, i64>(0)
    };
    let (dropped, closed) = (instance(&database).await, instance(&database).await);
    create(&dropped, "ak_a").await;
    assert!(
        connections().await > 3,
        "each store has a pool and a listener"
    );
    drop(dropped);
    closed.close().await.unwrap();
    assert!(closed.list(&acme()).await.is_err(), "a closed store fails");
    eventually("the connections are closed", async || {
        connections().await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn role_without_the_right_to_create_can_use_existing_tables() {
    let database = shared().database().await;
    instance(&database).await;
    let grant = "
        CREATE ROLE reader_of_keys LOGIN;
        GRANT USAGE ON SCHEMA coverbase_auth TO reader_of_keys;
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA coverbase_auth TO reader_of_keys";
    database.client().await.batch_execute(grant).await.unwrap();
    let url = database.url().replace("postgres@", "reader_of_keys@");
    let store = PostgresStore::connect(&url).await.unwrap();
    let digest = create(&store, "ak_a").await;
    assert!(is_live(&store, &digest).await);
}
