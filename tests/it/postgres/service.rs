//! The example service on PostgreSQL, as processes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::shared;
use crate::{
    kill::survives_kills,
    program::{Server, post, program},
};

fn key_of(answer: Option<(u16, Value)>) -> (String, String) {
    let (_, key) = answer.unwrap();
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn change_in_one_process_takes_effect_in_the_other() {
    let database = shared().database().await;
    let url = database.url();
    let flags = ["--store", &*url];
    let (mut one, mut other) = (Server::start(&flags), Server::start(&flags));
    let token = one.token();
    let body = json!({"name": "ci"}).to_string();
    let (id, secret) = key_of(post(one.address, "/v1/api-keys", &token, &body));
    assert_eq!(other.authtest(&secret), 200);
    let rotate = format!("/v1/api-keys/{id}/rotate");
    let (new_id, new_secret) = key_of(post(one.address, &rotate, &token, ""));
    assert_eq!(one.authtest(&secret), 401);
    let answered = Instant::now();
    while other.authtest(&secret) == 200 {}
    assert!(answered.elapsed() < Duration::from_secs(1));
    assert_eq!(other.authtest(&new_secret), 200);

    // A process that stops writes its records and last-used times.
    for server in [&mut one, &mut other] {
        let (status, took) = server.stop("TERM");
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
    let client = database.client().await;
    let used = "SELECT last_used_at FROM coverbase_auth.api_keys WHERE id = $1";
    let row = client.query_one(used, &[&new_id]).await.unwrap();
    assert!(row.get::<_, Option<i64>>(0).is_some());
    let calls = "SELECT count(*) FROM coverbase_auth.audit_records
        WHERE event_type = 'external_api_call' AND org_id = 'org_demo'";
    let row = client.query_one(calls, &[]).await.unwrap();
    assert!(
        row.get::<_, i64>(0) >= 4,
        "two changes and two calls of the keys"
    );
}

#[test]
fn unreachable_database_is_named_without_its_password() {
    let variables = [("COVERBASE_STORE", "postgres://auth:hunter2@db/coverbase")];
    let help = program(&["--help"], &variables).output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("hunter2"));

    for (store, reason) in [
        (
            "postgres://auth:hunter2@127.0.0.1:1/coverbase",
            "127.0.0.1:1",
        ),
        (
            "postgres://auth:hunter2@127.0.0.1:x/coverbase",
            "write postgres://",
        ),
    ] {
        let began = Instant::now();
        let output = program(&["--store", store], &[]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(began.elapsed() < Duration::from_secs(8), "{error}");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.starts_with("error: ") && error.contains(reason),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

// T21
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn killed_service_leaves_the_old_key_xor_the_new_one() {
    let database = shared().database().await;
    let url = database.url();
    tokio::task::spawn_blocking(move || survives_kills(&url))
        .await
        .unwrap();
}
