//! Request bodies. They are read strictly: a duplicate member name is an error at every depth. Unknown members are ignored.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::InvalidField;
use crate::json::{self, Object, Value};

/// The longest lifetime of a key, in seconds: a hundred years of 365 days (`C39`).
const MAX_LIFETIME: u64 = 3_153_600_000;

/// The body of `POST /v1/api-keys` (`C39`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CreateKey {
    /// The name, up to 200 characters. White space around it is removed.
    pub name: String,
    /// The lifetime in seconds, 1 to 3,153,600,000. Without it the key does not expire.
    pub seconds_until_expiration: Option<u64>,
    /// The names of the scopes to grant.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub scopes: Vec<String>,
}

impl CreateKey {
    /// Creates a request for a key without scopes that does not expire.
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

    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// The body does not fit the schema; the error names the first such member.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidField> {
        let mut members = object(body)?;
        let lifetime = |value: Value| lifetime(value, body);
        Ok(Self {
            name: required(&mut members, "name", string)?,
            seconds_until_expiration: optional(&mut members, "seconds_until_expiration", lifetime)?,
            scopes: optional(&mut members, "scopes", strings)?.unwrap_or_default(),
        })
    }
}

/// The body of `POST /v1/api-keys/{id}/revoke` (`C41`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct RevokeKey {
    /// The reason, for the audit log.
    pub reason: Option<String>,
}

impl RevokeKey {
    /// Reads a request body. An empty body is a request without a reason.
    ///
    /// # Errors
    ///
    /// The body does not fit the schema; the error names the first such member.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidField> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let reason = optional(&mut object(body)?, "reason", string)?;
        Ok(Self { reason })
    }
}

/// The body of `POST /v1/org/{id}` (`C42`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SetAllowlist {
    /// Networks in CIDR notation, or addresses. An empty list lifts the restriction.
    pub api_ip_allowlist: Vec<String>,
}

impl SetAllowlist {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// The body does not fit the schema; the error names the first such member.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidField> {
        let api_ip_allowlist = required(&mut object(body)?, "api_ip_allowlist", strings)?;
        Ok(Self { api_ip_allowlist })
    }
}

fn object(body: &[u8]) -> Result<Object, InvalidField> {
    if body.is_empty() {
        return Err(missing());
    }
    Ok(json::parse_object(body)?)
}

/// Reads a member that the schema requires.
fn required<T>(
    body: &mut Object,
    name: &'static str,
    read: impl FnOnce(Value) -> Result<T, InvalidField>,
) -> Result<T, InvalidField> {
    let value = body.remove(name).ok_or_else(missing);
    value.and_then(read).map_err(|error| error.inside(name))
}

/// Reads a member that may be absent. `null` counts as absent.
fn optional<T>(
    body: &mut Object,
    name: &'static str,
    read: impl FnOnce(Value) -> Result<T, InvalidField>,
) -> Result<Option<T>, InvalidField> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|error| error.inside(name)),
    }
}

fn missing() -> InvalidField {
    InvalidField::new("missing", "Field required")
}

fn string(value: Value) -> Result<String, InvalidField> {
    match value {
        Value::String(text) => Ok(text),
        _ => invalid("string_type", "Input should be a valid string"),
    }
}

fn strings(value: Value) -> Result<Vec<String>, InvalidField> {
    let Value::Array(items) = value else {
        return invalid("list_type", "Input should be a valid list");
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(position, item)| string(item).map_err(|error| error.inside(position)))
        .collect()
}

/// Reads a whole number of seconds, which may be written as `60.0` or `6e1`. `body` is the text that it was read from.
fn lifetime(value: Value, body: &[u8]) -> Result<u64, InvalidField> {
    let seconds = value.as_f64().filter(|seconds| seconds.fract() == 0.0);
    let Some(seconds) = seconds.filter(|_| is_written_whole(body)) else {
        return invalid("int_type", "Input should be a valid integer");
    };
    if seconds < 1.0 {
        let message = "Input should be greater than or equal to 1";
        return invalid("greater_than_equal", message);
    }
    if seconds > MAX_LIFETIME as f64 {
        let message = format!("Input should be less than or equal to {MAX_LIFETIME}");
        return invalid("less_than_equal", message);
    }
    // An `f64` represents each whole number between the bounds exactly.
    Ok(seconds as u64)
}

/// Returns whether the lifetime has no fraction in the text of the body. The number in memory may have been rounded.
fn is_written_whole(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Lifetime<'b> {
        #[serde(borrow)]
        seconds_until_expiration: &'b RawValue,
    }
    serde_json::from_slice(body).is_ok_and(|body: Lifetime<'_>| {
        let text = body.seconds_until_expiration.get();
        let (_, fraction) = text.split_once('.').unwrap_or_default();
        let digits = fraction.split(['e', 'E']).next().unwrap_or_default();
        digits.bytes().all(|digit| digit == b'0')
    })
}

fn invalid<T>(kind: &'static str, message: impl Into<String>) -> Result<T, InvalidField> {
    Err(InvalidField::new(kind, message))
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
    fn body_that_fits_is_read() {
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
    fn body_that_does_not_fit_is_rejected_with_its_field() {
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
    fn lifetime_is_a_whole_number_of_seconds_up_to_a_hundred_years() {
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
            "0.99999999999999999999",
            "1.00000000000000000001",
            "3153600000.0000000001",
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
