//! Connecting, and the errors of connecting.

use std::time::{Duration, Instant};

use coverbase_auth::{
    PostgresStore,
    key_store::{ConnectError, PostgresConfig},
};

use super::{
    cluster::shared,
    create, is_live,
    proxy::{Link, Proxy},
};

async fn connect_error(url: &str) -> String {
    let config = PostgresConfig::from_url(url).unwrap();
    let config = config.with_connect_timeout(Duration::from_secs(1));
    let began = Instant::now();
    let error = config.connect().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(1_500), "{error}");
    error.to_string()
}

#[tokio::test]
async fn unreachable_server_is_an_error_after_a_bounded_wait() {
    let error = connect_error("postgres://auth:hunter2@127.0.0.1:1/coverbase").await;
    assert!(error.contains("127.0.0.1:1"), "{error}");
    assert!(error.contains("refused"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

// C33
#[test]
fn error_never_contains_a_part_of_the_password() {
    for url in [
        "postgres://auth:hunter2?hunter3=hunter4@db/coverbase",
        "postgres://auth:hunter2@db/coverbase?hunter3=4",
        "postgres://auth:hunter2@db:hunter3/coverbase",
        "postgres:/auth:hunter2@db",
        "postgres://auth:hunter2@db/coverbase?sslmode=hunter3",
        "hunter2",
        "host=db user=auth password=hunter2 sslmode=require",
    ] {
        let error = match PostgresConfig::from_url(url) {
            Ok(config) => format!("{config:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!error.contains("hunter"), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn silent_server_is_an_error_after_a_bounded_wait() {
    let database = shared().database().await;
    let proxy = Proxy::start(shared().port).await;
    proxy.set(Link::Silent);
    let error = connect_error(&database.url_by(proxy.port)).await;
    assert!(error.contains("does not answer in time"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn server_that_starts_during_connect_is_reached() {
    let database = shared().database().await;
    let proxy = Proxy::start(shared().port).await;
    proxy.set(Link::Closed);
    let url = database.url_by(proxy.port);
    let connecting = tokio::spawn(async move { PostgresStore::connect(&url).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.set(Link::Up);
    connecting.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn rejected_connection_is_an_error_at_once() {
    let database = shared().database().await;
    let postgres = database.client().await;
    let role = "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'";
    postgres.batch_execute(role).await.unwrap();
    let url = |password: &str| {
        let guarded = format!("guarded:{password}@");
        database.url().replace("postgres@", &guarded)
    };
    PostgresStore::connect(&url("right")).await.unwrap();

    let began = Instant::now();
    let error = connect_error(&url("wrong")).await;
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    let error = connect_error(&database.url().replace("/test_", "/no_such_")).await;
    assert!(error.contains("does not exist"), "{error}");
    assert!(began.elapsed() < Duration::from_millis(900));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn folder_as_the_host_connects_to_a_unix_socket() {
    let database = shared().database().await;
    let folder = shared().folder.to_str().unwrap().replace('/', "%2F");
    let (port, name) = (shared().port, &database.name);
    for sslmode in ["", "?sslmode=prefer", "?sslmode=disable"] {
        let url = format!("postgres://postgres@{folder}:{port}/{name}{sslmode}");
        PostgresStore::connect(&url).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn sslmode_decides_about_tls() {
    let database = shared().database().await;
    let authority = shared().authority.display();
    let (port, name) = (shared().port, &database.name);
    let url = |host: &str, options: &str| {
        format!("postgres://postgres@{host}:{port}/{name}?hostaddr=127.0.0.1&{options}")
    };
    let trusted = format!("sslrootcert={authority}");
    let client = database.client().await;
    for (options, is_encrypted) in [
        ("sslmode=disable", false),
        ("sslmode=prefer", true),
        ("application_name=a", true),
        (&format!("sslmode=require&{trusted}"), true),
        (&format!("{trusted}&sslmode=verify-full"), true),
        (&trusted, true),
    ] {
        let store = PostgresStore::connect(&url("localhost", options))
            .await
            .unwrap();
        let digest = create(&store, options).await;
        assert!(is_live(&store, &digest).await);
        let encrypted = "
            SELECT bool_and(ssl) = bool_or(ssl) AND bool_or(ssl) FROM pg_stat_ssl
            JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let row = client.query_one(encrypted, &[]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), is_encrypted, "{options}");
        store.close().await.unwrap();
        drop(store);
        super::eventually("the connections are closed", async || {
            let rest = "SELECT FROM pg_stat_activity WHERE datname = current_database()";
            client.query(rest, &[]).await.unwrap().len() == 1
        })
        .await;
    }
    // An unknown authority, the name of another host, and a missing file.
    let error = connect_error(&url("localhost", "sslmode=require")).await;
    assert!(error.contains("certificate"), "{error}");
    let verified = format!("sslmode=require&{trusted}");
    let error = connect_error(&url("db.internal", &verified)).await;
    assert!(error.contains("certificate"), "{error}");
    let error = connect_error(&url("localhost", "sslmode=require&sslrootcert=/nowhere")).await;
    assert!(error.contains("/nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn schemas_of_one_database_are_separate_stores() -> Result<(), ConnectError> {
    let database = shared().database().await;
    let in_schema = async |schema: &str| {
        let config = PostgresConfig::from_url(&database.url())?;
        config.with_schema(schema)?.connect().await
    };
    let (live, staging) = (
        in_schema("auth_live").await?,
        in_schema("auth_staging").await?,
    );
    let digest = create(&live, "ak_a").await;
    assert!(is_live(&live, &digest).await);
    assert!(!is_live(&staging, &digest).await);
    Ok(())
}
