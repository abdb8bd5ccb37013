//! Queries of the audit log and their pages (`C43`).

#[cfg(any(feature = "postgres", feature = "redb"))]
use super::id::AuditRecordId;
use super::{
    event::AuditEventType,
    record::{AuditEntry, AuditRecord},
};
use crate::invalid_field::InvalidField;

/// The most records of one page.
const MAX_LIMIT: u64 = 500;

/// The longest search text, in characters.
const MAX_SEARCH_LEN: usize = 200;

/// The largest number that every store can compare with: PostgreSQL's integers are signed.
const MAX_INTEGER: u64 = i64::MAX as u64;

/// Selects records of an organization. A field that is empty or `None` selects every record.
///
/// ```
/// use coverbase_auth::audit::AuditQuery;
///
/// let query = AuditQuery::from_query_string("event_types=integration_added&search=ci&limit=20")?;
/// assert_eq!(query.event_types, ["integration_added"]);
/// assert_eq!(query.limit, 20);
/// # Ok::<(), coverbase_auth::key_admin::InvalidField>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditQuery {
    /// The first second of the window, in Unix seconds.
    pub start_ts: Option<u64>,
    /// The last second of the window, in Unix seconds. Records of that second are selected.
    pub end_ts: Option<u64>,
    /// Names of [groups](AuditEventType::group): selects records of any of them. An unknown name selects none.
    pub event_groups: Vec<String>,
    /// Names of [types](AuditEventType::as_str): selects records of any of them. An unknown name selects none.
    pub event_types: Vec<String>,
    /// A part of a record's [text](AuditRecord::search_text), in lower case.
    pub search: Option<String>,
    /// The most records of the page, 1 to 500. The default is 100.
    pub limit: u64,
    /// The number of selected records before the page.
    pub offset: u64,
}

impl Default for AuditQuery {
    /// Selects the newest hundred records.
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
    /// Reads the query of `GET /v1/system_audit_log`. `event_groups` and `event_types` can be repeated; the last value of
    /// any other parameter counts, and unknown parameters are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error for the first parameter with an invalid value.
    pub fn from_query_string(query: &str) -> Result<Self, InvalidField> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "start_ts" => read.start_ts = Some(integer("start_ts", &value, 0, MAX_INTEGER)?),
                "end_ts" => read.end_ts = Some(integer("end_ts", &value, 0, MAX_INTEGER)?),
                "limit" => read.limit = integer("limit", &value, 1, MAX_LIMIT)?,
                "offset" => read.offset = integer("offset", &value, 0, MAX_INTEGER)?,
                "event_groups" => read.event_groups.push(value.into_owned()),
                "event_types" => read.event_types.push(value.into_owned()),
                "search" => read.search = search(&value)?,
                _ => {}
            }
        }
        Ok(read)
    }

    /// Returns the types that both the groups and the types select, so that a store need not compare groups. If the result
    /// is empty, no record is selected.
    ///
    /// ```
    /// use coverbase_auth::audit::{AuditEventType, AuditQuery};
    ///
    /// let query = AuditQuery::from_query_string("event_types=external_api_call")?;
    /// assert_eq!(query.admitted_types(), [AuditEventType::ExternalApiCall]);
    /// assert_eq!(AuditQuery::default().admitted_types(), AuditEventType::ALL);
    /// # Ok::<(), coverbase_auth::key_admin::InvalidField>(())
    /// ```
    #[must_use]
    pub fn admitted_types(&self) -> Vec<AuditEventType> {
        let selects = |names: &[String], name| names.is_empty() || names.iter().any(|n| n == name);
        let types = AuditEventType::ALL.iter().copied();
        types
            .filter(|event_type| {
                selects(&self.event_groups, event_type.group())
                    && selects(&self.event_types, event_type.as_str())
            })
            .collect()
    }

    /// Returns the least and the greatest id of the records in the window. The first 48 of the 128 bits of an id are its
    /// millisecond, which suffices until the year 10889.
    #[cfg(any(feature = "postgres", feature = "redb"))]
    pub(super) fn ids(&self) -> (AuditRecordId, AuditRecordId) {
        let millis = |seconds: u64, rest| {
            let millis = seconds.saturating_mul(1000).saturating_add(rest);
            u128::from(millis.min((1 << 48) - 1)) << 80
        };
        let first = millis(self.start_ts.unwrap_or(0), 0);
        let last = millis(self.end_ts.unwrap_or(u64::MAX), 999) | ((1 << 80) - 1);
        let id = |bits: u128| AuditRecordId::from_bytes(bits.to_be_bytes());
        (id(first), id(last))
    }

    /// Returns whether `record` is selected, without regard to limit and offset.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        let created_at = record.created_at();
        self.start_ts.is_none_or(|start| created_at >= start)
            && self.end_ts.is_none_or(|end| created_at <= end)
            && self.admitted_types().contains(&record.event_type())
            && (self.search.as_ref()).is_none_or(|search| record.search_text().contains(search))
    }
}

