//! Response bodies. Times are Unix seconds.

use serde::{Serialize, Serializer};

use crate::{
    client_ip::IpAllowlist,
    credential::{ApiKey, KeyId},
    key_store::KeyRecord,
    principal::{OrgId, Scope, Scopes},
};

/// An API key without its secret (`C38`).
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKey))]
#[non_exhaustive]
pub struct KeySummary {
    /// The public id.
    #[serde(serialize_with = "key_id")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: KeyId,
    /// The name.
    pub name: String,
    /// The time of creation.
    pub created_at: u64,
    /// The time of the last authenticated request.
    pub last_used_at: Option<u64>,
    /// Whether the key is revoked.
    pub revoked: bool,
    /// Whether the key is expired.
    pub expired: bool,
    /// The scopes; empty when the key is revoked.
    #[serde(serialize_with = "scopes")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub scopes: Scopes,
    /// The user who created the key; `null` if another key created it.
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

/// A new API key with its secret, which is shown only once (`C39`). A response with it carries `Cache-Control: no-store`.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CreatedApiKey))]
#[non_exhaustive]
pub struct CreatedKey {
    /// The public id.
    #[serde(serialize_with = "key_id")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: KeyId,
    /// The name.
    pub name: String,
    /// The secret: the whole key.
    #[serde(serialize_with = "secret")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub secret: ApiKey,
    /// The time of creation.
    pub created_at: u64,
    /// The scopes.
    #[serde(serialize_with = "scopes")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
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

/// The API key that a rotation created, with its secret, which is shown only once (`C40`).
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RotatedApiKey))]
#[non_exhaustive]
pub struct RotatedKey {
    /// The new key.
    #[serde(flatten)]
    pub created: CreatedKey,
    /// The public id of the key that the rotation revoked.
    #[serde(serialize_with = "key_id")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub revoked_id: KeyId,
}

/// An organization (`C42`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Organization {
    /// The id.
    pub id: String,
    /// The networks that API keys can be used from, in canonical form; empty when unrestricted.
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
    serializer.collect_seq(scopes.iter().map(Scope::as_str))
}
