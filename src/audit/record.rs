//! A record: as it is taken, and as it is read.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

use super::{
    call::ApiCall,
    change::Change,
    event::AuditEventType,
    id::AuditRecordId,
    text::{MAX_TEXT, on_one_line, shown},
};
use crate::principal::{OrgId, Principal};

/// What happened, who did it, and when.
///
/// It is taken on the request's way, so it is cheap to make; what costs is asked for by whoever writes it: the
/// [entry](Self::entry) and the [text to search](Self::search_text). No part of it is a secret (`C33`), and no text in it
/// breaks a line or is longer than 2,048 bytes, whatever a client sent.
///
/// ```
/// use coverbase_auth::audit::AuditRecord;
///
/// /// What a store's row has in it.
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

    /// Its id, unlike that of any other. Newest first is by this, descending.
    #[must_use]
    pub const fn id(&self) -> AuditRecordId {
        self.id
    }

    /// Whose log it belongs to.
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        self.actor.org_id()
    }

    /// When it happened, in Unix seconds; of a call, when it began.
    #[must_use]
    pub const fn created_at(&self) -> u64 {
        self.id.unix_millis() / 1000
    }

    /// What it is of.
    #[must_use]
    pub fn event_type(&self) -> AuditEventType {
        match &self.event {
            Event::Call(_) => AuditEventType::ExternalApiCall,
            Event::Change(change) => change.event_type,
        }
    }

    /// What a search looks through, in lower case: the summary, the actor's id and name, and the id of the target.
    #[must_use]
    pub fn search_text(&self) -> String {
        let actor = self.actor_id();
        let name = self.actor_name().unwrap_or_default();
        let text = format!("{}\n{actor}\n{name}\n{}", self.summary(), self.target_id());
        text.to_lowercase()
    }

    /// The record as readers get it.
    #[must_use]
    pub fn entry(&self) -> AuditEntry {
        let event_type = self.event_type();
        let entry = json!({
            "id": self.id.to_string(),
            "created_at": self.created_at(),
            "type": event_type,
            "event_type": event_type,
            "event_group": event_type.group(),
            "target_type": self.target_type(),
            "target_id": self.target_id(),
            "actor": {"id": self.actor_id(), "name": self.actor_name()},
            "summary": self.summary(),
            "data": self.data(),
        });
        AuditEntry(entry.to_string().into())
    }

    fn actor_id(&self) -> String {
        on_one_line(self.actor.id(), MAX_TEXT).into_owned()
    }

    /// A user's token does not say their name.
    fn actor_name(&self) -> Option<String> {
        self.actor.key_name().map(shown)
    }

    fn target_type(&self) -> &'static str {
        match &self.event {
            Event::Call(_) => "external_api_request",
            Event::Change(change) => change.target.kind(),
        }
    }

    fn target_id(&self) -> String {
        match &self.event {
            Event::Call(call) => call.request_id.clone(),
            Event::Change(change) => on_one_line(change.target.id(), MAX_TEXT).into_owned(),
        }
    }

    fn summary(&self) -> String {
        match &self.event {
            Event::Call(call) => call.summary(),
            Event::Change(change) => shown(&change.summary),
        }
    }

    fn data(&self) -> Value {
        match &self.event {
            Event::Call(call) => call.data(&self.actor),
            Event::Change(change) => change.data(),
        }
    }
}

/// The entry, which shows no parameter's value.
impl fmt::Debug for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditRecord")
            .field(&self.entry().as_json())
            .finish()
    }
}

/// A record as readers get it: one JSON object, in one line, kept by stores as it is.
///
/// ```
/// use coverbase_auth::audit::AuditEntry;
///
/// let entry = AuditEntry::from_json(r#"{"id":"018bcfe5-6800-7000-8000-000000000000"}"#)?;
/// assert_eq!(entry.as_json(), r#"{"id":"018bcfe5-6800-7000-8000-000000000000"}"#);
/// # Ok::<(), coverbase_auth::audit::InvalidAuditEntry>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry(Box<str>);

impl AuditEntry {
    /// The entry as a store has kept it.
    ///
    /// # Errors
    ///
    /// `json` is not an object of JSON.
    pub fn from_json(json: impl Into<String>) -> Result<Self, InvalidAuditEntry> {
        let json = json.into();
        let is_object = json.starts_with('{') && serde_json::from_str::<&RawValue>(&json).is_ok();
        if is_object {
            Ok(Self(json.into()))
        } else {
            Err(InvalidAuditEntry(()))
        }
    }

    /// The JSON text.
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

/// Not an object of JSON.
///
/// ```
/// use coverbase_auth::audit::{AuditEntry, InvalidAuditEntry};
///
/// let read: Result<AuditEntry, InvalidAuditEntry> = AuditEntry::from_json("[]");
/// assert_eq!(read.unwrap_err().to_string(), "an entry of the audit log is a JSON object");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the audit log is a JSON object")]
pub struct InvalidAuditEntry(());
