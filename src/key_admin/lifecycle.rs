//! What the audit log learns of the life of keys (`C43`): one record for each change that was one, and no secret.

use serde_json::{Value, json};

use super::KeyAdmin;
use crate::{
    audit::{AuditEventType, AuditRecord, AuditRecordId, Change, FieldChange, Target},
    client_ip::IpAllowlist,
    key_store::KeyRecord,
    principal::{OrgId, Principal},
};

impl KeyAdmin {
    pub(super) fn note_created(&self, caller: &Principal, key: &KeyRecord) {
        let scopes: Vec<_> = key
            .scopes()
            .iter()
            .map(|scope| json!(scope.as_str()))
            .collect();
        self.note(caller, || Change {
            event_type: AuditEventType::IntegrationAdded,
            target: target(key),
            summary: format!("API key {:?} created", key.name()),
            fields: vec![
                field("name", Value::Null, json!(key.name())),
                field("scopes", Value::Null, scopes.into()),
                field("expires_at", Value::Null, json!(key.expires_at())),
            ],
            reason: None,
        });
    }

    pub(super) fn note_rotated(&self, caller: &Principal, old: &KeyRecord, new: &KeyRecord) {
        let (old_id, new_id) = (old.key_id().as_str(), new.key_id().as_str());
        self.note(caller, || Change {
            event_type: AuditEventType::IntegrationUpdated,
            target: target(old),
            summary: format!(
                "API key {:?} rotated: {new_id} in place of {old_id}",
                old.name()
            ),
            fields: vec![
                field("id", json!(old_id), json!(new_id)),
                field("name", json!(old.name()), json!(new.name())),
            ],
            reason: None,
        });
    }

    pub(super) fn note_revoked(&self, caller: &Principal, key: &KeyRecord, reason: Option<String>) {
        self.note(caller, || Change {
            event_type: AuditEventType::IntegrationDeactivated,
            target: target(key),
            summary: format!("API key {:?} revoked", key.name()),
            fields: vec![field("revoked", json!(false), json!(true))],
            reason: reason.map(Into::into),
        });
    }

    /// The allowlist before a change. It is looked up for the record alone, so a store that cannot tell stops nothing.
    pub(super) async fn allowlist_to_note(&self, org_id: &OrgId) -> Option<IpAllowlist> {
        self.audit.as_ref()?;
        self.registry.allowlist(org_id).await.ok()
    }

    pub(super) fn note_allowlist(
        &self,
        caller: &Principal,
        old: Option<&IpAllowlist>,
        new: &[String],
    ) {
        let old = old.map(IpAllowlist::to_strings);
        if old.as_deref() == Some(new) {
            return;
        }
        self.note(caller, || Change {
            event_type: AuditEventType::IntegrationUpdated,
            target: Target::Organization {
                id: caller.org_id().as_str().to_owned(),
            },
            summary: "IP allowlist of the API keys replaced".to_owned(),
            fields: vec![field("api_ip_allowlist", json!(old), json!(new))],
            reason: None,
        });
    }

    fn note(&self, caller: &Principal, change: impl FnOnce() -> Change) {
        if let Some(sink) = &self.audit {
            let id = AuditRecordId::at(self.clock.unix_millis());
            sink.record(AuditRecord::of_change(id, caller.clone(), change()));
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
