//! A change in the life of a key, or of the organization's allowlist (`C43`).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    event::AuditEventType,
    text::{MAX_TEXT, on_one_line, shown},
};

/// What changed, from what to what; never a secret.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) event_type: AuditEventType,
    pub(crate) target: Target,
    /// For people, such as `API key "ci" created`.
    pub(crate) summary: String,
    pub(crate) fields: Vec<FieldChange>,
    pub(crate) reason: Option<Reason>,
}

/// What somebody wrote, no longer than it will be shown.
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
    pub(super) fn data(&self) -> Value {
        let fields = self.fields.iter().map(|change| {
            json!({
                "field": change.field,
                "old": bounded(&change.old),
                "new": bounded(&change.new),
            })
        });
        let mut data = Map::new();
        data.insert("changes".to_owned(), fields.collect());
        if let Target::ApiKey { id, name } = &self.target {
            data.insert("key_id".to_owned(), json!(on_one_line(id, MAX_TEXT)));
            data.insert("key_name".to_owned(), json!(shown(name)));
        }
        if self.event_type == AuditEventType::IntegrationDeactivated {
            data.insert("reason".to_owned(), json!(self.reason));
        }
        data.into()
    }
}

/// An allowlist of ten thousand networks would make a record of half a megabyte.
fn bounded(value: &Value) -> Value {
    const MAX_ITEMS: usize = 100;

    match value {
        Value::String(text) => json!(shown(text)),
        Value::Array(items) => {
            let mut kept: Vec<_> = items.iter().take(MAX_ITEMS).map(bounded).collect();
            if let Some(more) = items.len().checked_sub(MAX_ITEMS).filter(|more| *more > 0) {
                kept.push(json!(format!("… and {more} more")));
            }
            Value::Array(kept)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.clone(),
    }
}
