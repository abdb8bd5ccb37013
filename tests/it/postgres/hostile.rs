//! Malicious ids, and statements that are killed.

use std::process::{Command, ExitStatus};

use coverbase_auth::{ApiKey, Environment, IpAllowlist, KeyId, KeyRecord, KeyRegistry, OrgId};
use tokio_postgres::Client;

use super::{
    NOW, acme,
    cluster::{Cluster, shared},
    create, eventually, instance, is_live,
};

// T7
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn sql_in_an_id_is_not_executed() {
    let database = shared().database().await;
    let store = instance(&database).await;
    let kept = create(&store, "ak_kept").await;
    for id in [
        "' OR '1'='1",
        "ak_kept'; DROP TABLE coverbase_auth.api_keys; --",
        "ak_kept' /*",
        "$1",
        "\\'; SELECT pg_sleep(10); --",
        "ak_kep_",
        "%",
        "ak_kept\0",
        "",
        &"ak_".repeat(4_000),
    ] {
        let (key_id, org_id) = (KeyId::from(id), OrgId::from(id));
        assert!(store.find(&acme(), &key_id).await.unwrap().is_none());
        assert!(
            store
                .find(&org_id, &"ak_kept".into())
                .await
                .unwrap()
                .is_none()
        );
        assert!(store.revoke(&acme(), &key_id, NOW).await.unwrap().is_none());
        assert!(
            store
                .revoke(&org_id, &"ak_kept".into(), NOW)
                .await
                .unwrap()
                .is_none()
        );
        assert!(store.list(&org_id).await.unwrap().is_empty());
        assert!(store.allowlist(&org_id).await.unwrap().is_empty());
        let digest = ApiKey::generate(Environment::Live).digest();
        let replacement = KeyRecord::new("ak_new", acme());
        let rotated = store.rotate(&key_id, digest, replacement, NOW).await;
        assert!(!rotated.unwrap(), "{id}");
    }
    assert!(is_live(&store, &kept).await);
    assert_eq!(store.list(&acme()).await.unwrap().len(), 1);
}

// Longer than the payload of a notification.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn organization_with_a_long_id_can_have_an_allowlist() {
    let database = shared().database().await;
    let store = instance(&database).await;
    for length in [7_000, 7_989, 7_990, 7_999, 8_000, 20_000] {
        let org_id = OrgId::from("x".repeat(length));
        let allowlist = IpAllowlist::parse(["10.0.0.0/8"]).unwrap();
        let set = store.set_allowlist(&org_id, allowlist.clone()).await;
        set.unwrap();
        assert_eq!(store.allowlist(&org_id).await.unwrap(), allowlist);
    }
}

// T21
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn killed_rotation_changes_nothing() {
    let database = shared().database().await;
    let store = instance(&database).await;
    let client = database.client().await;
    for (round, end) in ["pg_terminate_backend", "pg_cancel_backend"]
        .repeat(2)
        .into_iter()
        .enumerate()
    {
        let old_id = format!("ak_{round}");
        let old = create(&store, &old_id).await;
        let new = ApiKey::generate(Environment::Live).digest();
        // Another transaction inserts the new digest, so that the rotation revokes the old key and then waits.
        let mut blocker = database.client().await;
        let transaction = blocker.transaction().await.unwrap();
        let insert =
            "INSERT INTO coverbase_auth.api_keys (org_id, id, digest, name, scopes, created_at)
            VALUES ('org_blocker', $1, $2, '', '{}', 0)";
        let digest: &[u8] = new.as_bytes();
        transaction
            .execute(insert, &[&old_id, &digest])
            .await
            .unwrap();

        let rotation = tokio::spawn({
            let (store, old_id) = (store.clone(), old_id.as_str().into());
            let replacement = KeyRecord::new(format!("{old_id}_new"), acme());
            async move { store.rotate(&old_id, new, replacement, NOW).await }
        });
        end_waiting(&client, end).await;
        assert!(rotation.await.unwrap().is_err(), "the rotation has failed");
        transaction.rollback().await.unwrap();
        assert!(is_live(&store, &old).await);
        assert!(!is_live(&store, &new).await);
        assert_eq!(store.list(&acme()).await.unwrap().len(), round + 1);
    }
}

/// Ends the first statement that waits for a lock.
async fn end_waiting(client: &Client, by: &str) {
    let end = format!(
        "SELECT {by}(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"
    );
    eventually("a statement waits for the lock", async || {
        !client.query(&end, &[]).await.unwrap().is_empty()
    })
    .await;
}

// T21: server processes are killed, and the server recovers from its log.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn killed_server_process_leaves_the_old_key_xor_the_new_one() {
    let cluster = Cluster::start();
    let database = cluster.database().await;
    let store = instance(&database).await;
    for round in 0..5 {
        let old_id = format!("ak_{round}");
        let old = create(&store, &old_id).await;
        let new = ApiKey::generate(Environment::Live).digest();
        let pids = "SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let rows = database.client().await.query(pids, &[]).await.unwrap();
        let pids: Vec<_> = rows
            .iter()
            .map(|row| row.get::<_, i32>(0).to_string())
            .collect();
        let rotation = tokio::spawn({
            let (store, old_id) = (store.clone(), old_id.as_str().into());
            let replacement = KeyRecord::new(format!("{old_id}_new"), acme());
            async move { store.rotate(&old_id, new, replacement, NOW).await }
        });
        tokio::time::sleep(std::time::Duration::from_micros(200 * round)).await;
        // Some processes may have ended, for which `kill` fails.
        let kill = |pid: &String| Command::new("kill").args(["-KILL", pid]).status().unwrap();
        let killed = pids.iter().map(kill).filter(ExitStatus::success).count();
        assert!(killed > 0, "{pids:?}");

        let answer = rotation.await.unwrap();
        eventually("the server has recovered", async || {
            store.list(&acme()).await.is_ok()
        })
        .await;
        let (is_old_live, is_new_live) = (is_live(&store, &old).await, is_live(&store, &new).await);
        assert_ne!(is_old_live, is_new_live, "the old key xor the new one");
        if let Ok(done) = answer {
            assert_eq!(is_new_live, done, "the answer is true");
        }
    }
}
