//! What clients send, read strictly: a name that occurs twice is refused, and what the schema does not name is ignored.

use super::error::InvalidField;
use crate::json::{self, Number, Object, Value};

/// The longest lifetime of a key, in seconds: a hundred years of 365 days (`C39`).
const MAX_LIFETIME: u64 = 3_153_600_000;

/// `POST /v1/api-keys` (`C39`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateKey {
    /// What its owner calls it, not yet trimmed.
    pub name: String,
    /// Its lifetime in seconds; `None`: it does not expire.
    pub seconds_until_expiration: Option<u64>,
    /// The names of the scopes to be granted.
    pub scopes: Vec<String>,
}

impl CreateKey {
    /// A key without scopes that does not expire.
    ///
    /// ```
    /// use coverbase_auth::key_admin::CreateKey;
    ///
    /// let mut request = CreateKey::new("ci");
    /// request.seconds_until_expiration = Some(90 * 24 * 60 * 60);
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Reads a request's body.
    ///
    /// ```
    /// use coverbase_auth::key_admin::CreateKey;
    ///
    /// let request = CreateKey::from_json(br#"{"name": "ci", "scopes": ["audit:read"]}"#)?;
    /// assert_eq!(request.scopes, ["audit:read"]);
    /// # Ok::<(), coverbase_auth::key_admin::InvalidField>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first field that does not fit the schema.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidField> {
        let mut body = object(body)?;
        let name = body.remove("name").ok_or_else(InvalidField::missing);
        let lifetime = body.remove("seconds_until_expiration");
        let scopes = body.remove("scopes");
        Ok(Self {
            name: name.and_then(string).map_err(|error| error.field("name"))?,
            seconds_until_expiration: given(lifetime)
                .map(lifetime_seconds)
                .transpose()
                .map_err(|error| error.field("seconds_until_expiration"))?,
            scopes: given(scopes)
                .map(strings)
                .transpose()
                .map_err(|error| error.field("scopes"))?
                .unwrap_or_default(),
        })
    }
}

/// `POST /v1/api-keys/{id}/revoke` (`C41`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevokeKey {
    /// Why, for the audit log.
    pub reason: Option<String>,
}

impl RevokeKey {
    /// Reads a request's body, which may be empty.
    ///
    /// ```
    /// use coverbase_auth::key_admin::RevokeKey;
    ///
    /// assert_eq!(RevokeKey::from_json(b"")?.reason, None);
    /// assert_eq!(RevokeKey::from_json(br#"{"reason": "leaked"}"#)?.reason.as_deref(), Some("leaked"));
    /// # Ok::<(), coverbase_auth::key_admin::InvalidField>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first field that does not fit the schema.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidField> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let reason = given(object(body)?.remove("reason")).map(string);
        let reason = reason.transpose().map_err(|error| error.field("reason"))?;
        Ok(Self { reason })
    }
}

/// `POST /v1/org/{id}` (`C42`).
///
/// ```
/// use coverbase_auth::key_admin::SetAllowlist;
///
/// let request = SetAllowlist::from_json(br#"{"api_ip_allowlist": ["192.0.2.0/24"]}"#)?;
/// assert_eq!(request.api_ip_allowlist, ["192.0.2.0/24"]);
/// # Ok::<(), coverbase_auth::key_admin::InvalidField>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAllowlist {
    /// The CIDRs as the client wrote them.
    pub api_ip_allowlist: Vec<String>,
}

impl SetAllowlist {
    /// Reads a request's body.
    ///
    /// # Errors
    ///
    /// The first field that does not fit the schema.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidField> {
        let entries = object(body)?.remove("api_ip_allowlist");
        let entries = entries.ok_or_else(InvalidField::missing).and_then(strings);
        Ok(Self {
            api_ip_allowlist: entries.map_err(|error| error.field("api_ip_allowlist"))?,
        })
    }
}