/// A page of the audit log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditPage {
    /// The records of the page, newest first.
    pub entries: Vec<AuditEntry>,
    /// The number of selected records on all pages: the response's `X-Total-Count`.
    pub total: u64,
}

impl AuditPage {
    /// Makes a page, for implementations of [`AuditLog`](super::AuditLog).
    #[must_use]
    pub const fn new(entries: Vec<AuditEntry>, total: u64) -> Self {
        Self { entries, total }
    }

    /// Returns the response's `Content-Range` in the unit `items` (RFC 9110 §14.4): first and last position, or `*` for an
    /// empty page, and the total.
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

/// Reads a whole number from `min` to `max`.
fn integer(name: &'static str, value: &str, min: u64, max: u64) -> Result<u64, InvalidField> {
    let invalid = |kind, msg: &str| InvalidField::new(kind, msg).in_query(name);
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        return Err(invalid("int_parsing", msg));
    }
    // A number that is too large for the type is above every maximum.
    let magnitude = digits.parse().unwrap_or(u64::MAX);
    let is_negative = digits.len() < value.len() && magnitude > 0;
    if is_negative || magnitude < min {
        let msg = format!("Input should be greater than or equal to {min}");
        Err(invalid("greater_than_equal", &msg))
    } else if magnitude > max {
        let msg = format!("Input should be less than or equal to {max}");
        Err(invalid("less_than_equal", &msg))
    } else {
        Ok(magnitude)
    }
}

/// Reads the text to search for, in lower case and without surrounding white space. An empty text is none.
fn search(value: &str) -> Result<Option<String>, InvalidField> {
    InvalidField::check_text(value, MAX_SEARCH_LEN).map_err(|error| error.in_query("search"))?;
    let search = value.trim().to_lowercase();
    Ok(Some(search).filter(|search| !search.is_empty()))
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
    fn valid_query_is_read() {
        let query = "start_ts=1&end_ts=2&event_groups=integrations&event_types=integration_added\
                     &event_types=external_api_call&search=%20C+%C3%84%20&limit=500&offset=3&other=%ff";
        let expected = AuditQuery {
            start_ts: Some(1),
            end_ts: Some(2),
            event_groups: vec!["integrations".to_owned()],
            event_types: vec![
                "integration_added".to_owned(),
                "external_api_call".to_owned(),
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
    fn invalid_value_is_named_and_not_repeated() {
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
            ("limit=%2B7", r#"["query","limit"]"#, "int_parsing"),
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
    fn groups_and_types_select_together() {
        let admitted = |query| {
            AuditQuery::from_query_string(query)
                .unwrap()
                .admitted_types()
        };
        assert_eq!(admitted("event_groups=integrations"), AuditEventType::ALL);
        assert_eq!(
            admitted("event_groups=integrations&event_types=integration_added"),
            [AuditEventType::IntegrationAdded]
        );
        assert_eq!(
            admitted("event_types=quota_exceeded&event_types=integration_added"),
            [AuditEventType::IntegrationAdded]
        );
        for unknown in [
            "event_types=quota_exceeded",
            "event_groups=quotas",
            "event_groups=quotas&event_types=integration_added",
            "event_types=",
        ] {
            assert_eq!(admitted(unknown), [], "{unknown}");
        }
    }
}
