//! The log in the file of a [`RedbStore`], beside its keys.

use std::time::Duration;

use async_trait::async_trait;
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

/// How many records one query looks at: enough for most logs, and a second's work.
const MAX_SCANNED: usize = 1_000_000;

/// How long a query waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Kept for good: nothing is ever deleted, and the file grows by some two kilobytes for each call.
///
/// A query looks at the newest million records of its window. What it cannot reach from there, a narrower window does.
#[async_trait]
impl AuditLog for RedbStore {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let turn = timeout(PATIENCE, self.log_reader()).await;
        let turn = turn.map_err(StoreError::new)??;
        let snapshot = self.snapshot().await?;
        let (org_id, query) = (org_id.clone(), query.clone());
        let page = tokio::task::spawn_blocking(move || {
            let _turn = turn;
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

/// A record whose id is there already is the same record.
fn write(transaction: &WriteTransaction, batch: &[AuditRecord]) -> Result<(), Error> {
    let mut index = transaction.open_table(AUDIT_INDEX)?;
    let mut entries = transaction.open_table(AUDIT_ENTRIES)?;
    for record in batch {
        let id = id_in(record.org_id(), record.id().as_bytes());
        let row = format!("{}\n{}", record.event_type(), record.search_text());
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
    let (first, end) = window(org_id, query);
    if first >= end {
        return Ok(AuditPage::new(Vec::new(), 0));
    }
    let selection = Selection::of(query);
    let page = query.offset..query.offset.saturating_add(query.limit);
    let (mut total, mut found) = (0, Vec::new());
    let newest_first = index.range(&first[..]..&end[..])?.rev();
    for row in newest_first.take(MAX_SCANNED) {
        let (id, row) = row?;
        if !selection.admits(row.value()) {
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

/// The first id of the window, and the first after it. An id begins with its millisecond, in 48 bits.
fn window(org_id: &OrgId, query: &AuditQuery) -> (Vec<u8>, Vec<u8>) {
    let second = |second: u64| {
        let millis = second.saturating_mul(1000).min((1 << 48) - 1) << 16;
        id_in(org_id, &millis.to_be_bytes())
    };
    let first = query.start_ts.map_or_else(|| id_in(org_id, &[]), second);
    let end = query.end_ts.map_or_else(
        || id_in(org_id, &[u8::MAX; 17]),
        |last| second(last.saturating_add(1)),
    );
    (first, end)
}

/// What a row of the index is held against.
struct Selection<'a> {
    types: Vec<&'static [u8]>,
    search: Option<&'a [u8]>,
}

impl<'a> Selection<'a> {
    fn of(query: &'a AuditQuery) -> Self {
        let types = query.admitted_types().into_iter();
        Self {
            types: types.map(|admitted| admitted.as_str().as_bytes()).collect(),
            search: query.search.as_deref().map(str::as_bytes),
        }
    }

    fn admits(&self, row: &[u8]) -> bool {
        let mut parts = row.splitn(2, |byte| *byte == b'\n');
        let (event_type, text) = (parts.next(), parts.next().unwrap_or_default());
        event_type.is_some_and(|event_type| self.types.contains(&event_type))
            && self.search.is_none_or(|search| contains(text, search))
    }
}

/// UTF-8 is found in UTF-8 byte by byte.
fn contains(text: &[u8], search: &[u8]) -> bool {
    search.is_empty() || text.windows(search.len()).any(|part| part == search)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::audit_contract as contract;

    #[tokio::test]
    async fn it_keeps_the_contract_and_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.redb");
        let store = RedbStore::open(&path).unwrap();
        contract::check(store.clone()).await;
        store.close().await.unwrap();

        let store = RedbStore::open(&path).unwrap();
        let (acme, newest) = (OrgId::from("org_acme"), AuditQuery::default());
        assert_eq!(store.query(&acme, &newest).await.unwrap().total, 251);
        store.close().await.unwrap();
        assert!(store.query(&acme, &newest).await.is_err(), "it is closed");
    }

    // T14
    #[tokio::test(start_paused = true)]
    async fn a_search_waits_for_its_turn_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(folder.path().join("keys.redb")).unwrap();
        let (acme, newest) = (OrgId::from("org_acme"), AuditQuery::default());
        let turns = (store.log_reader().await, store.log_reader().await);
        assert!(store.query(&acme, &newest).await.is_err());
        drop(turns);
        assert_eq!(store.query(&acme, &newest).await.unwrap().total, 0);
    }
}
