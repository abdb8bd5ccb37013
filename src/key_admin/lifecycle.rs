//! The audit records of changes to keys and allowlists (`C43`): one for each change, without secrets.

use serde_json::{Value, json};

use super::KeyAdmin;
use crate::{
    audit::{AuditEventType, AuditRecord, AuditRecordId, Change, FieldChange, Target},
    client_ip::IpAllowlist,
    key_store::KeyRecord,
    principal::{OrgId, Principal, Scope},
};

impl KeyAdmin {
    pub(super) fn record_creation(&self, caller: &Principal, key: &KeyRecord) {
        let scopes: Vec<_> = key.scopes().iter().map(Scope::as_str).collect();
        let change = Change {
            event_type: AuditEventType::IntegrationAdded,
            target: target(key),
            summary: format!("API key {:?} created", key.name()),
            fields: vec![
                field("name", Value::Null, json!(key.name())),
                field("scopes", Value::Null, json!(scopes)),
                field("expires_at", Value::Null, json!(key.expires_at())),
            ],
            reason: None,
        };
        self.record(caller, change);
    }

    pub(super) fn record_rotation(&self, caller: &Principal, old: &KeyRecord, new: &KeyRecord) {
        let (name, old_id, new_id) = (old.name(), old.key_id().as_str(), new.key_id().as_str());
        let change = Change {
            event_type: AuditEventType::IntegrationUpdated,
            target: target(old),
            summary: format!("API key {name:?} rotated: {new_id} in place of {old_id}"),
            fields: vec![
                field("id", json!(old_id), json!(new_id)),
                field("name", json!(name), json!(new.name())),
            ],
            reason: None,
        };
        self.record(caller, change);
    }

    pub(super) fn record_revocation(
        &self,
        caller: &Principal,
        key: &KeyRecord,
        reason: Option<String>,
    ) {
        let change = Change {
            event_type: AuditEventType::IntegrationDeactivated,
            target: target(key),
            summary: format!("API key {:?} revoked", key.name()),
            fields: vec![field("revoked", json!(false), json!(true))],
            reason: reason.map(Into::into),
        };
        self.record(caller, change);
    }

    /// Reads the allowlist before a change, for the record of the change. Returns `None` if the store cannot answer: the
    /// change goes on.
    pub(super) async fn allowlist_before(&self, org_id: &OrgId) -> Option<IpAllowlist> {
        self.audit.as_ref()?;
        self.registry.allowlist(org_id).await.ok()
    }

    /// Records the new allowlist, unless it is equal to the old one.
    pub(super) fn record_allowlist(
        &self,
        caller: &Principal,
        old: Option<&IpAllowlist>,
        new: &[String],
    ) {
        let old = old.map(IpAllowlist::to_strings);
        if old.as_deref() == Some(new) {
            return;
        }
        let id = caller.org_id().as_str().to_owned();
        let change = Change {
            event_type: AuditEventType::IntegrationUpdated,
            target: Target::Organization { id },
            summary: "IP allowlist of the API keys replaced".to_owned(),
            fields: vec![field("api_ip_allowlist", json!(old), json!(new))],
            reason: None,
        };
        self.record(caller, change);
    }

    fn record(&self, caller: &Principal, change: Change) {
        if let Some(sink) = &self.audit {
            let id = AuditRecordId::at(self.clock.unix_millis());
            sink.record(AuditRecord::of_change(id, caller.clone(), change));
        }
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
