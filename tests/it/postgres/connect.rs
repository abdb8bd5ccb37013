//! Getting through to the database, or saying why not.

use std::time::{Duration, Instant};

use coverbase_auth::{
    PostgresStore,
    key_store::{ConnectError, PostgresConfig},
};

use super::{
    cluster::shared,
    create, is_live,
    proxy::{Proxy, Weather},
};

async fn refused(url: &str) -> String {
    let config = PostgresConfig::from_url(url).unwrap();
    let config = config.with_connect_timeout(Duration::from_secs(1));
    let began = Instant::now();
    let error = config.connect().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(1_500), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_after_a_bounded_wait() {
    let error = refused("postgres://auth:hunter2@127.0.0.1:1/coverbase").await;
    assert!(error.contains("127.0.0.1:1"), "{error}");
    assert!(error.contains("refused"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

// C33
#[test]
fn no_error_repeats_a_part_of_a_password() {
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
async fn a_server_that_says_nothing_is_an_error_after_a_bounded_wait() {
    let database = shared().database().await;
    let proxy = Proxy::before(shared().port).await;
    proxy.set(Weather::Silent);
    let error = refused(&database.url_by(proxy.port)).await;
    assert!(error.contains("does not answer in time"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn a_server_that_comes_up_a_little_later_will_do() {
    let database = shared().database().await;
    let proxy = Proxy::before(shared().port).await;
    proxy.set(Weather::Refusing);
    let url = database.url_by(proxy.port);
    let connecting = tokio::spawn(async move { PostgresStore::connect(&url).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.set(Weather::Fair);
    connecting.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn a_server_that_refuses_is_an_error_at_once() {
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
    let error = refused(&url("wrong")).await;
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    let error = refused(&database.url().replace("/test_", "/no_such_")).await;
    assert!(error.contains("does not exist"), "{error}");
    assert!(began.elapsed() < Duration::from_millis(900));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn a_unix_socket_is_a_folder_in_the_url() {
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
async fn tls_is_what_sslmode_says() {
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
        super::eventually("the connections are gone", async || {
            let rest = "SELECT FROM pg_stat_activity WHERE datname = current_database()";
            client.query(rest, &[]).await.unwrap().len() == 1
        })
        .await;
    }
    // An authority that nobody has told it of, and a name that the certificate is not for.
    let error = refused(&url("localhost", "sslmode=require")).await;
    assert!(error.contains("certificate"), "{error}");
    let verified = format!("sslmode=require&{trusted}");
    let error = refused(&url("db.internal", &verified)).await;
    assert!(error.contains("certificate"), "{error}");
    let error = refused(&url("localhost", "sslmode=require&sslrootcert=/nowhere")).await;
    assert!(error.contains("/nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run"]
async fn schemas_are_stores_of_their_own() -> Result<(), ConnectError> {
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
