//! Sends statements, and bounds the time that answers take.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
};
#[cfg(feature = "audit")]
use tokio::sync::Semaphore;
use tokio::{sync::Mutex, time::sleep};
use tokio_postgres::{Row, types::ToSql};

use super::{
    config::PostgresConfig,
    failure::{Failure, in_time},
    schema,
    server::Connector,
};

/// When a lookup that the pool has not answered is sent again on a new connection, and how long making that connection may
/// take. Both fit into the 250 ms that a `CachedStore` waits by default.
const HEDGE: Duration = Duration::from_millis(100);

/// The values of a statement's parameters.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(crate) type Rows = Result<Vec<Row>, Failure>;

/// A pool of connections, and one more connection for lookups that the pool does not answer in time.
///
/// A connection whose network path has failed reports no error. The pool tests a connection before each use, within a bounded
/// time; lookups do not wait for the whole of it.
pub(crate) struct Database {
    pub(super) pool: Pool,
    connector: Connector,
    /// The statements with which each connection begins.
    session: String,
    hedge: Mutex<Option<Hedge>>,
    /// Bounds concurrent long reads.
    #[cfg(feature = "audit")]
    long_reads: Semaphore,
    schema: String,
    timeout: Duration,
}

/// The connection that concurrent hedged lookups share, and when it was made. It is closed after the last of them.
struct Hedge {
    client: Weak<ClientWrapper>,
    made_at: Instant,
}

impl Database {
    /// Makes an empty pool.
    pub(super) fn new(config: &PostgresConfig, connector: Connector) -> Result<Self, Failure> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        };
        let (server, tls) = (connector.config.clone(), connector.tls.clone());
        let session = session(&config.schema, config.timeout);
        let begin = session.clone();
        let pool = Pool::builder(Manager::from_config(server, tls, recycling))
            .max_size(config.connections)
            .runtime(Runtime::Tokio1)
            .recycle_timeout(Some(config.timeout / 4))
            .post_create(Hook::async_fn(move |client, _| {
                let begin = begin.clone();
                Box::pin(async move {
                    let set = client.batch_execute(&begin).await;
                    set.map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(Failure::new)?;
        Ok(Self {
            pool,
            connector,
            session,
            hedge: Mutex::default(),
            #[cfg(feature = "audit")]
            long_reads: Semaphore::new((config.connections / 4).max(1)),
            schema: config.schema.clone(),
            timeout: config.timeout,
        })
    }

    /// Creates or updates the tables. Only the caller limits how long that may take.
    pub(super) async fn migrate(&self) -> Result<(), Failure> {
        let mut client = self.pool.get().await?;
        Ok(schema::migrate(&mut client, &self.schema).await?)
    }

    /// Returns the rows of a key lookup, which is sent again on a new connection if the pool does not answer in time. The
    /// first rows count.
    pub(super) async fn lookup(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        let rows = async {
            tokio::select! {
                answer = self.twice(statement, parameters) => answer,
                Ok(rows) = self.hedged(statement, parameters) => Ok(rows),
            }
        };
        in_time(self.timeout, rows).await
    }

    /// Returns the rows of a statement that changes nothing.
    pub(super) async fn read(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        in_time(self.timeout, self.twice(statement, parameters)).await
    }

    /// Returns the rows of a statement that changes nothing and may take long. A quarter of the pool is for these statements:
    /// searches in the audit log of one organization do not delay the keys of another.
    #[cfg(feature = "audit")]
    pub(crate) async fn long_read(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        let rows = async {
            let _permit = self.long_reads.acquire().await.map_err(Failure::new)?;
            self.twice(statement, parameters).await
        };
        in_time(self.timeout, rows).await
    }

    /// Returns the rows of a statement that changes something. It is never sent twice.
    pub(crate) async fn write(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        in_time(self.timeout, self.once(statement, parameters)).await
    }

    /// Closes the connections of the pool that no statement uses.
    pub(super) fn close_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    async fn once(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(statement).await?;
        Ok(client.query(&statement, parameters).await?)
    }

    /// Sends a statement again if its connection breaks.
    async fn twice(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        match self.once(statement, parameters).await {
            Err(failure) if failure.is_transient => self.once(statement, parameters).await,
            answer => answer,
        }
    }

    /// Waits, and then sends a statement on the first new connection that can be made.
    async fn hedged(&self, statement: &str, parameters: Parameters<'_>) -> Rows {
        let client = loop {
            sleep(HEDGE).await;
            if let Ok(client) = self.hedge_client().await {
                break client;
            }
        };
        Ok(client.query(statement, parameters).await?)
    }

    /// Returns a connection that is new enough to be trusted. One is made at a time, and shared: if each lookup made its own, a
    /// slow server would have more connections to accept than statements to execute.
    async fn hedge_client(&self) -> Result<Arc<ClientWrapper>, Failure> {
        let mut hedge = self.hedge.lock().await;
        if let Some(Hedge { client, made_at }) = &*hedge
            && made_at.elapsed() < HEDGE
            && let Some(client) = client.upgrade()
        {
            return Ok(client);
        }
        let client = Arc::new(in_time(HEDGE, self.connect()).await?);
        *hedge = Some(Hedge {
            client: Arc::downgrade(&client),
            made_at: Instant::now(),
        });
        Ok(client)
    }

    /// Makes a connection outside the pool. Dropping it closes it.
    async fn connect(&self) -> Result<ClientWrapper, Failure> {
        let (client, wire) = self.connector.connect().await?;
        let driver = tokio::spawn(async {
            // Its failure is reported by the statements that wait for it.
            let _ = wire.await;
        });
        let client = ClientWrapper::new(client, driver);
        client.batch_execute(&self.session).await?;
        Ok(client)
    }
}

/// Returns the statements that overrule settings of the database or role. The server cancels a statement a little before the
/// store gives up on it, so that the connection can be used again.
fn session(schema: &str, timeout: Duration) -> String {
    format!(
        "SET search_path = {schema}; \
         SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {}",
        (timeout - timeout / 8).as_millis().max(1)
    )
}
