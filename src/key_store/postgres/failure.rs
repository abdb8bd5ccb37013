//! What went wrong with the database, as text that holds no value and no password (`C33`).

use std::{
    error::Error,
    fmt::{self, Write},
    io::ErrorKind,
};

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::key_store::StoreError;

const SHUTDOWNS: [SqlState; 2] = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];

/// Why the database did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    reason: String,
    /// Whether the same question may be answered another time.
    is_passing: bool,
    /// Whether it is what the server has said, and not its last word.
    is_answer: bool,
}

impl Failure {
    pub(super) fn new(cause: impl fmt::Display) -> Self {
        Self {
            reason: cause.to_string(),
            is_passing: false,
            is_answer: false,
        }
    }

    pub(super) fn no_answer() -> Self {
        Self {
            reason: "it does not answer in time".to_owned(),
            is_passing: true,
            is_answer: false,
        }
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) const fn is_passing(&self) -> bool {
        self.is_passing
    }

    pub(super) const fn is_answer(&self) -> bool {
        self.is_answer
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self {
            is_passing: is_passing(&error),
            is_answer: error.code().is_some_and(|code| !SHUTDOWNS.contains(code)),
            reason: reason(&error),
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                error.into()
            }
            PoolError::Timeout(_) => Self::no_answer(),
            PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(HookError::Message(_)) => Self::new("the store is closed"),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::new(failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL: {}", self.reason)
    }
}

impl Error for Failure {}

/// The server's message without its details, which quote values; otherwise the whole chain of causes.
fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", error.message(), error.code().code());
    }
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String does not fail.
        let _ = write!(reason, ": {error}");
        cause = error.source();
    }
    reason
}

/// Whether the server is away, or says that it is about to be.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        let class = code.code().get(..2);
        return class == Some("08")
            || SHUTDOWNS.contains(code)
            || [SqlState::CANNOT_CONNECT_NOW, SqlState::TOO_MANY_CONNECTIONS].contains(code);
    }
    let io = error.source().and_then(|cause| cause.downcast_ref());
    error.is_closed() || io.is_some_and(|error: &std::io::Error| is_away(error.kind()))
}

/// A failed TLS handshake is none of these.
fn is_away(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NotFound
            | ErrorKind::TimedOut
            | ErrorKind::UnexpectedEof
    )
}
