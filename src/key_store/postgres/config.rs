//! The settings of a store, and the errors of connecting.

use std::time::Duration;

use super::{schema, server::Server};

/// The settings of a [`PostgresStore`](super::PostgresStore).
///
/// ```no_run
/// use std::time::Duration;
///
/// use coverbase_auth::key_store::PostgresConfig;
///
/// # async fn connect() -> Result<(), coverbase_auth::key_store::ConnectError> {
/// let store = PostgresConfig::from_url("postgres://auth@db.internal/coverbase?sslmode=require")?
///     .with_schema("auth")?
///     .with_connections(32)
///     .with_connect_timeout(Duration::from_secs(30))
///     .with_timeout(Duration::from_secs(1))
///     .connect()
///     .await?;
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    pub(super) server: Server,
    pub(super) schema: String,
    pub(super) connections: usize,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
}

impl PostgresConfig {
    /// Parses `postgres://user:password@host:port/database?options`. Special characters are percent-encoded. A folder as the
    /// host (`%2Frun%2Fpostgresql`) contains the server's Unix socket.
    ///
    /// These options of libpq are supported: `sslmode`, `sslrootcert`, `sslnegotiation`, `channel_binding`,
    /// `application_name`, `connect_timeout`, `hostaddr`, `options`, `keepalives`, `keepalives_idle`, `keepalives_interval`,
    /// `keepalives_retries`, `tcp_user_timeout` and `load_balance_hosts`. Several hosts (`host1,host2`) are tried in order until
    /// one accepts writes; reads are sent there too.
    ///
    /// | `sslmode` | |
    /// |---|---|
    /// | `disable` | no TLS |
    /// | `prefer`, the default | TLS if the server offers it, with any certificate |
    /// | `require`, `verify-ca`, `verify-full` | TLS, with a certificate for the host's name by an authority of the operating system, or of the PEM file `sslrootcert` |
    ///
    /// Unlike libpq's, `require` verifies the certificate: an attacker who can change answers of the database can admit any key.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`].
    pub fn from_url(url: &str) -> Result<Self, ConnectError> {
        Ok(Self {
            server: Server::parse(url).ok_or(ConnectError::InvalidUrl)?,
            schema: "coverbase_auth".to_owned(),
            connections: 16,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        })
    }

    /// Sets the schema of the tables, which is also the name of the channel on which changes are announced. It is created if it
    /// does not exist. Instances with the same database and schema share their keys. The default is `coverbase_auth`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidSchema`].
    pub fn with_schema(self, schema: impl Into<String>) -> Result<Self, ConnectError> {
        let schema = schema.into();
        if schema::is_schema_name(&schema) {
            Ok(Self { schema, ..self })
        } else {
            Err(ConnectError::InvalidSchema)
        }
    }

    /// Sets the greatest number of connections for statements, at least 1. The default is 16. The listening connection is
    /// not counted, nor are the few that are made when lookups are not answered within 100 ms. Searches in the audit log use at
    /// most a quarter of them, but at least one.
    #[must_use]
    pub fn with_connections(mut self, most: usize) -> Self {
        self.connections = most.max(1);
        self
    }

    /// Sets how long [`connect`](Self::connect) tries. The default is 5 seconds.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a call may take, including the wait for a connection, at most an hour. The default is 2 seconds. A
    /// [`CachedStore`](crate::CachedStore) waits for a shorter time, after which a lookup may still fill the cache.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Duration::from_secs(3600));
        self
    }
}

/// Why a [`PostgresStore`](super::PostgresStore) cannot be made. Never contains the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be parsed.
    #[error(
        "invalid URL of a PostgreSQL database: write postgres://user:password@host:5432/database?sslmode=require, with special \
         characters percent-encoded, and only the options that PostgresConfig::from_url documents"
    )]
    InvalidUrl,
    /// The name of the schema needs quotes.
    #[error(
        "invalid name of a schema: write at most 63 lower-case letters, digits and underscores, no digit first; names that \
         begin with pg_ are reserved by PostgreSQL"
    )]
    InvalidSchema,
    /// The server cannot be reached, or rejects the connection.
    #[error("cannot connect to PostgreSQL at {server}: {reason}")]
    #[non_exhaustive]
    Failed {
        /// Host and port, of each host of the URL.
        server: String,
        /// Why the last attempt failed.
        reason: String,
    },
}
