//! What is asked of the database. Each statement is a transaction of its own, and names its organization, save for the one
//! that finds out whose a digest is.
//!
//! `NOTIFY` is inside the statement that makes the change: it is heard if, and only if, the change is committed. The channel
//! has the schema's name.

/// What [`rows::record`](super::rows::record) reads, of a key `k`.
macro_rules! columns {
    () => {
        "k.org_id, k.id, k.name, k.scopes, k.created_at, k.created_by, k.expires_at, k.revoked_at, k.last_used_at"
    };
}

/// `$1` digest.
pub(super) const LOOKUP: &str = concat!(
    "SELECT ",
    columns!(),
    ", o.allowlist FROM api_keys k LEFT JOIN organizations o ON o.id = k.org_id WHERE k.digest = $1"
);

/// `$1` organization, `$2` key.
pub(super) const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    ", o.allowlist FROM api_keys k LEFT JOIN organizations o ON o.id = k.org_id WHERE k.org_id = $1 AND k.id = $2"
);

/// `$1` organization. Without its allowlist, which would be sent once for each key.
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM api_keys k WHERE k.org_id = $1 ORDER BY k.created_at, k.id"
);

/// The parameters of [`Values`](super::rows::Values).
pub(super) const CREATE: &str = "
WITH created AS (
    INSERT INTO api_keys (org_id, id, digest, name, scopes, created_at, created_by, expires_at, revoked_at, last_used_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    RETURNING digest
)
SELECT pg_notify(current_schema(), 'k:' || encode(digest, 'hex')) FROM created";

/// The parameters of [`Values`](super::rows::Values) for the replacement, `$11` the key that it replaces, `$12` now.
///
/// Of two at once the second waits at the row that the first has locked, finds the key revoked, and does nothing (`C40`).
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

/// `$1` organization, `$2` key, `$3` now. A key that has been revoked before is announced again: whoever revokes it is
/// answered that it opens nothing, and so it shall be.
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

/// `$1` organization, `$2` networks. A payload is shorter than 8,000 bytes; an id that does not fit makes everybody forget
/// everything.
pub(super) const SET_ALLOWLIST: &str = "
WITH changed AS (
    INSERT INTO organizations (id, allowlist) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET allowlist = excluded.allowlist
    RETURNING id
)
SELECT pg_notify(current_schema(), CASE WHEN octet_length(id) < 7990 THEN 'o:' || id ELSE '*' END) FROM changed";

/// `$1` organizations, `$2` keys, `$3` times, side by side. Rows are locked in one order, so that two instances that write the
/// same keys wait for each other and not for ever.
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
