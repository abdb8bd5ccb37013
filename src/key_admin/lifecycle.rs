//! The audit records of changes to keys and allowlists (`C43`): one for each change, without secrets.

use serde_json::{Value, json};

use super::admin::KeyAdmin;
use crate::{
    audit::{AuditEventType, AuditRecord, AuditRecordId, Change, FieldChange, Target},
    client_ip::IpAllowlist,
    key_store::KeyRecord,
    principal::{OrgId, Principal, Scope},
};

impl KeyAdmin {
    pub(super) fn record(&self, caller: &Principal, change: Change) {
        if let Some(sink) = &self.audit {
            let id = AuditRecordId::at(self.clock.unix_millis());
            sink.record(AuditRecord::of_change(id, caller.clone(), change));
        }
    }

    /// Reads the allowlist before a change, for the record of the change. Returns `None` if the store cannot answer: the
    /// change goes on.
    pub(super) async fn allowlist_before(&self, org_id: &OrgId) -> Option<IpAllowlist> {
        self.audit.as_ref()?;
        self.registry.allowlist(org_id).await.ok()
    }
}

pub(super) fn creation(key: &KeyRecord) -> Change {
    let scopes: Vec<_> = key.scopes().iter().map(Scope::as_str).collect();
    Change {
        event_type: AuditEventType::IntegrationAdded,
        target: target(key),
        summary: format!("API key {:?} created", key.name()),
        fields: vec![
            field("name", Value::Null, json!(key.name())),
            field("scopes", Value::Null, json!(scopes)),
            field("expires_at", Value::Null, json!(key.expires_at())),
        ],
        reason: None,
    }
}

pub(super) fn rotation(old: &KeyRecord, new: &KeyRecord) -> Change {
    let (name, old_id, new_id) = (old.name(), old.key_id().as_str(), new.key_id().as_str());
    Change {
        event_type: AuditEventType::IntegrationUpdated,
        target: target(old),
        summary: format!("API key {name:?} rotated: {new_id} in place of {old_id}"),
        fields: vec![
            field("id", json!(old_id), json!(new_id)),
            field("name", json!(name), json!(new.name())),
        ],
        reason: None,
    }
}

pub(super) fn revocation(key: &KeyRecord, reason: Option<String>) -> Change {
    Change {
        event_type: AuditEventType::IntegrationDeactivated,
        target: target(key),
        summary: format!("API key {:?} revoked", key.name()),
        fields: vec![field("revoked", json!(false), json!(true))],
        reason: reason.map(Into::into),
    }
}

pub(super) fn new_allowlist(
    org_id: &OrgId,
    old: Option<&IpAllowlist>,
    new: &IpAllowlist,
) -> Change {
    let id = org_id.as_str().to_owned();
    let (old, new) = (old.map(IpAllowlist::to_strings), new.to_strings());
    Change {
        event_type: AuditEventType::IntegrationUpdated,
        target: Target::Organization { id },
        summary: "IP allowlist of the API keys replaced".to_owned(),
        fields: vec![field("api_ip_allowlist", json!(old), json!(new))],
        reason: None,
    }
}

fn target(key: &KeyRecord) -> Target {
    Target::ApiKey {
        id: key.key_id().as_str().to_owned(),
        name: key.name().to_owned(),
    }
}

const fn field(field: &'static str, old: Value, new: Value) -> FieldChange {
    FieldChange { field, old, new }
}
