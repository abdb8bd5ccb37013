//! The administration of keys.

use async_trait::async_trait;

use super::{
    PostgresStore,
    failure::Failure,
    statements::{
        self, ALLOWLIST, CREATE, FIND, LIST, REVOKE, ROTATE, SET_ALLOWLIST, bigint, parameters,
    },
};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{Invalidation, KeyRecord, KeyRegistry, Revocation, StoreError},
    principal::OrgId,
};

/// Each change is announced to the other instances by its own statement, and published on this one before it is answered. A
/// caller who stops waiting does not undo a change; this instance hears its own announcements, too.
#[async_trait]
impl KeyRegistry for PostgresStore {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let values = statements::values(&digest, &record);
        self.database.write(CREATE, &parameters(&values)).await?;
        self.invalidations.publish(&Invalidation::Key(digest));
        Ok(())
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        let Some([id]) = storable([org_id.as_str()]) else {
            return Ok(Vec::new());
        };
        self.flush().await?;
        let allowlist = self.allowlist(org_id).await?;
        let rows = self.database.read(LIST, &[&id]).await?;
        let log = &self.usage.log;
        let records = rows
            .iter()
            .map(|row| statements::record(row, allowlist.clone(), log));
        Ok(records.collect::<Result<_, _>>()?)
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let Some([org_id, key_id]) = storable([org_id.as_str(), key_id.as_str()]) else {
            return Ok(None);
        };
        self.flush().await?;
        let rows = self.database.read(FIND, &[&org_id, &key_id]).await?;
        self.first_record(&rows)
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let Some([_, key_id]) = storable([replacement.org_id().as_str(), key_id.as_str()]) else {
            return Ok(false);
        };
        let mut values = statements::values(&digest, &replacement);
        values.push(Box::new(key_id));
        values.push(Box::new(bigint(now)));
        let rows = self.database.write(ROTATE, &parameters(&values)).await?;
        let Some(rotated) = rows.first() else {
            return Ok(false);
        };
        self.invalidations
            .publish(&Invalidation::Key(statements::digest(rotated)?));
        self.invalidations.publish(&Invalidation::Key(digest));
        Ok(true)
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let Some([org_id, key_id]) = storable([org_id.as_str(), key_id.as_str()]) else {
            return Ok(None);
        };
        let rows = self
            .database
            .write(REVOKE, &[&org_id, &key_id, &bigint(now)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        self.invalidations
            .publish(&Invalidation::Key(statements::digest(row)?));
        let is_first = row.try_get("is_first").map_err(Failure::from)?;
        let record = self.first_record(&rows)?;
        Ok(record.map(|record| Revocation::new(record, is_first)))
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        let Some([org_id]) = storable([org_id.as_str()]) else {
            return Ok(IpAllowlist::new());
        };
        let rows = self.database.read(ALLOWLIST, &[&org_id]).await?;
        let allowlist = rows.first().map(statements::allowlist).transpose()?;
        Ok(allowlist.unwrap_or_default())
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        let networks = allowlist.to_strings();
        self.database
            .write(SET_ALLOWLIST, &[&org_id.as_str(), &networks])
            .await?;
        self.invalidations
            .publish(&Invalidation::Organization(org_id.clone()));
        Ok(())
    }
}

/// Returns `None` if no row can have one of these ids: text in PostgreSQL cannot contain a NUL.
fn storable<const N: usize>(ids: [&str; N]) -> Option<[&str; N]> {
    Some(ids).filter(|ids| !ids.iter().any(|id| id.contains('\0')))
}
