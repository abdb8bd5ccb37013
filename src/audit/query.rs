//! What a reader of the log asks for, and what it gets (`C43`).

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    event::{AuditEventGroup, AuditEventType},
    record::{AuditEntry, AuditRecord},
};

/// The most records of one page.
const MAX_LIMIT: u64 = 500;

const MAX_SEARCH_LEN: usize = 200;

/// The largest number that every store can compare with: PostgreSQL's are signed.
const MAX_INTEGER: u64 = i64::MAX as u64;

/// Which records of an organization are wanted. What is empty or `None` selects nothing away.
///
/// ```
/// use coverbase_auth::audit::{AuditEventType, AuditQuery};
///
/// let query = AuditQuery::from_query_string("event_types=integration_added&search=ci&limit=20")?;
/// assert_eq!(query.event_types, [AuditEventType::IntegrationAdded]);
/// assert_eq!(query.limit, 20);
/// # Ok::<(), coverbase_auth::audit::InvalidParameter>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditQuery {
    /// The first second of the window, in Unix seconds.
    pub start_ts: Option<u64>,
    /// The last second of the window, in Unix seconds: records of that second are in it.
    pub end_ts: Option<u64>,
    /// Any of these groups.
    pub event_groups: Vec<AuditEventGroup>,
    /// Any of these types. Where groups are named too, both must fit.
    pub event_types: Vec<AuditEventType>,
    /// Part of a record's [text](AuditRecord::search_text), in lower case.
    pub search: Option<String>,
    /// The most records of the page, 1 to 500.
    pub limit: u64,
    /// How many records of those that match come before the page.
    pub offset: u64,
}

impl Default for AuditQuery {
    /// The newest hundred.
    fn default() -> Self {
        Self {
            start_ts: None,
            end_ts: None,
            event_groups: Vec::new(),
            event_types: Vec::new(),
            search: None,
            limit: 100,
            offset: 0,
        }
    }
}

impl AuditQuery {
    /// Reads the query of `GET /v1/system_audit_log`. `event_groups` and `event_types` may be repeated; of the others the
    /// last one counts, and names that are not the contract's are passed over.
    ///
    /// # Errors
    ///
    /// The first parameter that does not fit.
    pub fn from_query_string(query: &str) -> Result<Self, InvalidParameter> {
        let mut read = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (form_decoded(name), form_decoded(value));
            match &*name {
                "start_ts" => read.start_ts = Some(integer("start_ts", &value, 0, MAX_INTEGER)?),
                "end_ts" => read.end_ts = Some(integer("end_ts", &value, 0, MAX_INTEGER)?),
                "limit" => read.limit = integer("limit", &value, 1, MAX_LIMIT)?,
                "offset" => read.offset = integer("offset", &value, 0, MAX_INTEGER)?,
                "event_groups" => push_named(
                    "event_groups",
                    &mut read.event_groups,
                    AuditEventGroup::ALL,
                    AuditEventGroup::as_str,
                    &value,
                )?,
                "event_types" => push_named(
                    "event_types",
                    &mut read.event_types,
                    AuditEventType::ALL,
                    AuditEventType::as_str,
                    &value,
                )?,
                "search" => read.search = search(&value)?,
                _ => {}
            }
        }
        Ok(read)
    }

    /// The types that the groups and types together admit; a store need not look at groups. Empty: none at all.
    ///
    /// ```
    /// use coverbase_auth::audit::{AuditEventType, AuditQuery};
    ///
    /// let query = AuditQuery::from_query_string("event_groups=external_api")?;
    /// assert_eq!(query.admitted_types(), [AuditEventType::ExternalApiCall]);
    /// assert_eq!(AuditQuery::default().admitted_types(), AuditEventType::ALL);
    /// # Ok::<(), coverbase_auth::audit::InvalidParameter>(())
    /// ```
    #[must_use]
    pub fn admitted_types(&self) -> Vec<AuditEventType> {
        let types = AuditEventType::ALL.iter().copied();
        types
            .filter(|event_type| {
                let groups = &self.event_groups;
                let in_groups = groups.is_empty() || groups.contains(&event_type.group());
                let types = &self.event_types;
                in_groups && (types.is_empty() || types.contains(event_type))
            })
            .collect()
    }

    /// Whether `record` is among those that are wanted, limit and offset aside; for logs that look at each one.
    ///
    /// ```
    /// use coverbase_auth::audit::{AuditQuery, AuditRecord};
    ///
    /// fn newest<'r>(records: &'r [AuditRecord], query: &AuditQuery) -> Option<&'r AuditRecord> {
    ///     let wanted = records.iter().filter(|record| query.matches(record));
    ///     wanted.max_by_key(|record| record.id())
    /// }
    /// ```
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        let created_at = record.created_at();
        self.start_ts.is_none_or(|start| created_at >= start)
            && self.end_ts.is_none_or(|end| created_at <= end)
            && self.admitted_types().contains(&record.event_type())
            && self
                .search
                .as_ref()
                .is_none_or(|search| record.search_text().contains(search))
    }
}

