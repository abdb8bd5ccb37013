//! [`InvalidField`]: the error for a value that does not fit its schema, in FastAPI's shape (`C39`, `C43`).

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::json::JsonError;

/// A value of a request body or query that does not fit the schema. Serializes to one error of a FastAPI response: `loc`, `msg` and
/// `type`.
///
/// ```
/// use coverbase_auth::key_admin::CreateKey;
///
/// let error = CreateKey::from_json(b"{}").unwrap_err();
/// assert_eq!(error.to_string(), "body.name: Field required");
/// assert_eq!(serde_json::to_string(&error)?, r#"{"loc":["body","name"],"msg":"Field required","type":"missing"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidField {
    loc: Vec<Value>,
    msg: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl InvalidField {
    /// An error of the body itself.
    pub(crate) fn new(kind: &'static str, msg: impl Into<String>) -> Self {
        Self {
            loc: vec!["body".into()],
            msg: msg.into(),
            kind,
        }
    }

    /// The same error one step further inside: in a member of the body, or in an item of the list that the member is.
    pub(crate) fn inside(mut self, step: impl Into<Value>) -> Self {
        self.loc.insert(1, step.into());
        self
    }

    /// The same error in a parameter of the query. The message does not repeat its value.
    #[cfg(feature = "audit")]
    pub(crate) fn in_query(mut self, name: &str) -> Self {
        self.loc = vec!["query".into(), name.into()];
        self
    }

    /// Checks that `text` has at most `max` characters and does not contain U+0000, which PostgreSQL cannot store.
    pub(crate) fn check_text(text: &str, max: usize) -> Result<(), Self> {
        if text.chars().count() > max {
            let msg = format!("String should have at most {max} characters");
            return Err(Self::new("string_too_long", msg));
        }
        if text.contains('\0') {
            let msg = "String should not contain U+0000";
            return Err(Self::new("string_pattern_mismatch", msg));
        }
        Ok(())
    }
}

impl From<JsonError> for InvalidField {
    fn from(error: JsonError) -> Self {
        Self::new("json_invalid", format!("JSON decode error: {error}"))
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.loc.iter().enumerate() {
            match step.as_str() {
                Some(root) if depth == 0 => f.write_str(root)?,
                Some(name) => write!(f, ".{name}")?,
                None => write!(f, "[{step}]")?,
            }
        }
        write!(f, ": {}", self.msg)
    }
}

impl std::error::Error for InvalidField {}
