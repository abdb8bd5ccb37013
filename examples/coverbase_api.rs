//! A complete Coverbase service: the routes of section 8 of the contract, by default on an embedded store in a file.
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

/// The time that a stop leaves for requests in flight. A stalled client must not prevent the stop.
const GRACE: Duration = Duration::from_secs(1);

/// A service with the routes of the Coverbase authentication contract
#[derive(Debug, Parser)]
struct Options {
    /// The address to listen on; port 0 chooses a free port
    #[arg(long, env = "COVERBASE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The store of the keys: a file, `redb://PATH`; a database for several instances, `postgres://USER@HOST/DATABASE`; or
    /// `memory`, which is lost when the service stops
    #[arg(
        long,
        env = "COVERBASE_STORE",
        default_value = "redb://coverbase.redb",
        hide_env_values = true
    )]
    store: StoreUrl,

    /// The key set that verifies session tokens, a file or an https URL; by default the service creates a signing key
    #[arg(long, env = "COVERBASE_JWKS", value_name = "FILE-OR-URL")]
    jwks: Option<String>,

    /// The issuer of session tokens
    #[arg(
        long,
        env = "COVERBASE_ISSUER",
        default_value = "https://clerk.coverbase.example"
    )]
    issuer: String,

    /// An accepted authorized party (`azp`) of session tokens; repeatable
    #[arg(
        long = "authorized-party",
        env = "COVERBASE_AUTHORIZED_PARTY",
        value_name = "URL",
        value_delimiter = ','
    )]
    authorized_parties: Vec<String>,

    /// The number of proxies in front of the service that append to `X-Forwarded-For`
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

/// The store of the keys and of the audit log.
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

    /// Writes what is still in memory, such as the times of last use.
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
    // Before the first line is printed: a signal can follow as soon as it is read.
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

/// Prints to stdout. Ignores errors: the reader may have closed it.
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

/// Returns a session token with role `admin`, valid for an hour.
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

/// Returns commands that can be pasted into a shell.
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
