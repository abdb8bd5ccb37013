//! Keys in PostgreSQL, for a fleet.

mod backoff;
mod config;
mod connections;
mod failure;
mod listen;
mod pulse;
mod rows;
mod schema;
mod server;
mod statements;
mod tls;
mod usage;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_postgres::{Row, types::ToSql};

pub use self::config::{ConnectError, PostgresConfig};
use self::{
    backoff::Backoff,
    connections::{Connections, Parameters},
    failure::Failure,
    listen::Listener,
    rows::{Values, bigint},
    usage::WriteBehind,
};
use super::{
    Invalidation, Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, Revocation, StoreError,
    UsageLog,
};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    principal::OrgId,
};

/// Keys in PostgreSQL, shared by every instance of a service. Clones are one store.
///
/// Each lookup is a query; put a [`CachedStore`](crate::CachedStore) in front. What one instance changes the others hear of within milliseconds
/// (`LISTEN`), and their caches let go of it; while an instance cannot hear, which it notices within five seconds, its caches
/// are bypassed. `LISTEN` and prepared statements need a connection to the server itself: a pooler between must pool
/// sessions, not transactions.
///
/// A database that does not answer is an error, and so a 503, never a 401 (`C31`). When keys were last used is written every
/// five seconds; [`close`](Self::close) writes the rest.
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
    shared: Arc<Shared>,
}

struct Shared {
    connections: Arc<Connections>,
    usage: WriteBehind,
    invalidations: Invalidations,
    /// Aborted when the last clone of the store is dropped.
    tasks: Mutex<JoinSet<()>>,
}

impl PostgresConfig {
    /// Connects, makes the tables or brings them up to date, and listens to the other instances. A server that is away is
    /// tried again until the time is over; one that refuses is not.
    ///
    /// It must be called on a tokio runtime, which the store's two tasks run on until its last clone is dropped.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`], after the [timeout](Self::with_connect_timeout) at the latest.
    ///
    /// ```no_run
    /// use coverbase_auth::{PostgresStore, key_store::{ConnectError, PostgresConfig}};
    ///
    /// async fn of_staging() -> Result<PostgresStore, ConnectError> {
    ///     let config = PostgresConfig::from_url("postgres://auth@db.internal/coverbase?sslmode=require")?;
    ///     config.with_schema("auth_staging")?.connect().await
    /// }
    /// ```
    pub async fn connect(self) -> Result<PostgresStore, ConnectError> {
        let mut last = Failure::no_answer();
        let attempts = async {
            let mut backoff = Backoff::new();
            loop {
                match PostgresStore::open(&self).await {
                    Err(failure) if failure.is_passing() => last = failure,
                    conclusion => return conclusion,
                }
                tokio::time::sleep(backoff.delay()).await;
            }
        };
        let conclusion = tokio::time::timeout(self.connect_timeout, attempts).await;
        conclusion
            .unwrap_or_else(|_elapsed| Err(last))
            .map_err(|failure| ConnectError::Failed {
                server: self.server.to_string(),
                reason: failure.reason().to_owned(),
            })
    }
}

impl PostgresStore {
    /// Connects to `url` as [`PostgresConfig`] does by default.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], after five seconds at the latest.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        PostgresConfig::from_url(url)?.connect().await
    }

    async fn open(config: &PostgresConfig) -> Result<Self, Failure> {
        let connector = config.server.connector()?;
        let connections = Arc::new(Connections::new(config, connector.clone())?);
        connections.migrate().await?;

        let invalidations = Invalidations::new();
        let listener = Listener {
            server: config.server.clone(),
            connector,
            channel: config.schema.clone(),
            invalidations: invalidations.clone(),
            connections: Arc::clone(&connections),
        };
        let session = listener.open().await?;
        let usage = WriteBehind {
            log: UsageLog::new(),
            connections: Arc::clone(&connections),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.run(session));
        tasks.spawn(usage.clone().run());
        Ok(Self {
            shared: Arc::new(Shared {
                connections,
                usage,
                invalidations,
                tasks: Mutex::new(tasks),
            }),
        })
    }

    /// Writes when keys were last used, as far as that has not been written.
    ///
    /// # Errors
    ///
    /// When the database does not answer; it is written later then.
    ///
    /// ```
    /// # use coverbase_auth::{PostgresStore, StoreError};
    /// /// Before a snapshot of the database.
    /// async fn settle(store: &PostgresStore) -> Result<(), StoreError> {
    ///     store.flush().await
    /// }
    /// ```
    pub async fn flush(&self) -> Result<(), StoreError> {
        Ok(self.shared.usage.flush().await?)
    }

    /// Writes what is to be written and lets go of the database: for a service that stops. Every later call fails.
    ///
    /// # Errors
    ///
    /// When the database does not answer; the store is closed nevertheless.
    ///
    /// ```
    /// use coverbase_auth::{PostgresStore, StoreError};
    ///
    /// async fn serve(store: PostgresStore) -> Result<(), StoreError> {
    ///     // until the service is told to stop
    ///     store.close().await
    /// }
    /// ```
    pub async fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush().await;
        let tasks = self.shared.tasks.lock();
        tasks.unwrap_or_else(PoisonError::into_inner).abort_all();
        self.shared.invalidations.publish(&Invalidation::Lost);
        self.shared.connections.close();
        flushed
    }

    /// The rows of a statement that changes nothing.
    async fn read(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.shared.connections.read(statement, parameters).await?)
    }

    /// The rows of a statement that changes nothing and may take long.
    #[cfg(feature = "audit")]
    pub(crate) async fn read_at_length(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self
            .shared
            .connections
            .read_at_length(statement, parameters);
        Ok(rows.await?)
    }

    /// The rows of a statement that changes something.
    pub(crate) async fn write(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.shared.connections.write(statement, parameters).await?)
    }

    fn publish(&self, invalidation: &Invalidation) {
        self.shared.invalidations.publish(invalidation);
    }

    async fn find_one(
        &self,
        statement: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let rows = self.read(statement, parameters).await?;
        let record = rows.first().map(|row| {
            let allowlist = rows::allowlist(row)?;
            rows::record(row, allowlist, &self.shared.usage.log)
        });
        Ok(record.transpose()?)
    }
}

