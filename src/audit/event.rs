//! The types of audit events and their groups (`C43`).

use serde::Serialize;
use serde_json::{Value, json};

/// The one group of events that this crate records.
const GROUP: &str = "integrations";

/// The type of an audit record.
///
/// ```
/// use coverbase_auth::audit::AuditEventType;
///
/// let event_type = AuditEventType::IntegrationAdded;
/// assert_eq!(event_type.as_str(), "integration_added");
/// assert_eq!(event_type.label(), "Integration added");
/// assert_eq!(event_type.group(), "integrations");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditEventType {
    /// A call of a `/v1/*` route (`C34`).
    ExternalApiCall,
    /// A key was created.
    IntegrationAdded,
    /// A key was rotated, or the organization's allowlist was replaced.
    IntegrationUpdated,
    /// A key was revoked.
    IntegrationDeactivated,
}

impl AuditEventType {
    /// Every type.
    pub const ALL: &'static [Self] = &[
        Self::ExternalApiCall,
        Self::IntegrationAdded,
        Self::IntegrationUpdated,
        Self::IntegrationDeactivated,
    ];

    /// Returns the name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalApiCall => "external_api_call",
            Self::IntegrationAdded => "integration_added",
            Self::IntegrationUpdated => "integration_updated",
            Self::IntegrationDeactivated => "integration_deactivated",
        }
    }

    /// Returns the name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ExternalApiCall => "External API call",
            Self::IntegrationAdded => "Integration added",
            Self::IntegrationUpdated => "Integration updated",
            Self::IntegrationDeactivated => "Integration deactivated",
        }
    }

    /// Returns the name of the type's group: `integrations` for every type of this crate (`C34`).
    #[must_use]
    pub const fn group(self) -> &'static str {
        GROUP
    }
}

/// Returns the groups and types with their labels: the response of `GET /v1/system_audit_log/metadata`.
///
/// ```
/// let metadata = coverbase_auth::audit::metadata();
/// assert_eq!(metadata["event_groups"][0]["value"], "integrations");
/// assert_eq!(metadata["event_types"][1]["label"], "Integration added");
/// ```
#[must_use]
pub fn metadata() -> Value {
    let event_types = AuditEventType::ALL
        .iter()
        .map(|it| json!({"value": it.as_str(), "label": it.label(), "group": it.group()}));
    json!({
        "event_groups": [{"value": GROUP, "label": "Integrations"}],
        "event_types": event_types.collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_json_and_in_text() {
        for event_type in AuditEventType::ALL {
            let json = serde_json::to_value(event_type).unwrap();
            assert_eq!(json, event_type.as_str());
        }
    }
}
