//! The statements, their parameters and their rows.
//!
//! Each statement is a transaction and names its organization, except for the lookup of a digest. A statement that changes
//! something contains its `NOTIFY`, which is sent if and only if the change is committed. The channel has the name of the schema.

use tokio_postgres::{Row, types::ToSql};

use super::failure::Failure;
use crate::{
    client_ip::IpAllowlist,
    credential::KeyDigest,
    key_store::{KeyRecord, UsageLog},
    principal::Scope,
};

/// The columns of a key `k` that [`record`] reads.
macro_rules! columns {
    () => {
        "k.org_id, k.id, k.name, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.last_used_at"
    };
}

/// Selects keys with the allowlists of their organizations.
macro_rules! select_keys {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", o.allowlist FROM api_keys k LEFT JOIN organizations o ON o.id = k.org_id WHERE ",
            $condition
        )
    };
}

/// `$1` digest.
pub(super) const LOOKUP: &str = select_keys!("k.digest = $1");

/// `$1` organization, `$2` key.
pub(super) const FIND: &str = select_keys!("k.org_id = $1 AND k.id = $2");

/// `$1` organization. The rows do not repeat its allowlist.
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM api_keys k WHERE k.org_id = $1 ORDER BY k.created_at, k.id"
);

/// `$1` to `$10` [`values`].
pub(super) const CREATE: &str = "
WITH created AS (
    INSERT INTO api_keys (org_id, id, digest, name, scopes, created_at, created_by, expires_at, revoked_at, last_used_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING digest
)
SELECT pg_notify(current_schema(), 'k:' || encode(digest, 'hex')) FROM created";

/// `$1` to `$10` [`values`] of the replacement, `$11` the key that it replaces, `$12` now.
///
/// Of two concurrent rotations, the second waits for the row lock of the first, finds the key revoked, and changes nothing
/// (`C40`).
pub(super) const ROTATE: &str = "
WITH rotated AS (
    UPDATE api_keys SET revoked_at = $12
    WHERE org_id = $1 AND id = $11 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $12)
    RETURNING digest
), created AS (
    INSERT INTO api_keys (org_id, id, digest, name, scopes, created_at, created_by, expires_at, revoked_at, last_used_at)
    SELECT $1, $2, $3::bytea, $4, $5::text[], $6::bigint, $7, $8::bigint, $9::bigint, $10::bigint FROM rotated
    RETURNING digest
)
SELECT rotated.digest,
    pg_notify(current_schema(), 'k:' || encode(rotated.digest, 'hex')),
    pg_notify(current_schema(), 'k:' || encode(created.digest, 'hex'))
FROM rotated, created";

/// `$1` organization, `$2` key, `$3` now. A second revocation is announced as well, because its answer promises that the key is
/// rejected everywhere.
pub(super) const REVOKE: &str = concat!(
    "
WITH standing AS (
    SELECT org_id, id, revoked_at FROM api_keys WHERE org_id = $1 AND id = $2 FOR UPDATE
), k AS (
    UPDATE api_keys SET revoked_at = coalesce(standing.revoked_at, $3) FROM standing
    WHERE api_keys.org_id = standing.org_id AND api_keys.id = standing.id
    RETURNING api_keys.*, standing.revoked_at IS NULL AS is_first
)
SELECT ",
    columns!(),
    ", k.digest, k.is_first, o.allowlist, pg_notify(current_schema(), 'k:' || encode(k.digest, 'hex'))
FROM k LEFT JOIN organizations o ON o.id = k.org_id"
);

/// `$1` organization.
pub(super) const ALLOWLIST: &str = "SELECT allowlist FROM organizations WHERE id = $1";

/// `$1` organization, `$2` networks. A payload has fewer than 8,000 bytes; an id that does not fit clears all caches.
pub(super) const SET_ALLOWLIST: &str = "
WITH changed AS (
    INSERT INTO organizations (id, allowlist) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET allowlist = excluded.allowlist
    RETURNING id
)
SELECT pg_notify(current_schema(), CASE WHEN octet_length(id) < 7990 THEN 'o:' || id ELSE '*' END) FROM changed";

/// `$1` organizations, `$2` keys, `$3` times, of equal length. Rows are locked in one order, so that instances that write the
/// same keys cannot deadlock.
pub(super) const WRITE_USAGE: &str = "
WITH used AS (
    SELECT k.org_id, k.id, used.at
    FROM api_keys k JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS used (org_id, id, at)
        ON k.org_id = used.org_id AND k.id = used.id
    WHERE k.last_used_at IS NULL OR k.last_used_at < used.at
    ORDER BY k.org_id, k.id FOR NO KEY UPDATE OF k
)
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, used.at) FROM used
WHERE k.org_id = used.org_id AND k.id = used.id";

/// The value of a parameter.
pub(super) type Value<'a> = Box<dyn ToSql + Send + Sync + 'a>;

/// Returns the parameters `$1` to `$10` of the statements that insert a key.
pub(super) fn values<'a>(digest: &'a KeyDigest, record: &'a KeyRecord) -> Vec<Value<'a>> {
    let scopes: Vec<&str> = record.scopes().iter().map(Scope::as_str).collect();
    vec![
        Box::new(record.org_id().as_str()),
        Box::new(record.key_id().as_str()),
        Box::new(digest.as_bytes().as_slice()),
        Box::new(record.name()),
        Box::new(scopes),
        Box::new(bigint(record.created_at())),
        Box::new(record.created_by()),
        Box::new(record.expires_at().map(bigint)),
        Box::new(record.revoked_at().map(bigint)),
        Box::new(record.last_used_at().map(bigint)),
    ]
}

/// Borrows values as the parameters of a statement.
pub(super) fn parameters<'v>(values: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    let values = values.iter();
    values
        .map(|value| &**value as &(dyn ToSql + Sync))
        .collect()
}

/// Converts a number to the database's type. Larger numbers become 2⁶³ - 1.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the key of a row.
///
/// # Errors
///
/// If a value does not parse. Values are checked before they are written, so such a row has been changed by other means.
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

/// Reads the allowlist of a row; unrestricted if the organization has none.
pub(super) fn allowlist(row: &Row) -> Result<IpAllowlist, Failure> {
    let networks: Option<Vec<&str>> = row.try_get("allowlist")?;
    IpAllowlist::parse(networks.unwrap_or_default()).map_err(Failure::new)
}

/// Reads the digest of a row.
pub(super) fn digest(row: &Row) -> Result<KeyDigest, Failure> {
    let digest: &[u8] = row.try_get("digest")?;
    let digest = digest.try_into().map_err(Failure::new)?;
    Ok(KeyDigest::from_bytes(digest))
}

fn seconds(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