impl KeyStore for PostgresStore {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        let (store, digest) = (self.clone(), *digest);
        Lookup::pending(async move {
            let digest: &[u8] = digest.as_bytes();
            store.find_one(statements::LOOKUP, &[&digest]).await
        })
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        Some(&self.shared.invalidations)
    }
}

/// Each change is announced to the other instances by its own statement, and published here before it is answered. Whoever
/// gives up waiting for an answer does not undo the change: this instance hears its own announcements, too.
#[async_trait]
impl KeyRegistry for PostgresStore {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let values = Values::new(&digest, &record);
        self.write(statements::CREATE, &values.parameters()).await?;
        self.publish(&Invalidation::Key(digest));
        Ok(())
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        if !is_storable(org_id.as_str()) {
            return Ok(Vec::new());
        }
        self.flush().await?;
        let allowlist = self.allowlist(org_id).await?;
        let rows = self.read(statements::LIST, &[&org_id.as_str()]).await?;
        let log = &self.shared.usage.log;
        let records = rows
            .iter()
            .map(|row| rows::record(row, allowlist.clone(), log));
        Ok(records.collect::<Result<_, _>>()?)
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        if !is_storable(org_id.as_str()) || !is_storable(key_id.as_str()) {
            return Ok(None);
        }
        self.flush().await?;
        let ids: &[&(dyn ToSql + Sync)] = &[&org_id.as_str(), &key_id.as_str()];
        self.find_one(statements::FIND, ids).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        if !is_storable(key_id.as_str()) || !is_storable(replacement.org_id().as_str()) {
            return Ok(false);
        }
        let values = Values::new(&digest, &replacement);
        let (key_id, now) = (key_id.as_str(), bigint(now));
        let mut parameters = values.parameters().to_vec();
        parameters.extend::<[&(dyn ToSql + Sync); 2]>([&key_id, &now]);
        let rows = self.write(statements::ROTATE, &parameters).await?;
        let Some(rotated) = rows.first() else {
            return Ok(false);
        };
        self.publish(&Invalidation::Key(rows::digest(rotated)?));
        self.publish(&Invalidation::Key(digest));
        Ok(true)
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        if !is_storable(org_id.as_str()) || !is_storable(key_id.as_str()) {
            return Ok(None);
        }
        let (org_id, key_id, now) = (org_id.as_str(), key_id.as_str(), bigint(now));
        let rows = self
            .write(statements::REVOKE, &[&org_id, &key_id, &now])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        self.publish(&Invalidation::Key(rows::digest(row)?));
        let record = rows::record(row, rows::allowlist(row)?, &self.shared.usage.log)?;
        let is_first = row.try_get("is_first").map_err(Failure::from)?;
        Ok(Some(Revocation::new(record, is_first)))
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        if !is_storable(org_id.as_str()) {
            return Ok(IpAllowlist::new());
        }
        let rows = self
            .read(statements::ALLOWLIST, &[&org_id.as_str()])
            .await?;
        let allowlist = rows.first().map(rows::allowlist).transpose()?;
        Ok(allowlist.unwrap_or_default())
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        let networks = allowlist.to_strings();
        self.write(statements::SET_ALLOWLIST, &[&org_id.as_str(), &networks])
            .await?;
        self.publish(&Invalidation::Organization(org_id.clone()));
        Ok(())
    }
}

/// Text with a NUL in it cannot be in PostgreSQL, so nothing there has it for an id.
fn is_storable(id: &str) -> bool {
    !id.contains('\0')
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
