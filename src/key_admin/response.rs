//! What clients get back. Times are Unix seconds.

use serde::{Serialize, Serializer, ser::SerializeSeq};

use crate::{
    client_ip::IpAllowlist,
    credential::{ApiKey, KeyId},
    key_store::KeyRecord,
    principal::{OrgId, Scopes},
};

/// A key as its organization sees it: everything but the secret (`C38`).
///
/// ```
/// use coverbase_auth::{KeyId, key_admin::KeySummary};
///
/// /// What an administrator may want to revoke.
/// fn never_used(keys: &[KeySummary]) -> Vec<&KeyId> {
///     keys.iter().filter(|key| key.last_used_at.is_none() && !key.revoked).map(|key| &key.id).collect()
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeySummary {
    /// The public id.
    #[serde(serialize_with = "key_id")]
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created_at: u64,
    /// When it last opened a request.
    pub last_used_at: Option<u64>,
    /// Whether it has been revoked.
    pub revoked: bool,
    /// Whether its lifetime is over.
    pub expired: bool,
    /// What it may do.
    #[serde(serialize_with = "scopes")]
    pub scopes: Scopes,
    /// The user who made it; `null` where a key did.
    pub created_by_clerk_user_id: Option<String>,
}

impl KeySummary {
    pub(super) fn at(record: &KeyRecord, now: u64) -> Self {
        Self {
            id: record.key_id().clone(),
            name: record.name().to_owned(),
            created_at: record.created_at(),
            last_used_at: record.last_used_at(),
            revoked: record.is_revoked(),
            expired: record.is_expired_at(now),
            scopes: record.scopes().clone(),
            created_by_clerk_user_id: record.created_by().map(ToOwned::to_owned),
        }
    }
}

/// A new key with its secret, which is shown this once (`C39`).
///
/// Serializing it writes the secret: an answer that holds it carries `Cache-Control: no-store`. `Debug` does not.
///
/// ```
/// use coverbase_auth::key_admin::CreatedKey;
/// use http::{Response, header::CACHE_CONTROL};
///
/// fn answer(created: &CreatedKey) -> serde_json::Result<Response<String>> {
///     let mut response = Response::new(serde_json::to_string(created)?);
///     response.headers_mut().insert(CACHE_CONTROL, "no-store".parse().unwrap());
///     Ok(response)
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CreatedKey {
    /// The public id.
    #[serde(serialize_with = "key_id")]
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// The whole key.
    #[serde(serialize_with = "secret")]
    pub secret: ApiKey,
    /// When it was made.
    pub created_at: u64,
    /// What it may do.
    #[serde(serialize_with = "scopes")]
    pub scopes: Scopes,
}

impl CreatedKey {
    pub(super) fn new(record: &KeyRecord, secret: ApiKey) -> Self {
        Self {
            id: record.key_id().clone(),
            name: record.name().to_owned(),
            secret,
            created_at: record.created_at(),
            scopes: record.scopes().clone(),
        }
    }
}

/// A key that took another's place, with its secret, which is shown this once (`C40`).
///
/// ```
/// use coverbase_auth::key_admin::RotatedKey;
///
/// fn line_in_a_log(rotated: &RotatedKey) -> String {
///     format!("{} took the place of {}", rotated.created.id, rotated.revoked_id)
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RotatedKey {
    /// The new key.
    #[serde(flatten)]
    pub created: CreatedKey,
    /// The public id of the old one.
    #[serde(serialize_with = "key_id")]
    pub revoked_id: KeyId,
}

impl RotatedKey {
    pub(super) fn new(record: &KeyRecord, secret: ApiKey, revoked_id: &KeyId) -> Self {
        Self {
            created: CreatedKey::new(record, secret),
            revoked_id: revoked_id.clone(),
        }
    }
}

/// An organization (`C42`).
///
/// ```
/// use coverbase_auth::key_admin::Organization;
///
/// fn is_restricted(organization: &Organization) -> bool {
///     !organization.api_ip_allowlist.is_empty()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// From where its keys may be used, in canonical form; empty: from everywhere.
    pub api_ip_allowlist: Vec<String>,
}

impl Organization {
    pub(super) fn new(id: &OrgId, allowlist: &IpAllowlist) -> Self {
        Self {
            id: id.as_str().to_owned(),
            api_ip_allowlist: allowlist.to_strings(),
        }
    }
}

fn key_id<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.as_str())
}

fn secret<S: Serializer>(secret: &ApiKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn scopes<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    for scope in scopes.iter() {
        list.serialize_element(scope.as_str())?;
    }
    list.end()
}
