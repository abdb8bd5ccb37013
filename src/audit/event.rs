//! What can happen: the types of events, and the groups that they are shown in (`C43`).

use std::fmt;

use serde::{Serialize, Serializer};

/// What a record is of.
///
/// ```
/// use coverbase_auth::audit::{AuditEventGroup, AuditEventType};
///
/// let event_type = AuditEventType::IntegrationAdded;
/// assert_eq!(event_type.as_str(), "integration_added");
/// assert_eq!(event_type.label(), "Integration added");
/// assert_eq!(event_type.group(), AuditEventGroup::Integrations);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AuditEventType {
    /// A call of a `/v1/*` route (`C34`).
    ExternalApiCall,
    /// A key was created.
    IntegrationAdded,
    /// A key was rotated, or the organization's allowlist replaced by another.
    IntegrationUpdated,
    /// A key was revoked.
    IntegrationDeactivated,
}

impl AuditEventType {
    /// Every type.
    ///
    /// ```
    /// use coverbase_auth::audit::AuditEventType;
    ///
    /// let named = AuditEventType::ALL.iter().find(|event_type| event_type.as_str() == "integration_added");
    /// assert_eq!(named, Some(&AuditEventType::IntegrationAdded));
    /// ```
    pub const ALL: &'static [Self] = &[
        Self::ExternalApiCall,
        Self::IntegrationAdded,
        Self::IntegrationUpdated,
        Self::IntegrationDeactivated,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalApiCall => "external_api_call",
            Self::IntegrationAdded => "integration_added",
            Self::IntegrationUpdated => "integration_updated",
            Self::IntegrationDeactivated => "integration_deactivated",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ExternalApiCall => "External API call",
            Self::IntegrationAdded => "Integration added",
            Self::IntegrationUpdated => "Integration updated",
            Self::IntegrationDeactivated => "Integration deactivated",
        }
    }

    /// The group that it belongs to.
    #[must_use]
    pub const fn group(self) -> AuditEventGroup {
        match self {
            Self::ExternalApiCall => AuditEventGroup::ExternalApi,
            Self::IntegrationAdded | Self::IntegrationUpdated | Self::IntegrationDeactivated => {
                AuditEventGroup::Integrations
            }
        }
    }
}

/// A group of event types.
///
/// ```
/// use coverbase_auth::audit::AuditEventGroup;
///
/// let labels: Vec<_> = AuditEventGroup::ALL.iter().map(|group| group.label()).collect();
/// assert_eq!(labels, ["External API", "Integrations"]);
/// assert_eq!(AuditEventGroup::ExternalApi.as_str(), "external_api");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AuditEventGroup {
    /// Calls of the public API.
    ExternalApi,
    /// The life of keys, and from where they may be used.
    Integrations,
}

impl AuditEventGroup {
    /// Every group.
    pub const ALL: &'static [Self] = &[Self::ExternalApi, Self::Integrations];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalApi => "external_api",
            Self::Integrations => "integrations",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ExternalApi => "External API",
            Self::Integrations => "Integrations",
        }
    }
}

impl fmt::Display for AuditEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for AuditEventGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AuditEventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for AuditEventGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The groups and types with their labels, as `GET /v1/system_audit_log/metadata` answers them.
///
/// ```
/// let metadata = coverbase_auth::audit::AuditMetadata::new();
/// let json = serde_json::to_value(metadata)?;
/// assert_eq!(json["event_groups"][1]["value"], "integrations");
/// assert_eq!(json["event_types"][1]["label"], "Integration added");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct AuditMetadata {
    event_groups: Vec<Labelled>,
    event_types: Vec<LabelledType>,
}

#[derive(Debug, Clone, Serialize)]
struct Labelled {
    value: &'static str,
    label: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct LabelledType {
    #[serde(flatten)]
    labelled: Labelled,
    group: &'static str,
}

impl AuditMetadata {
    /// All there is.
    #[must_use]
    pub fn new() -> Self {
        let group = |group: &AuditEventGroup| Labelled {
            value: group.as_str(),
            label: group.label(),
        };
        let event_type = |event_type: &AuditEventType| LabelledType {
            labelled: Labelled {
                value: event_type.as_str(),
                label: event_type.label(),
            },
            group: event_type.group().as_str(),
        };
        Self {
            event_groups: AuditEventGroup::ALL.iter().map(group).collect(),
            event_types: AuditEventType::ALL.iter().map(event_type).collect(),
        }
    }
}

impl Default for AuditMetadata {
    fn default() -> Self {
        Self::new()
    }
}