/// A page of the log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditPage {
    /// The page's records, newest first.
    pub entries: Vec<AuditEntry>,
    /// How many records match, on all pages together: the answer's `X-Total-Count`.
    pub total: u64,
}

impl AuditPage {
    /// For those who implement an [`AuditLog`](super::AuditLog).
    #[must_use]
    pub const fn new(entries: Vec<AuditEntry>, total: u64) -> Self {
        Self { entries, total }
    }

    /// The answer's `Content-Range`, in the unit `items` (RFC 9110 §14.4): first and last position and the total, or `*` for
    /// a page without records.
    ///
    /// ```
    /// use coverbase_auth::audit::AuditPage;
    ///
    /// assert_eq!(AuditPage::new(Vec::new(), 7).content_range(100), "items */7");
    /// ```
    #[must_use]
    pub fn content_range(&self, offset: u64) -> String {
        let total = self.total;
        match self.entries.len() as u64 {
            0 => format!("items */{total}"),
            n => format!("items {offset}-{}/{total}", offset.saturating_add(n - 1)),
        }
    }
}

/// A parameter that does not fit, as FastAPI says it: where, what, and a type to switch on. It never repeats the value.
///
/// ```
/// use coverbase_auth::audit::AuditQuery;
///
/// let error = AuditQuery::from_query_string("limit=501").unwrap_err();
/// assert_eq!(
///     serde_json::to_string(&error)?,
///     r#"{"loc":["query","limit"],"msg":"Input should be less than or equal to 500","type":"less_than_equal"}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("query.{name}: {message}")]
pub struct InvalidParameter {
    name: &'static str,
    /// Which of several of that name.
    position: Option<usize>,
    kind: &'static str,
    message: String,
}

impl Serialize for InvalidParameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_map(Some(3))?;
        match self.position {
            None => error.serialize_entry("loc", &("query", self.name))?,
            Some(position) => error.serialize_entry("loc", &("query", self.name, position))?,
        }
        error.serialize_entry("msg", &self.message)?;
        error.serialize_entry("type", self.kind)?;
        error.end()
    }
}

/// A whole number from `least` to `most`; one that is too large for the type is above `most`.
fn integer(
    name: &'static str,
    value: &str,
    least: u64,
    most: u64,
) -> Result<u64, InvalidParameter> {
    let error = |kind, message| InvalidParameter {
        name,
        position: None,
        kind,
        message,
    };
    let (is_negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message =
            "Input should be a valid integer, unable to parse string as an integer".to_owned();
        return Err(error("int_parsing", message));
    }
    let magnitude = digits.parse().unwrap_or(u64::MAX);
    let number = if is_negative && magnitude > 0 {
        None
    } else {
        Some(magnitude)
    };
    match number {
        Some(number) if number > most => {
            let message = format!("Input should be less than or equal to {most}");
            Err(error("less_than_equal", message))
        }
        Some(number) if number >= least => Ok(number),
        Some(_) | None => {
            let message = format!("Input should be greater than or equal to {least}");
            Err(error("greater_than_equal", message))
        }
    }
}

/// Adds the one of `all` that `value` names.
fn push_named<T: Copy>(
    name: &'static str,
    read: &mut Vec<T>,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
    value: &str,
) -> Result<(), InvalidParameter> {
    let named = all.iter().copied().find(|each| as_str(*each) == value);
    let named = named.ok_or_else(|| {
        let names: Vec<_> = all
            .iter()
            .map(|each| format!("'{}'", as_str(*each)))
            .collect();
        InvalidParameter {
            name,
            position: Some(read.len()),
            kind: "enum",
            message: format!("Input should be one of {}", names.join(", ")),
        }
    })?;
    read.push(named);
    Ok(())
}

