//! Errors of PostgreSQL, described without values and passwords (`C33`).

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    time::Duration,
};

use deadpool_postgres::{HookError, PoolError};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::key_store::StoreError;

/// Error codes of a server that is starting, stopping or full. Codes of class 08 are connection errors, too.
const TRANSIENT: [SqlState; 4] = [
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::TOO_MANY_CONNECTIONS,
];

/// Why a statement or a connection failed.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL: {reason}")]
pub(crate) struct Failure {
    pub(super) reason: String,
    /// Whether the same statement may succeed on a new connection, or a moment later.
    pub(super) is_transient: bool,
}

impl Failure {
    /// A failure that a repetition would not change.
    pub(super) fn new(cause: impl fmt::Display) -> Self {
        Self {
            reason: cause.to_string(),
            is_transient: false,
        }
    }

    pub(super) fn no_answer() -> Self {
        Self {
            reason: "the server does not answer in time".to_owned(),
            is_transient: true,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = match (error.as_db_error(), error.source()) {
            // Its details are left out: they quote values.
            (Some(db), _) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
            (None, Some(cause)) => format!("{error}: {cause}"),
            (None, None) => error.to_string(),
        };
        Self {
            reason,
            is_transient: is_transient(&error),
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
            PoolError::Closed => Self::new("the store is closed"),
            error => Self::new(error),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::new(failure)
    }
}

/// Returns the answer, or a failure if it takes longer than `limit`.
pub(super) async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let answer = timeout(limit, answer).await;
    answer.unwrap_or_else(|_elapsed| Err(Failure::no_answer()))
}

fn is_transient(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        return code.code().starts_with("08") || TRANSIENT.contains(code);
    }
    let io: Option<&io::Error> = error.source().and_then(|cause| cause.downcast_ref());
    // A failed TLS handshake is invalid data.
    let is_invalid = |kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::InvalidInput);
    error.is_closed() || io.is_some_and(|error| !is_invalid(error.kind()))
}
