//! The audit log in the file of a [`RedbStore`].

use std::time::Duration;

use async_trait::async_trait;
use memchr::memmem::Finder;
use redb::{Error, ReadTransaction, WriteTransaction};
use tokio::time::timeout;

use super::{AuditEntry, AuditLog, AuditPage, AuditQuery, AuditRecord, AuditStore};
use crate::{
    key_store::{
        StoreError,
        redb::{AUDIT_ENTRIES, AUDIT_INDEX, RedbStore, damaged, id_in},
    },
    principal::OrgId,
};

/// The most records that one query reads, which takes about a second.
const MAX_SCANNED: usize = 1_000_000;

/// How long a query waits for a permit to search.
const PATIENCE: Duration = Duration::from_secs(2);

/// The log deletes nothing: the file grows by about 2 KB for each call.
///
/// A query reads the newest 1,000,000 records of its window. Older records are found with an earlier window.
#[async_trait]
impl AuditLog for RedbStore {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let permit = timeout(PATIENCE, self.log_reader()).await;
        let permit = permit.map_err(StoreError::new)??;
        let snapshot = self.snapshot().await?;
        let (org_id, query) = (org_id.clone(), query.clone());
        let page = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            page(&snapshot, &org_id, &query)
        });
        page.await
            .map_err(StoreError::new)?
            .map_err(StoreError::new)
    }
}

#[async_trait]
impl AuditStore for RedbStore {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        let batch = batch.to_vec();
        self.transact(move |transaction| write(transaction, &batch))
            .await
    }
}

/// A record whose id exists is the same record, appended again.
fn write(transaction: &WriteTransaction, batch: &[AuditRecord]) -> Result<(), Error> {
    let mut index = transaction.open_table(AUDIT_INDEX)?;
    let mut entries = transaction.open_table(AUDIT_ENTRIES)?;
    for record in batch {
        let id = id_in(record.org_id(), record.id().as_bytes());
        let row = format!("{}\n{}", record.event_type().as_str(), record.search_text());
        index.insert(&id[..], row.as_bytes())?;
        entries.insert(&id[..], record.entry().as_json().as_bytes())?;
    }
    Ok(())
}

fn page(
    snapshot: &ReadTransaction,
    org_id: &OrgId,
    query: &AuditQuery,
) -> Result<AuditPage, Error> {
    let index = snapshot.open_table(AUDIT_INDEX)?;
    let entries = snapshot.open_table(AUDIT_ENTRIES)?;
    let (first, last) = query.ids();
    if first > last {
        return Ok(AuditPage::new(Vec::new(), 0));
    }
    let [first, last] = [first, last].map(|id| id_in(org_id, id.as_bytes()));
    let is_wanted = row_filter(query);
    let page = query.offset..query.offset.saturating_add(query.limit);
    let (mut total, mut found) = (0, Vec::new());
    let newest_first = index.range(&first[..]..=&last[..])?.rev();
    for row in newest_first.take(MAX_SCANNED) {
        let (id, row) = row?;
        if !is_wanted(row.value()) {
            continue;
        }
        if page.contains(&total) {
            let entry = entries.get(id.value())?;
            let entry = entry.and_then(|entry| String::from_utf8(entry.value().to_vec()).ok());
            let entry = entry.and_then(|entry| AuditEntry::from_json(entry).ok());
            found.push(entry.ok_or_else(|| damaged(AUDIT_ENTRIES))?);
        }
        total += 1;
    }
    Ok(AuditPage::new(found, total))
}

/// Returns the condition on a row of the index: an event type, a line break, and the text to search.
fn row_filter(query: &AuditQuery) -> impl Fn(&[u8]) -> bool + '_ {
    let types = query.admitted_types();
    let search = query.search.as_deref().map(Finder::new);
    move |row| {
        let mut parts = row.splitn(2, |byte| *byte == b'\n');
        let (event_type, text) = (parts.next(), parts.next().unwrap_or_default());
        let mut types = types.iter().map(|admitted| admitted.as_str().as_bytes());
        let search = search.as_ref();
        types.any(|admitted| event_type == Some(admitted))
            && search.is_none_or(|search| search.find(text).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_contract;

    #[tokio::test]
    async fn redb_log_satisfies_the_contract_and_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.redb");
        let store = RedbStore::open(&path).unwrap();
        audit_contract::check(store.clone()).await;
        store.close().await.unwrap();

        let store = RedbStore::open(&path).unwrap();
        let (acme, newest) = (OrgId::from("org_acme"), AuditQuery::default());
        assert_eq!(store.query(&acme, &newest).await.unwrap().total, 251);
        store.close().await.unwrap();
        assert!(store.query(&acme, &newest).await.is_err(), "closed");
    }

    // T14
    #[tokio::test(start_paused = true)]
    async fn search_without_a_permit_fails_after_a_bounded_wait() {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(folder.path().join("keys.redb")).unwrap();
        let (acme, newest) = (OrgId::from("org_acme"), AuditQuery::default());
        let permits = (store.log_reader().await, store.log_reader().await);
        assert!(store.query(&acme, &newest).await.is_err());
        drop(permits);
        assert_eq!(store.query(&acme, &newest).await.unwrap().total, 0);
    }
}