fn search(value: &str) -> Result<Option<String>, InvalidParameter> {
    if value.chars().count() > MAX_SEARCH_LEN {
        return Err(InvalidParameter {
            name: "search",
            position: None,
            kind: "string_too_long",
            message: format!("String should have at most {MAX_SEARCH_LEN} characters"),
        });
    }
    // PostgreSQL compares with no text that has a NUL in it, and no record has one.
    if value.contains('\0') {
        return Err(InvalidParameter {
            name: "search",
            position: None,
            kind: "string_pattern_mismatch",
            message: "String should not contain U+0000".to_owned(),
        });
    }
    let search = value.trim().to_lowercase();
    Ok(Some(search).filter(|search| !search.is_empty()))
}

/// A name or a value of `application/x-www-form-urlencoded`.
fn form_decoded(text: &str) -> Cow<'_, str> {
    let text = text.replace('+', " ");
    let decoded = percent_decode(text.as_bytes()).decode_utf8_lossy();
    Cow::Owned(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(query: &str) -> String {
        let error = AuditQuery::from_query_string(query).unwrap_err();
        serde_json::to_string(&error).unwrap()
    }

    // C43
    #[test]
    fn a_query_that_fits_is_read() {
        let query = "start_ts=1&end_ts=2&event_groups=integrations&event_types=integration_added\
                     &event_types=external_api_call&search=%20C+%C3%84%20&limit=500&offset=3&other=%ff";
        let expected = AuditQuery {
            start_ts: Some(1),
            end_ts: Some(2),
            event_groups: vec![AuditEventGroup::Integrations],
            event_types: vec![
                AuditEventType::IntegrationAdded,
                AuditEventType::ExternalApiCall,
            ],
            search: Some("c ä".to_owned()),
            limit: 500,
            offset: 3,
        };
        assert_eq!(AuditQuery::from_query_string(query), Ok(expected));
        assert_eq!(AuditQuery::from_query_string(""), Ok(AuditQuery::default()));
        let last = AuditQuery::from_query_string("limit=1&limit=2&search=").unwrap();
        assert_eq!((last.limit, last.search), (2, None));
    }

    // C43
    #[test]
    fn what_does_not_fit_is_named_and_not_repeated() {
        for (query, loc, kind) in [
            ("limit=0", r#"["query","limit"]"#, "greater_than_equal"),
            ("limit=-1", r#"["query","limit"]"#, "greater_than_equal"),
            ("limit=501", r#"["query","limit"]"#, "less_than_equal"),
            (
                "limit=99999999999999999999",
                r#"["query","limit"]"#,
                "less_than_equal",
            ),
            (
                "offset=9223372036854775808",
                r#"["query","offset"]"#,
                "less_than_equal",
            ),
            ("limit=", r#"["query","limit"]"#, "int_parsing"),
            ("limit=1e2", r#"["query","limit"]"#, "int_parsing"),
            ("limit=+7", r#"["query","limit"]"#, "int_parsing"),
            ("offset=-1", r#"["query","offset"]"#, "greater_than_equal"),
            ("start_ts=ZZZ", r#"["query","start_ts"]"#, "int_parsing"),
            ("end_ts=1.5", r#"["query","end_ts"]"#, "int_parsing"),
            ("event_types=ZZZ", r#"["query","event_types",0]"#, "enum"),
            (
                "event_groups=integrations&event_groups=ZZZ",
                r#"["query","event_groups",1]"#,
                "enum",
            ),
            (
                "search=a%00",
                r#"["query","search"]"#,
                "string_pattern_mismatch",
            ),
        ] {
            let error = error_of(query);
            assert!(
                error.starts_with(&format!(r#"{{"loc":{loc},"msg":""#)),
                "{query}: {error}"
            );
            assert!(
                error.ends_with(&format!(r#","type":"{kind}"}}"#)),
                "{query}: {error}"
            );
            assert!(!error.contains("ZZZ"), "{error}");
        }
        assert!(error_of(&format!("search={}", "x".repeat(201))).contains("string_too_long"));
        assert!(AuditQuery::from_query_string(&format!("search={}", "x".repeat(200))).is_ok());
    }

    // C43
    #[test]
    fn groups_and_types_narrow_one_another() {
        let admitted = |query| {
            AuditQuery::from_query_string(query)
                .unwrap()
                .admitted_types()
        };
        assert_eq!(admitted("event_groups=integrations").len(), 3);
        assert_eq!(
            admitted("event_groups=integrations&event_types=integration_added"),
            [AuditEventType::IntegrationAdded]
        );
        assert_eq!(
            admitted("event_groups=integrations&event_types=external_api_call"),
            []
        );
    }
}
