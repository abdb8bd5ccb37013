//! Keys in PostgreSQL, shared by the instances of a service.
//!
//! `database` sends the `statements`, `listen` hears the changes of other instances, `usage` writes last-used times behind,
//! `schema` creates the tables; `config`, `server` and `tls` describe the server. Imports `key_store` and what is below it.

mod config;
mod database;
mod failure;
mod listen;
mod registry;
mod schema;
mod server;
mod statements;
mod tls;
mod usage;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_postgres::Row;

pub use self::config::{ConnectError, PostgresConfig};
#[cfg(feature = "audit")]
pub(crate) use self::statements::bigint;
use self::{
    database::Database, failure::Failure, listen::Listener, statements::LOOKUP, usage::WriteBehind,
};
use super::{Invalidation, Invalidations, KeyRecord, KeyStore, Lookup, StoreError, UsageLog};
use crate::{backoff::Backoff, credential::KeyDigest};

/// Keys in PostgreSQL, shared by the instances of a service. Clones share one store.
///
/// Each lookup is a query; put a [`CachedStore`](crate::CachedStore) in front. Instances hear each other's changes within
/// milliseconds (`LISTEN`) and remove them from their caches. An instance that cannot hear notices it within five seconds and
/// bypasses its caches. `LISTEN` and prepared statements need a direct connection, or a pooler that pools sessions and not
/// transactions.
///
/// If the database does not answer, lookups fail and requests are answered 503, never 401 (`C31`). Last-used times are written
/// every five seconds; [`close`](Self::close) writes the rest.
///
/// ```no_run
/// use coverbase_auth::{CachedStore, CoverbaseAuthLayer, KeyAdmin, PostgresStore};
///
/// # async fn connect() -> Result<(), coverbase_auth::key_store::ConnectError> {
/// let store = PostgresStore::connect("postgres://auth@db.internal/coverbase?sslmode=require").await?;
///
/// let admin = KeyAdmin::new(store.clone());
/// let layer = CoverbaseAuthLayer::new(CachedStore::new(store.clone()));
/// # let _ = (admin, layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) database: Arc<Database>,
    usage: WriteBehind,
    invalidations: Invalidations,
    /// Aborted when the last clone of the store is dropped.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl PostgresConfig {
    /// Connects, creates or updates the tables, and listens to the other instances. A server that cannot be reached is tried
    /// again until the [timeout](Self::with_connect_timeout); one that rejects the connection is not.
    ///
    /// Must be called on a tokio runtime, on which the tasks of the store run until its last clone is dropped.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`], at the latest after the timeout.
    pub async fn connect(self) -> Result<PostgresStore, ConnectError> {
        let mut last = Failure::no_answer();
        let attempts = async {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
            loop {
                match PostgresStore::open(&self).await {
                    Err(failure) if failure.is_transient => last = failure,
                    outcome => return outcome,
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        };
        let outcome = tokio::time::timeout(self.connect_timeout, attempts).await;
        outcome
            .unwrap_or_else(|_elapsed| Err(last))
            .map_err(|failure| ConnectError::Failed {
                server: self.server.to_string(),
                reason: failure.reason,
            })
    }
}

impl PostgresStore {
    /// Connects to `url` with the default settings of [`PostgresConfig`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`], after five seconds at the latest.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        PostgresConfig::from_url(url)?.connect().await
    }

    /// Writes the last-used times that have not been written yet.
    ///
    /// # Errors
    ///
    /// If the database does not answer. The times are written later.
    pub async fn flush(&self) -> Result<(), StoreError> {
        Ok(self.usage.flush().await?)
    }

    /// Writes the last-used times and closes the connections, for a service that stops. Every later call fails.
    ///
    /// # Errors
    ///
    /// If the last-used times cannot be written. The store is closed nevertheless.
    pub async fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush().await;
        let tasks = self.tasks.lock();
        tasks.unwrap_or_else(PoisonError::into_inner).abort_all();
        self.invalidations.publish(&Invalidation::Lost);
        self.database.pool.close();
        flushed
    }

    async fn open(config: &PostgresConfig) -> Result<Self, Failure> {
        let connector = config.server.connector()?;
        let database = Arc::new(Database::new(config, connector.clone())?);
        database.migrate().await?;

        let invalidations = Invalidations::new();
        let listener = Arc::new(Listener {
            connector,
            channel: config.schema.clone(),
            invalidations: invalidations.clone(),
            database: Arc::clone(&database),
        });
        let session = listener.open().await?;
        let usage = WriteBehind {
            log: UsageLog::new(),
            database: Arc::clone(&database),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run(session));
        tasks.spawn(usage.clone().run());
        Ok(Self {
            database,
            usage,
            invalidations,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }

    /// Returns the key of the first row, which has the allowlist of its organization.
    fn first_record(&self, rows: &[Row]) -> Result<Option<KeyRecord>, StoreError> {
        let record = rows.first().map(|row| {
            let allowlist = statements::allowlist(row)?;
            statements::record(row, allowlist, &self.usage.log)
        });
        Ok(record.transpose()?)
    }
}

impl KeyStore for PostgresStore {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        let (store, digest) = (self.clone(), *digest);
        Lookup::pending(async move {
            let digest: &[u8] = digest.as_bytes();
            let rows = store.database.lookup(LOOKUP, &[&digest]).await?;
            store.first_record(&rows)
        })
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        Some(&self.invalidations)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
