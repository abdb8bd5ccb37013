//! The lifecycle events of the audit log: changes of keys and of allowlists (`C43`).

use serde_json::{Map, Value, json};

use super::{
    event::AuditEventType,
    text::{MAX_TEXT, on_one_line, shown},
};
use crate::{
    client_ip::IpAllowlist,
    key_store::KeyRecord,
    principal::{OrgId, Scope},
};

/// The most items of a list that are recorded: a long allowlist would make a record of half a megabyte.
const MAX_ITEMS: usize = 100;

/// A change of a key or of an organization. It holds no secret, and its texts are redacted and bounded.
#[derive(Clone)]
pub(crate) struct Change {
    pub(super) event_type: AuditEventType,
    pub(super) target_type: &'static str,
    pub(super) target_id: String,
    /// A sentence for people, such as `API key "ci" created`.
    pub(super) summary: String,
    pub(super) data: Map<String, Value>,
}

impl Change {
    pub(crate) fn creation(key: &KeyRecord) -> Self {
        let scopes: Vec<_> = key.scopes().iter().map(Scope::as_str).collect();
        let changes = json!([
            field("name", &Value::Null, &json!(key.name())),
            field("scopes", &Value::Null, &json!(scopes)),
            field("expires_at", &Value::Null, &json!(key.expires_at())),
        ]);
        let summary = format!("API key {:?} created", key.name());
        Self::of_key(AuditEventType::IntegrationAdded, key, &summary, changes)
    }

    pub(crate) fn rotation(old: &KeyRecord, new: &KeyRecord) -> Self {
        let (name, old_id, new_id) = (old.name(), old.key_id().as_str(), new.key_id().as_str());
        let changes = json!([
            field("id", &json!(old_id), &json!(new_id)),
            field("name", &json!(name), &json!(new.name())),
        ]);
        let summary = format!("API key {name:?} rotated: {new_id} in place of {old_id}");
        Self::of_key(AuditEventType::IntegrationUpdated, old, &summary, changes)
    }

    pub(crate) fn revocation(key: &KeyRecord, reason: Option<&str>) -> Self {
        let changes = json!([field("revoked", &json!(false), &json!(true))]);
        let summary = format!("API key {:?} revoked", key.name());
        let mut change = Self::of_key(
            AuditEventType::IntegrationDeactivated,
            key,
            &summary,
            changes,
        );
        let reason = json!(reason.map(shown));
        change.data.insert("reason".to_owned(), reason);
        change
    }

    /// `old` is `None` if it could not be read.
    pub(crate) fn new_allowlist(
        org_id: &OrgId,
        old: Option<&IpAllowlist>,
        new: &IpAllowlist,
    ) -> Self {
        let (old, new) = (old.map(IpAllowlist::to_strings), new.to_strings());
        let changes = json!([field("api_ip_allowlist", &json!(old), &json!(new))]);
        Self {
            event_type: AuditEventType::IntegrationUpdated,
            target_type: "organization",
            target_id: on_one_line(org_id.as_str(), MAX_TEXT),
            summary: "IP allowlist of the API keys replaced".to_owned(),
            data: Map::from_iter([("changes".to_owned(), changes)]),
        }
    }

    fn of_key(event_type: AuditEventType, key: &KeyRecord, summary: &str, changes: Value) -> Self {
        let key_id = on_one_line(key.key_id().as_str(), MAX_TEXT);
        Self {
            event_type,
            target_type: "api_key",
            target_id: key_id.clone(),
            summary: shown(summary),
            data: Map::from_iter([
                ("changes".to_owned(), changes),
                ("key_id".to_owned(), key_id.into()),
                ("key_name".to_owned(), shown(key.name()).into()),
            ]),
        }
    }
}

fn field(name: &str, old: &Value, new: &Value) -> Value {
    json!({"field": name, "old": bounded(old), "new": bounded(new)})
}

/// Returns `value` with its texts redacted and its lists cut.
fn bounded(value: &Value) -> Value {
    match value {
        Value::String(text) => shown(text).into(),
        Value::Array(items) => {
            let mut kept: Vec<_> = items.iter().take(MAX_ITEMS).map(bounded).collect();
            if items.len() > MAX_ITEMS {
                kept.push(format!("… and {} more", items.len() - MAX_ITEMS).into());
            }
            kept.into()
        }
        other => other.clone(),
    }
}
