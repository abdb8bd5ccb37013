//! The audit log in PostgreSQL.

use async_trait::async_trait;

use super::{AuditEntry, AuditEventType, AuditLog, AuditPage, AuditQuery, AuditRecord, AuditStore};
use crate::{
    key_store::{
        StoreError,
        postgres::{PostgresStore, bigint},
    },
    principal::OrgId,
};

/// `$1` organizations, `$2` ids, `$3` types, `$4` texts and `$5` entries, of equal length.
const APPEND: &str = "
INSERT INTO audit_records (org_id, id, event_type, search_text, entry)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[])
ON CONFLICT DO NOTHING";

/// `$1` organization, `$2` and `$3` the least and the greatest id of the window, `$4` types, `$5` the search text, `$6` limit,
/// `$7` offset.
const QUERY: &str = "
WITH matching AS NOT MATERIALIZED (
    SELECT id, entry FROM audit_records
    WHERE org_id = $1 AND id BETWEEN $2 AND $3 AND event_type = ANY ($4) AND strpos(search_text, $5) > 0
)
SELECT
    (SELECT count(*) FROM matching) AS total,
    ARRAY(SELECT entry FROM matching ORDER BY id DESC LIMIT $6 OFFSET $7) AS entries";

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        let ids: Vec<_> = batch.iter().map(AuditRecord::id).collect();
        let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        let org_ids = batch.iter().map(|record| record.org_id().as_str());
        let org_ids: Vec<_> = org_ids.collect();
        let types = batch.iter().map(|record| record.event_type().as_str());
        let types: Vec<_> = types.collect();
        let texts: Vec<_> = batch.iter().map(AuditRecord::search_text).collect();
        let entries: Vec<_> = batch.iter().map(AuditRecord::entry).collect();
        let entries: Vec<_> = entries.iter().map(AuditEntry::as_json).collect();
        self.database
            .write(APPEND, &[&org_ids, &ids, &types, &texts, &entries])
            .await?;
        Ok(())
    }
}

/// A search continues when its caller stops waiting, as it does in the database, and keeps its permit until it ends.
#[async_trait]
impl AuditLog for PostgresStore {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let (store, org_id, query) = (self.clone(), org_id.clone(), query.clone());
        let page = tokio::spawn(async move { page(&store, &org_id, &query).await });
        page.await.map_err(StoreError::new)?
    }
}

async fn page(
    store: &PostgresStore,
    org_id: &OrgId,
    query: &AuditQuery,
) -> Result<AuditPage, StoreError> {
    let search = query.search.as_deref().unwrap_or_default();
    // Text in PostgreSQL cannot contain a NUL.
    if org_id.as_str().contains('\0') || search.contains('\0') {
        return Ok(AuditPage::new(Vec::new(), 0));
    }
    let types = query.admitted_types();
    let types: Vec<_> = types.into_iter().map(AuditEventType::as_str).collect();
    let (first, last) = query.ids();
    let rows = store
        .database
        .long_read(
            QUERY,
            &[
                &org_id.as_str(),
                &first.as_bytes().as_slice(),
                &last.as_bytes().as_slice(),
                &types,
                &search,
                &bigint(query.limit),
                &bigint(query.offset),
            ],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(AuditPage::new(Vec::new(), 0));
    };
    // These errors name a column and its type, but no value.
    let total: i64 = row.try_get("total").map_err(StoreError::new)?;
    let entries: Vec<String> = row.try_get("entries").map_err(StoreError::new)?;
    let entries = entries.into_iter().map(AuditEntry::from_json);
    let entries = entries.collect::<Result<_, _>>()?;
    Ok(AuditPage::new(entries, u64::try_from(total).unwrap_or(0)))
}
