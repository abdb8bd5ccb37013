//! The audit log: which authenticated calls were made, and what was changed about keys (C34, C35, C43).
//!
//! [`CoverbaseAuthLayer::with_audit`](crate::CoverbaseAuthLayer::with_audit) gives an [`AuditRecord`] of each authenticated
//! call of `/v1/*` to an [`AuditSink`], which takes it without waiting. The usual sink is an [`AuditQueue`]: bounded, with a
//! task that appends batches to an [`AuditStore`]. An [`AuditLog`] is read by query. Imports `key_store` and what is below it.
//!
//! ```
//! use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, audit::{AuditQueue, MemoryAuditLog}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let queue = AuditQueue::spawn(MemoryAuditLog::new());
//! let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_audit(queue.clone());
//! # let _ = auth;
//!
//! // After the server has stopped: write what is queued.
//! queue.shutdown().await;
//! # }
//! ```

pub(crate) mod call;
pub(crate) mod change;
mod event;
mod id;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod queue;
mod record;
pub(crate) mod recorder;
#[cfg(feature = "redb")]
mod redb;
mod text;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub(crate) use self::change::{Change, FieldChange, Target};
pub use self::{
    event::{AuditEventType, AuditMetadata},
    id::{AuditRecordId, InvalidAuditRecordId},
    memory::MemoryAuditLog,
    query::{AuditPage, AuditQuery, InvalidParameter},
    queue::AuditQueue,
    record::{AuditEntry, AuditRecord, InvalidAuditEntry},
};
use crate::{
    key_store::StoreError,
    principal::{OrgId, Role, Scope},
    requirement::Requirement,
};

/// Takes records, on the way of requests.
///
/// ```
/// use coverbase_auth::audit::{AuditRecord, AuditSink};
///
/// /// Hands records to a thread that forwards them.
/// #[derive(Debug)]
/// struct Forwarder(std::sync::mpsc::SyncSender<AuditRecord>);
///
/// impl AuditSink for Forwarder {
///     fn record(&self, record: AuditRecord) {
///         if self.0.try_send(record).is_err() {
///             // count what is lost
///         }
///     }
/// }
/// ```
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Takes `record`, or loses it, at once: a request waits meanwhile, so nothing in here may wait (`C35`).
    fn record(&self, record: AuditRecord);
}

impl<S: AuditSink + ?Sized> AuditSink for Arc<S> {
    fn record(&self, record: AuditRecord) {
        (**self).record(record);
    }
}

/// Where the audit log is read.
///
/// ```
/// use coverbase_auth::{OrgId, StoreError, audit::{AuditEventType, AuditLog, AuditQuery}};
///
/// async fn calls_since(log: &dyn AuditLog, org_id: &OrgId, start: u64) -> Result<u64, StoreError> {
///     let mut query = AuditQuery::default();
///     query.event_types = vec![AuditEventType::ExternalApiCall.to_string()];
///     query.start_ts = Some(start);
///     query.limit = 1;
///     Ok(log.query(org_id, &query).await?.total)
/// }
/// ```
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync + 'static {
    /// One page of the organization's records that match `query`, newest first: by [`AuditRecord::id`], descending.
    /// Records of another organization are not there (`C20`).
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError>;
}

#[async_trait]
impl<L: AuditLog + ?Sized> AuditLog for Arc<L> {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        (**self).query(org_id, query).await
    }
}

/// An [`AuditLog`] that is written.
///
/// A store keeps, for each record, its [id](AuditRecord::id), [organization](AuditRecord::org_id),
/// [time](AuditRecord::created_at), [type](AuditRecord::event_type), [text to search](AuditRecord::search_text) and
/// [entry](AuditRecord::entry); the first five are what an [`AuditQuery`] selects by, the last is what it gets.
///
/// ```
/// use async_trait::async_trait;
/// use coverbase_auth::{OrgId, StoreError};
/// use coverbase_auth::audit::{AuditLog, AuditPage, AuditQuery, AuditRecord, AuditStore};
///
/// /// Prints what it has kept.
/// #[derive(Debug)]
/// struct Printed<S>(S);
///
/// #[async_trait]
/// impl<S: AuditStore> AuditLog for Printed<S> {
///     async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
///         self.0.query(org_id, query).await
///     }
/// }
///
/// #[async_trait]
/// impl<S: AuditStore> AuditStore for Printed<S> {
///     async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
///         self.0.append(batch).await?;
///         batch.iter().for_each(|record| println!("{}", record.entry().as_json()));
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait AuditStore: AuditLog {
    /// Adds all of `batch`, or fails and may be asked again. A record whose id is there already has been written by an
    /// earlier attempt, and is passed over.
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: AuditStore + ?Sized> AuditStore for Arc<S> {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        (**self).append(batch).await
    }
}

/// What reading the log requires: role `admin`, `member`, `siloed_member` or `guest`, or scope `audit:read` (`C18`).
///
/// ```
/// use coverbase_auth::{RequireLayer, audit};
///
/// let layer = RequireLayer::new(audit::requirement());
/// # let _ = layer;
/// ```
pub fn requirement() -> Requirement {
    Requirement::scope(Scope::AUDIT_READ).or_roles([
        Role::ADMIN,
        Role::MEMBER,
        Role::SILOED_MEMBER,
        Role::GUEST,
    ])
}
