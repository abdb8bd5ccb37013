//! A whole Coverbase service: section 8 of the contract, on an embedded store that outlives it.
//!
//! ```text
//! cargo run --release --example coverbase_api --features full
//! ```

use std::{
    error::Error, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, str::FromStr,
    sync::Arc, time::Duration,
};

use clap::Parser;
use coverbase_auth::{
    CachedStore, ClientIpSource, Clock, CoverbaseAuthLayer, JwtVerifier, KeyAdmin, KeySet,
    KeyStore, MemoryStore, PostgresStore, RedbStore, StoreError, SystemClock,
    audit::{AuditQueue, AuditStore, MemoryAuditLog},
    jwt::KeySetError,
    routes::{self, Routes},
    testing::TestIssuer,
};
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::Notify, time::sleep};

/// How long a stop waits for requests that are on their way: a client that stalls must not keep the service up.
const GRACE: Duration = Duration::from_secs(1);

/// The Coverbase authentication contract, served.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; port 0 for any that is free
    #[arg(long, env = "COVERBASE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where keys are kept: in a file, `redb://PATH`; for several instances, `postgres://USER@HOST/DATABASE`; or until the
    /// service stops, `memory`
    #[arg(
        long,
        env = "COVERBASE_STORE",
        default_value = "redb://coverbase.redb",
        hide_env_values = true
    )]
    store: StoreUrl,

    /// The key set that session tokens are verified with, a file or an https address; without one the service makes a signing key of its own
    #[arg(long, env = "COVERBASE_JWKS", value_name = "FILE-OR-URL")]
    jwks: Option<String>,

    /// The issuer of session tokens
    #[arg(
        long,
        env = "COVERBASE_ISSUER",
        default_value = "https://clerk.coverbase.example"
    )]
    issuer: String,

    /// An origin that session tokens may have been made for; repeatable
    #[arg(
        long = "authorized-party",
        env = "COVERBASE_AUTHORIZED_PARTY",
        value_name = "URL",
        value_delimiter = ','
    )]
    authorized_parties: Vec<String>,

    /// How many proxies stand before the service and append to `X-Forwarded-For`
    #[arg(long, env = "COVERBASE_TRUSTED_PROXIES", default_value_t = 0)]
    trusted_proxies: usize,
}

#[derive(Debug, Clone)]
enum StoreUrl {
    Memory,
    Redb(PathBuf),
    Postgres(String),
}

impl FromStr for StoreUrl {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        match url.split_once("://") {
            None if url == "memory" => Ok(Self::Memory),
            Some(("redb", path)) if !path.is_empty() => Ok(Self::Redb(path.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url.to_owned())),
            _ => Err("expected `redb://PATH`, `postgres://USER@HOST/DATABASE` or `memory`"),
        }
    }
}

/// The engine that keeps the keys and the audit log.
enum Store {
    Memory(MemoryStore, Arc<MemoryAuditLog>),
    Redb(RedbStore),
    Postgres(PostgresStore),
}

impl Store {
    async fn open(url: &StoreUrl) -> Result<Self, Box<dyn Error>> {
        Ok(match url {
            StoreUrl::Memory => Self::Memory(MemoryStore::new(), Arc::default()),
            StoreUrl::Redb(path) => Self::Redb(RedbStore::open(path)?),
            StoreUrl::Postgres(url) => Self::Postgres(PostgresStore::connect(url).await?),
        })
    }

