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

pub(crate) use self::change::Change;
pub use self::{
    event::{AuditEventType, metadata},
    id::AuditRecordId,
    memory::MemoryAuditLog,
    query::{AuditPage, AuditQuery},
    queue::AuditQueue,
    record::{AuditEntry, AuditRecord},
};
use crate::{
    key_store::StoreError,
    principal::{OrgId, Role, Scope},
    requirement::Requirement,
};

/// Receives the record of each call, usually an [`AuditQueue`].
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Takes or drops `record` without waiting: it is called while a request is answered (`C35`).
    fn record(&self, record: AuditRecord);
}

impl<S: AuditSink + ?Sized> AuditSink for Arc<S> {
    fn record(&self, record: AuditRecord) {
        (**self).record(record);
    }
}

/// Reads the audit log.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync + 'static {
    /// Returns one page of the organization's records that match `query`, newest first, which is by descending
    /// [`AuditRecord::id`]. It never contains a record of another organization (`C20`).
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError>;
}

#[async_trait]
impl<L: AuditLog + ?Sized> AuditLog for Arc<L> {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        (**self).query(org_id, query).await
    }
}

/// Stores the audit log.
///
/// A store keeps of each record its [id](AuditRecord::id), [organization](AuditRecord::org_id),
/// [time](AuditRecord::created_at), [type](AuditRecord::event_type), [text to search](AuditRecord::search_text) and
/// [entry](AuditRecord::entry). An [`AuditQuery`] selects by the first five and returns entries.
#[async_trait]
pub trait AuditStore: AuditLog {
    /// Adds all of `batch`, or fails. The caller repeats a failed call, so a record whose id exists is skipped.
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: AuditStore + ?Sized> AuditStore for Arc<S> {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        (**self).append(batch).await
    }
}

/// Returns the requirement for reading the log: role `admin`, `member`, `siloed_member` or `guest`, or scope `audit:read`
/// (`C18`).
pub fn requirement() -> Requirement {
    Requirement::scope(Scope::AUDIT_READ).or_roles([
        Role::ADMIN,
        Role::MEMBER,
        Role::SILOED_MEMBER,
        Role::GUEST,
    ])
}
