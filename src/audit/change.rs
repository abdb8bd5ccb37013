//! The lifecycle events of the audit log: changes of keys and of allowlists (`C43`).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    event::AuditEventType,
    text::{MAX_TEXT, on_one_line, shown},
};

/// The most items of a list that are recorded: a long allowlist would make a record of half a megabyte.
const MAX_ITEMS: usize = 100;

/// A change of a key or of an organization. It holds no secret.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) event_type: AuditEventType,
    pub(crate) target: Target,
    /// A sentence for people, such as `API key "ci" created`.
    pub(crate) summary: String,
    pub(crate) fields: Vec<FieldChange>,
    pub(crate) reason: Option<Reason>,
}

/// The reason that an administrator gave, redacted and cut to the length that is recorded.
#[derive(Clone, Serialize)]
pub(crate) struct Reason(String);

impl From<String> for Reason {
    fn from(reason: String) -> Self {
        Self(shown(&reason))
    }
}

#[derive(Clone)]
pub(crate) enum Target {
    ApiKey { id: String, name: String },
    Organization { id: String },
}

#[derive(Clone)]
pub(crate) struct FieldChange {
    pub(crate) field: &'static str,
    pub(crate) old: Value,
    pub(crate) new: Value,
}

impl Target {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey { .. } => "api_key",
            Self::Organization { .. } => "organization",
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::ApiKey { id, .. } | Self::Organization { id } => id,
        }
    }
}

impl Change {
    /// Returns the `data` of the record.
    pub(super) fn data(&self) -> Value {
        let fields = self.fields.iter().map(FieldChange::data);
        let mut data = Map::from_iter([("changes".to_owned(), fields.collect())]);
        if let Target::ApiKey { id, name } = &self.target {
            data.insert("key_id".to_owned(), on_one_line(id, MAX_TEXT).into());
            data.insert("key_name".to_owned(), shown(name).into());
        }
        if self.event_type == AuditEventType::IntegrationDeactivated {
            data.insert("reason".to_owned(), json!(self.reason));
        }
        data.into()
    }
}

impl FieldChange {
    fn data(&self) -> Value {
        json!({"field": self.field, "old": bounded(&self.old), "new": bounded(&self.new)})
    }
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
