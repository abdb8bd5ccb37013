//! Rows and the values that they are made of.

use tokio_postgres::{Row, types::ToSql};

use super::failure::Failure;
use crate::{
    client_ip::IpAllowlist,
    credential::KeyDigest,
    key_store::{KeyRecord, UsageLog},
    principal::Scope,
};

/// The key of a row, under `allowlist`. What is in the row was checked when it was written: what does not parse has been
/// tampered with, and opens nothing.
pub(super) fn record(
    row: &Row,
    allowlist: IpAllowlist,
    usage_log: &UsageLog,
) -> Result<KeyRecord, Failure> {
    let key_id: &str = row.try_get("id")?;
    let org_id: &str = row.try_get("org_id")?;
    let name: &str = row.try_get("name")?;
    let scopes: Vec<&str> = row.try_get("scopes")?;
    let scopes: Result<Vec<Scope>, _> = scopes.into_iter().map(str::parse).collect();
    let mut record = KeyRecord::new(key_id, org_id)
        .with_name(name)
        .with_scopes(scopes.map_err(Failure::new)?)
        .with_allowlist(allowlist)
        .with_created_at(seconds(row.try_get("created_at")?))
        .with_usage_log(usage_log.clone());
    if let Some(user_id) = row.try_get::<_, Option<&str>>("created_by")? {
        record = record.with_created_by(user_id);
    }
    if let Some(expires_at) = row.try_get("expires_at")? {
        record = record.with_expires_at(seconds(expires_at));
    }
    if let Some(last_used_at) = row.try_get("last_used_at")? {
        record = record.with_last_used_at(seconds(last_used_at));
    }
    if let Some(revoked_at) = row.try_get("revoked_at")? {
        record = record.with_revoked_at(seconds(revoked_at));
    }
    Ok(record)
}

/// The allowlist of a row; unrestricted where the organization has never set any.
pub(super) fn allowlist(row: &Row) -> Result<IpAllowlist, Failure> {
    let networks: Option<Vec<&str>> = row.try_get("allowlist")?;
    IpAllowlist::parse(networks.unwrap_or_default()).map_err(Failure::new)
}

/// The digest of a row.
pub(super) fn digest(row: &Row) -> Result<KeyDigest, Failure> {
    let digest: &[u8] = row.try_get("digest")?;
    let digest = digest.try_into().map_err(Failure::new)?;
    Ok(KeyDigest::from_bytes(digest))
}

/// A key as the parameters `$1` to `$10` of the statements that write one.
pub(super) struct Values<'a> {
    org_id: &'a str,
    key_id: &'a str,
    digest: &'a [u8],
    name: &'a str,
    scopes: Vec<&'a str>,
    created_at: i64,
    created_by: Option<&'a str>,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl<'a> Values<'a> {
    pub(super) fn new(digest: &'a KeyDigest, record: &'a KeyRecord) -> Self {
        Self {
            org_id: record.org_id().as_str(),
            key_id: record.key_id().as_str(),
            digest: digest.as_bytes(),
            name: record.name(),
            scopes: record.scopes().iter().map(Scope::as_str).collect(),
            created_at: bigint(record.created_at()),
            created_by: record.created_by(),
            expires_at: record.expires_at().map(bigint),
            revoked_at: record.revoked_at().map(bigint),
            last_used_at: record.last_used_at().map(bigint),
        }
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.org_id,
            &self.key_id,
            &self.digest,
            &self.name,
            &self.scopes,
            &self.created_at,
            &self.created_by,
            &self.expires_at,
            &self.revoked_at,
            &self.last_used_at,
        ]
    }
}

/// Seconds as they are stored. 2⁶³ of them are never reached: a larger number means the same.
pub(super) fn bigint(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn seconds(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