fn object(body: &[u8]) -> Result<Object<'_>, InvalidField> {
    if body.is_empty() {
        return Err(InvalidField::missing());
    }
    Ok(json::parse_object(body)?)
}

/// An optional field that is `null` is one that is not there.
fn given(field: Option<Value<'_>>) -> Option<Value<'_>> {
    field.filter(|value| !matches!(value, Value::Null))
}

fn string(value: Value<'_>) -> Result<String, InvalidField> {
    match value {
        Value::String(text) => Ok(text.into_owned()),
        _ => Err(InvalidField::not_a_string()),
    }
}

fn strings(value: Value<'_>) -> Result<Vec<String>, InvalidField> {
    let Value::Array(items) = value else {
        return Err(InvalidField::not_a_list());
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(position, item)| string(item).map_err(|error| error.item(position)))
        .collect()
}

/// A whole number, also written `60.0`, from 1 to a hundred years.
fn lifetime_seconds(value: Value<'_>) -> Result<u64, InvalidField> {
    let seconds = value.as_number().and_then(Number::as_whole);
    let seconds = seconds.ok_or_else(InvalidField::not_an_integer)?;
    if seconds < 1.0 {
        return Err(InvalidField::below(1));
    }
    if seconds > MAX_LIFETIME as f64 {
        return Err(InvalidField::above(MAX_LIFETIME));
    }
    // Between the bounds every whole number is exact.
    Ok(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(body: &str) -> String {
        CreateKey::from_json(body.as_bytes())
            .unwrap_err()
            .to_string()
    }

    // C39
    #[test]
    fn a_body_that_fits_is_read() {
        let body = br#"{"name":"ci","seconds_until_expiration":60,"scopes":["a","b"],"org_id":"org_other"}"#;
        let expected = CreateKey {
            name: "ci".to_owned(),
            seconds_until_expiration: Some(60),
            scopes: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(CreateKey::from_json(body), Ok(expected));
        let absent = br#"{"name":"ci","seconds_until_expiration":null,"scopes":null}"#;
        assert_eq!(CreateKey::from_json(absent), Ok(CreateKey::new("ci")));
    }

    // C39
    #[test]
    fn what_does_not_fit_is_named() {
        for (body, expected) in [
            ("", "body: Field required"),
            ("{", "body: JSON decode error: not a JSON object"),
            ("[]", "body: JSON decode error: not a JSON object"),
            (
                r#"{"name":"a","name":"b"}"#,
                "body: JSON decode error: a name occurs twice in one JSON object",
            ),
            ("{}", "body.name: Field required"),
            (
                r#"{"name":null}"#,
                "body.name: Input should be a valid string",
            ),
            (
                r#"{"name":"a","scopes":"b"}"#,
                "body.scopes: Input should be a valid list",
            ),
            (
                r#"{"name":"a","scopes":["b",null]}"#,
                "body.scopes[1]: Input should be a valid string",
            ),
        ] {
            assert_eq!(error_of(body), expected);
        }
    }

    // C39
    #[test]
    fn a_lifetime_is_a_whole_number_within_a_hundred_years() {
        let with =
            |lifetime: &str| format!(r#"{{"name":"a","seconds_until_expiration":{lifetime}}}"#);
        for (lifetime, seconds) in [
            ("1", 1),
            ("60.0", 60),
            ("60.00000000000000000000", 60),
            ("6e1", 60),
            ("3153600000", MAX_LIFETIME),
        ] {
            let request = CreateKey::from_json(with(lifetime).as_bytes()).unwrap();
            assert_eq!(request.seconds_until_expiration, Some(seconds));
        }
        for bad in [
            "0",
            "-1",
            "1.5",
            "3153600001",
            "99999999999999999999",
            "1e300",
            "\"60\"",
            "true",
            "[]",
        ] {
            assert!(
                error_of(&with(bad)).starts_with("body.seconds_until_expiration: "),
                "{bad}"
            );
        }
    }
}
