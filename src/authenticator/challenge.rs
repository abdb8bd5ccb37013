//! The `WWW-Authenticate` value that tells a client what it lacks.

use http::HeaderValue;

use crate::principal::Scopes;

/// RFC 6750 §3: a request without a credential is told the scheme and nothing else.
const PLAIN: HeaderValue = HeaderValue::from_static(r#"Bearer realm="coverbase""#);

const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="coverbase", error="invalid_token""#);

/// What a 401 or an `insufficient_scope` asks the client for (`C30`, RFC 6750 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Present a credential.
    Plain,
    /// The presented one is expired, revoked, malformed or unknown.
    InvalidToken,
    /// The presented one is good, and not enough.
    InsufficientScope,
}

impl Challenge {
    pub(crate) fn header(self, required: &Scopes) -> HeaderValue {
        match self {
            Self::Plain => PLAIN,
            Self::InvalidToken => INVALID_TOKEN,
            Self::InsufficientScope => insufficient_scope(required),
        }
    }
}

fn insufficient_scope(required: &Scopes) -> HeaderValue {
    const ERROR: &str = r#"Bearer realm="coverbase", error="insufficient_scope""#;
    const SCOPE: &str = r#", scope=""#;

    // As long as it will be, so that it is not copied again.
    let scopes_len: usize = required.iter().map(|scope| scope.as_str().len() + 1).sum();
    let mut value = String::with_capacity(ERROR.len() + SCOPE.len() + scopes_len);
    value.push_str(ERROR);
    let mut before = SCOPE;
    for scope in required.iter() {
        value.push_str(before);
        value.push_str(scope.as_str());
        before = " ";
    }
    if !required.is_empty() {
        value.push('"');
    }
    // The grammar of a scope leaves out all that a header or a quoted string could not hold.
    HeaderValue::try_from(value).unwrap_or(PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::Scope;

    // C30, RFC 6750 §3
    #[test]
    fn the_scope_that_was_required_is_named() {
        let header = |scopes: Scopes| Challenge::InsufficientScope.header(&scopes);
        assert_eq!(
            header([Scope::KEYS_MANAGE].into()),
            r#"Bearer realm="coverbase", error="insufficient_scope", scope="keys:manage""#
        );
        assert_eq!(
            header([Scope::from_static("a:b"), Scope::AUDIT_READ].into()),
            r#"Bearer realm="coverbase", error="insufficient_scope", scope="audit:read a:b""#
        );
        assert_eq!(
            header(Scopes::new()),
            r#"Bearer realm="coverbase", error="insufficient_scope""#
        );
    }
}
