//! Where a store finds its database, and how it uses it.

use std::time::Duration;

use super::{schema, server::Server};

/// A database, and how a [`PostgresStore`](super::PostgresStore) uses it.
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
    /// The database at `postgres://user:password@host:port/database?options`, with special characters percent-encoded; a
    /// folder as the host (`%2Frun%2Fpostgresql`) is where its Unix socket lies.
    ///
    /// Of the options of libpq these are known: `sslmode`, `sslrootcert`, `sslnegotiation`, `channel_binding`,
    /// `application_name`, `connect_timeout`, `hostaddr`, `options`, `keepalives` and its kin, `tcp_user_timeout` and
    /// `load_balance_hosts`. Several hosts (`host1,host2`) are tried in order until one takes writes: reads go there too.
    ///
    /// | `sslmode` | |
    /// |---|---|
    /// | `disable` | no TLS |
    /// | `prefer`, the default | TLS where the server offers it, with whatever certificate |
    /// | `require`, `verify-ca`, `verify-full` | TLS, with a certificate for the host's name by an authority of the operating system, or of the PEM file `sslrootcert` |
    ///
    /// `require` verifies, as libpq's does not: whoever can change what the database says can let anybody in.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`].
    ///
    /// ```
    /// use coverbase_auth::key_store::PostgresConfig;
    ///
    /// assert!(PostgresConfig::from_url("postgres://auth@127.0.0.1/coverbase").is_ok());
    /// assert!(PostgresConfig::from_url("mysql://auth@127.0.0.1/coverbase").is_err());
    /// ```
    pub fn from_url(url: &str) -> Result<Self, ConnectError> {
        Ok(Self {
            server: Server::parse(url).ok_or(ConnectError::InvalidUrl)?,
            schema: "coverbase_auth".to_owned(),
            connections: 16,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        })
    }

    /// The schema that the tables are in, and the channel that changes are announced on; `coverbase_auth` by default. It is
    /// made if it is not there. Instances with one database and one schema are a fleet.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidSchema`].
    ///
    /// ```
    /// use coverbase_auth::key_store::PostgresConfig;
    ///
    /// let config = PostgresConfig::from_url("postgres://auth@127.0.0.1/coverbase")?;
    /// assert!(config.clone().with_schema("auth_staging").is_ok());
    /// assert!(config.with_schema("Auth; DROP TABLE users").is_err());
    /// # Ok::<(), coverbase_auth::key_store::ConnectError>(())
    /// ```
    pub fn with_schema(self, schema: impl Into<String>) -> Result<Self, ConnectError> {
        let schema = schema.into();
        if schema::is_schema_name(&schema) {
            Ok(Self { schema, ..self })
        } else {
            Err(ConnectError::InvalidSchema)
        }
    }

    /// How many connections statements are sent on, at most; 16 by default, and never less than one. The one that listens is
    /// beside them, and so are those that are tried when the database says nothing. Searches of the audit log have a quarter of
    /// them, but never less than one.
    #[must_use]
    pub fn with_connections(self, most: usize) -> Self {
        Self {
            connections: most.max(1),
            ..self
        }
    }

    /// For how long [`connect`](Self::connect) tries; five seconds by default.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        Self {
            connect_timeout: timeout,
            ..self
        }
    }

    /// How long a call may take, waiting for a connection included, before it fails; two seconds by default, an hour at
    /// most. A [`CachedStore`](crate::CachedStore) in front has a shorter deadline of its own, after which the load may still
    /// come in.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self {
            timeout: timeout.min(Duration::from_secs(3600)),
            ..self
        }
    }
}

/// Why there is no [`PostgresStore`](super::PostgresStore). It says what to do about it, and never holds the password.
///
/// ```
/// use coverbase_auth::key_store::PostgresConfig;
///
/// let error = PostgresConfig::from_url("postgres://auth:hunter2@db:five/coverbase").unwrap_err();
/// assert!(error.to_string().contains("write postgres://"));
/// assert!(!error.to_string().contains("hunter2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be read.
    #[error(
        "this is not the URL of a PostgreSQL database: write postgres://user:password@host:5432/database?sslmode=require, \
         with special characters percent-encoded, and no option that is not documented at PostgresConfig::from_url"
    )]
    InvalidUrl,
    /// The schema's name would have to be quoted.
    #[error(
        "this is not a name for a schema: write lower-case letters, digits and underscores, 63 at most and no digit first; \
         names that begin with pg_ are PostgreSQL's own"
    )]
    InvalidSchema,
    /// The database cannot be reached, or refuses.
    #[error("cannot connect to PostgreSQL at {server}: {reason}")]
    #[non_exhaustive]
    Failed {
        /// Host and port, or those of each host.
        server: String,
        /// What the last attempt came to.
        reason: String,
    },
}