    fn keys(&self) -> Arc<dyn KeyStore> {
        match self {
            Self::Memory(store, _) => Arc::new(store.clone()),
            Self::Redb(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(CachedStore::new(store.clone())),
        }
    }

    fn admin(&self) -> KeyAdmin {
        match self {
            Self::Memory(store, _) => KeyAdmin::new(store.clone()),
            Self::Redb(store) => KeyAdmin::new(store.clone()),
            Self::Postgres(store) => KeyAdmin::new(store.clone()),
        }
    }

    fn audit(&self) -> Arc<dyn AuditStore> {
        match self {
            Self::Memory(_, log) => Arc::clone(log) as _,
            Self::Redb(store) => Arc::new(store.clone()),
            Self::Postgres(store) => Arc::new(store.clone()),
        }
    }

    /// Writes what is behind.
    async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(..) => Ok(()),
            Self::Redb(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let store = Store::open(&options.store).await?;
    let client_ip = ClientIpSource::trusted_proxies(options.trusted_proxies);

    let (key_set, own_issuer) = match &options.jwks {
        Some(place) => (key_set(place)?, None),
        None => {
            let issuer = TestIssuer::new(&options.issuer);
            (issuer.key_set(), Some(issuer))
        }
    };
    let mut verifier = JwtVerifier::new(&options.issuer, key_set);
    if !options.authorized_parties.is_empty() {
        verifier = verifier.with_authorized_parties(&options.authorized_parties);
    }

    let audit_queue = AuditQueue::spawn(store.audit());
    let routes = Routes::new(store.admin().with_audit(audit_queue.clone()))
        .with_client_ip(client_ip.clone())
        .with_audit_log(store.audit());
    #[cfg(feature = "openapi")]
    let routes = routes.with_openapi();
    let listing = routes.listing();
    let auth = CoverbaseAuthLayer::new(store.keys())
        .with_jwt(verifier)
        .with_client_ip(client_ip)
        .with_audit(audit_queue.clone());
    let app = routes::router(routes).layer(auth);

    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr()?;
    // Whoever has read the first line may stop the service.
    let stop = stop_signal()?;
    print(&format!("listening on http://{address}\n\n{listing}"));
    if let Some(issuer) = own_issuer {
        print(&first_steps(address, &admin_token(&issuer, &options)));
    }

    let stopping = Arc::new(Notify::new());
    let server = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown({
        let stopping = Arc::clone(&stopping);
        async move {
            stop.await;
            stopping.notify_one();
        }
    });
    let grace_is_over = async {
        stopping.notified().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served?,
        () = grace_is_over => {}
    }
    audit_queue.shutdown().await;
    store.close().await?;
    Ok(())
}

/// A reader that has seen enough and hung up is no reason to stop serving.
fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

fn key_set(place: &str) -> Result<KeySet, KeySetError> {
    #[cfg(feature = "jwks")]
    if place.contains("://") {
        return KeySet::url(place);
    }
    KeySet::from_file(place)
}

/// A session of an administrator, good for an hour.
fn admin_token(issuer: &TestIssuer, options: &Options) -> String {
    let now = SystemClock.unix_seconds();
    let token = issuer
        .token()
        .with_org("org_demo")
        .with_role("org:admin")
        .with_times(now, now + 3600);
    match options.authorized_parties.first() {
        Some(party) => token.with_claim("azp", party).sign(),
        None => token.sign(),
    }
}

/// What to paste into a shell, line by line or all at once.
fn first_steps(address: SocketAddr, token: &str) -> String {
    format!(
        r#"
No --jwks was given: this token, of an administrator of org_demo, is good for an hour.

    TOKEN={token}

Who am I, and from where?

    curl -H "Authorization: Bearer $TOKEN" http://{address}/v1/utils/authtest
    curl -H "Authorization: Bearer $TOKEN" http://{address}/v1/whoami/ip

Make a key; its secret is shown this once.

    KEY=$(curl -s -H "Authorization: Bearer $TOKEN" -d '{{"name":"ci","scopes":["audit:read"]}}' http://{address}/v1/api-keys)
    field() {{ echo "$KEY" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }}
    SECRET=$(field secret) ID=$(field id)

Use it: an ordinary route, and one that asks for the scope keys:manage, which it does not carry.

    curl -H "Authorization: Bearer $SECRET" http://{address}/v1/utils/authtest
    curl -H "Authorization: Bearer $SECRET" http://{address}/v1/api-keys

Restrict the organization's keys to a network, try again from outside of it, and lift the restriction.

    curl -H "Authorization: Bearer $TOKEN" -d '{{"api_ip_allowlist":["203.0.113.0/24"]}}' http://{address}/v1/org/org_demo
    curl -H "Authorization: Bearer $SECRET" http://{address}/v1/utils/authtest
    curl -H "Authorization: Bearer $TOKEN" -d '{{"api_ip_allowlist":[]}}' http://{address}/v1/org/org_demo

Rotate the key, revoke its replacement too, and list what there was.

    KEY=$(curl -s -H "Authorization: Bearer $TOKEN" -X POST http://{address}/v1/api-keys/$ID/rotate)
    curl -H "Authorization: Bearer $SECRET" http://{address}/v1/utils/authtest
    curl -H "Authorization: Bearer $TOKEN" -X POST http://{address}/v1/api-keys/$(field id)/revoke
    curl -H "Authorization: Bearer $TOKEN" http://{address}/v1/api-keys

Who did what?

    curl -H "Authorization: Bearer $TOKEN" http://{address}/v1/system_audit_log

"#
    )
}

/// Completes on SIGTERM and on Ctrl-C.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
