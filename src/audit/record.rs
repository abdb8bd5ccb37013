//! Audit records: [`AuditRecord`], as the crate makes it, and [`AuditEntry`], as readers get it.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{json, value::RawValue};

use super::{
    call::ApiCall,
    change::Change,
    event::AuditEventType,
    id::AuditRecordId,
    text::{MAX_TEXT, on_one_line, shown},
};
use crate::{
    key_store::StoreError,
    principal::{OrgId, Principal},
};

/// One event of the audit log: a call, or a change of a key or of an allowlist.
///
/// A record is cheap to make while a request waits. The writer of the log asks for what takes time: the
/// [entry](Self::entry) and the [text to search](Self::search_text). A record contains no secret (`C33`), and each text in
/// it is one line of at most 2,048 bytes, whatever a client sent.
///
/// ```
/// use coverbase_auth::audit::AuditRecord;
///
/// /// A row of a store.
/// fn row(record: &AuditRecord) -> ([u8; 16], String, u64, &'static str, String, String) {
///     (
///         *record.id().as_bytes(),
///         record.org_id().to_string(),
///         record.created_at(),
///         record.event_type().as_str(),
///         record.search_text(),
///         record.entry().as_json().to_owned(),
///     )
/// }
/// ```
#[derive(Clone)]
pub struct AuditRecord {
    id: AuditRecordId,
    actor: Principal,
    event: Event,
}

#[derive(Clone)]
enum Event {
    Call(Box<ApiCall>),
    Change(Box<Change>),
}

impl AuditRecord {
    pub(crate) fn of_call(caller: Principal, call: ApiCall) -> Self {
        Self {
            id: call.id,
            actor: caller,
            event: Event::Call(Box::new(call)),
        }
    }

    pub(crate) fn of_change(id: AuditRecordId, actor: Principal, change: Change) -> Self {
        Self {
            id,
            actor,
            event: Event::Change(Box::new(change)),
        }
    }

    /// Returns the unique id. "Newest first" is the descending order of ids.
    #[must_use]
    pub const fn id(&self) -> AuditRecordId {
        self.id
    }

    /// Returns the organization whose log the record belongs to.
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        self.actor.org_id()
    }

    /// Returns the time of the event in Unix seconds; of a call, the time at which it began.
    #[must_use]
    pub const fn created_at(&self) -> u64 {
        self.id.unix_millis() / 1000
    }

    /// Returns the type of the event.
    #[must_use]
    pub fn event_type(&self) -> AuditEventType {
        match &self.event {
            Event::Call(_) => AuditEventType::ExternalApiCall,
            Event::Change(change) => change.event_type,
        }
    }

    /// Returns the text that a search looks through, in lower case: the summary, the actor's id and name, and the target's id.
    #[must_use]
    pub fn search_text(&self) -> String {
        let name = self.actor_name().unwrap_or_default();
        let event = self.details();
        let texts = [event.summary, self.actor_id(), name, event.target_id];
        texts.join("\n").to_lowercase()
    }

    /// Returns the record as readers get it.
    #[must_use]
    pub fn entry(&self) -> AuditEntry {
        let event = self.details();
        let entry = json!({
            "id": self.id.to_string(),
            "created_at": self.created_at(),
            "type": event.event_type,
            "event_type": event.event_type,
            "event_group": event.event_type.group(),
            "target_type": event.target_type,
            "target_id": event.target_id,
            "actor": {"id": self.actor_id(), "name": self.actor_name()},
            "summary": event.summary,
            "data": event.data,
        });
        AuditEntry(entry.to_string().into())
    }

    fn actor_id(&self) -> String {
        on_one_line(self.actor.id(), MAX_TEXT)
    }

    /// A session token does not contain the name of its user.
    fn actor_name(&self) -> Option<String> {
        self.actor.key_name().map(shown)
    }

    /// The event in the form of a change, to which a call is rendered.
    fn details(&self) -> Change {
        match &self.event {
            Event::Call(call) => Change {
                event_type: AuditEventType::ExternalApiCall,
                target_type: "external_api_request",
                target_id: call.request_id.clone(),
                summary: call.summary(),
                data: call.data(&self.actor),
            },
            Event::Change(change) => Change::clone(change),
        }
    }
}

impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditRecord({:?})", self.entry().as_json())
    }
}

/// A record as readers get it: one JSON object on one line, which stores keep unchanged.
///
/// ```
/// use coverbase_auth::audit::AuditEntry;
///
/// let entry = AuditEntry::from_json(r#"{"id":"018bcfe5-6800-7000-8000-000000000000"}"#)?;
/// assert_eq!(entry.as_json(), r#"{"id":"018bcfe5-6800-7000-8000-000000000000"}"#);
/// # Ok::<(), coverbase_auth::StoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry(Box<str>);

impl AuditEntry {
    /// Makes an entry of the text that a store has kept.
    ///
    /// # Errors
    ///
    /// Returns an error if `json` is not a JSON object.
    pub fn from_json(json: impl Into<String>) -> Result<Self, StoreError> {
        let json = json.into();
        let is_object = json.starts_with('{') && serde_json::from_str::<&RawValue>(&json).is_ok();
        is_object
            .then(|| Self(json.into()))
            .ok_or_else(|| StoreError::new("an entry of the audit log is not a JSON object"))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Serialize for AuditEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        json.serialize(serializer)
    }
}
