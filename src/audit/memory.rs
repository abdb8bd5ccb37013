//! The audit log in the memory of one process.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{AuditLog, AuditPage, AuditQuery, AuditRecord, AuditRecordId, AuditSink, AuditStore};
use crate::{key_store::StoreError, principal::OrgId};

/// An audit log in memory, for tests and for services whose log may be lost. It keeps the newest records.
///
/// It is a sink too, so that tests need no queue. Clones share their records.
///
/// ```
/// use coverbase_auth::audit::{AuditLog, AuditQuery, MemoryAuditLog};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), coverbase_auth::StoreError> {
/// let log = MemoryAuditLog::with_capacity(1_000);
/// let page = log.query(&"org_acme".into(), &AuditQuery::default()).await?;
/// assert_eq!(page.total, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryAuditLog {
    records: Arc<Mutex<BTreeMap<AuditRecordId, AuditRecord>>>,
    capacity: usize,
}

impl MemoryAuditLog {
    /// Creates a log of at most 10,000 records.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(10_000)
    }

    /// Creates a log of at most `capacity` records of all organizations together. Beyond that the oldest is removed.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            records: Arc::default(),
            capacity,
        }
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<AuditRecordId, AuditRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryAuditLog {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditSink for MemoryAuditLog {
    fn record(&self, record: AuditRecord) {
        let mut records = self.records();
        records.insert(record.id(), record);
        if records.len() > self.capacity {
            records.pop_first();
        }
    }
}

#[async_trait]
impl AuditLog for MemoryAuditLog {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let records = self.records();
        let is_wanted = |record: &&AuditRecord| record.org_id() == org_id && query.matches(record);
        let matching: Vec<_> = records.values().rev().filter(is_wanted).collect();
        let skipped = usize::try_from(query.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let page = matching.iter().skip(skipped).take(limit);
        let entries = page.map(|record| record.entry()).collect();
        Ok(AuditPage::new(entries, matching.len() as u64))
    }
}

#[async_trait]
impl AuditStore for MemoryAuditLog {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        for record in batch {
            self.record(record.clone());
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryAuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAuditLog")
            .field("records", &self.records().len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_contract;

    #[tokio::test]
    async fn memory_log_satisfies_the_contract() {
        audit_contract::check(MemoryAuditLog::new()).await;
    }

    #[tokio::test]
    async fn full_log_removes_the_oldest_record() {
        let log = MemoryAuditLog::with_capacity(2);
        let newest = audit_contract::calls("org_acme", 3);
        for record in &newest {
            log.record(record.clone());
        }
        let page = log.query(&"org_acme".into(), &AuditQuery::default()).await;
        let page = page.unwrap();
        assert_eq!(page.total, 2);
        assert_eq!(page.entries[0], newest[2].entry());
        assert_eq!(page.entries[1], newest[1].entry());
    }
}
