//! What a request presents: the `Authorization` header, read byte by byte.

use http::{HeaderMap, header::AUTHORIZATION};

use crate::credential::{MAX_TOKEN_LEN, PREFIX, is_token68};

/// The credential that a request presents, not yet checked.
///
/// ```
/// use coverbase_auth::Credential;
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer ak_live_example"));
/// assert!(matches!(Credential::from_headers(&headers), Ok(Credential::ApiKey(_))));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// `ak_…`: a service-account key (`C4`).
    ApiKey(&'a [u8]),
    /// A token with a dot in it: a session JWT (`C4`).
    Jwt(&'a str),
    /// Neither: answered as an unknown key is (`C4`).
    Unrecognized,
}

impl<'a> Credential<'a> {
    /// Reads the one `Authorization: Bearer` header (`C1`–`C4`, RFC 6750 §2.1). Query strings and cookies are never
    /// read.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Missing`] and [`CredentialError::Malformed`] as `C3` tells them apart.
    #[inline]
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, CredentialError> {
        Self::from_token(presented(headers)?)
    }

    /// Reads what has been [`presented`].
    #[inline]
    pub(crate) fn from_token(token: &'a [u8]) -> Result<Self, CredentialError> {
        if token.len() > MAX_TOKEN_LEN || !is_token68(token) {
            return Err(CredentialError::Malformed);
        }
        if token.starts_with(PREFIX.as_bytes()) {
            return Ok(Self::ApiKey(token));
        }
        Ok(match str::from_utf8(token) {
            Ok(token) if token.contains('.') => Self::Jwt(token),
            Ok(_) | Err(_) => Self::Unrecognized,
        })
    }
}

/// The token in the one `Authorization: Bearer` header, of which nobody has looked at a character yet.
fn presented(headers: &HeaderMap) -> Result<&[u8], CredentialError> {
    if is_repeated(headers) {
        return Err(CredentialError::Malformed);
    }
    let value = headers.get(AUTHORIZATION).ok_or(CredentialError::Missing)?;
    bearer_token(value.as_bytes()).ok_or(CredentialError::Missing)
}

/// Marks every `Authorization` header sensitive, so that no log shows it (`C33`).
pub(crate) fn mark_sensitive(headers: &mut HeaderMap) {
    if !is_repeated(headers) {
        if let Some(credential) = headers.get_mut(AUTHORIZATION) {
            credential.set_sensitive(true);
        }
        return;
    }
    for (name, credential) in headers.iter_mut() {
        if *name == AUTHORIZATION {
            credential.set_sensitive(true);
        }
    }
}

/// Whether there are several `Authorization` headers. In most requests no header is repeated, which can be told by two
/// numbers.
#[inline]
fn is_repeated(headers: &HeaderMap) -> bool {
    headers.keys_len() != headers.len() && headers.get_all(AUTHORIZATION).iter().nth(1).is_some()
}

/// Which kind it is, and nothing of it (`C33`).
impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(..)",
            Self::Jwt(_) => "Jwt(..)",
            Self::Unrecognized => "Unrecognized",
        })
    }
}

/// The kind of credential that a request presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    Missing,
    ApiKey,
    SessionToken,
    Unrecognized,
}

#[cfg(feature = "metrics")]
impl CredentialKind {
    /// Returns the name in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "none",
            Self::ApiKey => "api_key",
            Self::SessionToken => "session_token",
            Self::Unrecognized => "unrecognized",
        }
    }
}

/// Why a request presents no credential that could be checked (`C3`).
///
/// ```
/// use coverbase_auth::{Credential, CredentialError};
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(Credential::from_headers(&headers), Err(CredentialError::Missing));
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer two words"));
/// assert_eq!(Credential::from_headers(&headers), Err(CredentialError::Malformed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// No `Authorization` header, another scheme, or an empty token.
    #[error("no bearer credential")]
    Missing,
    /// Several `Authorization` headers, bytes that no token has, or more than 8 KiB.
    #[error("malformed bearer credential")]
    Malformed,
}

/// What follows `Bearer` and one space or more; the scheme's case does not matter (`C2`, RFC 9110 §11.1).
#[inline]
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.trim_ascii().split_at_checked("Bearer".len())?;
    let mut token = rest.strip_prefix(b" ")?;
    while let [b' ', rest @ ..] = token {
        token = rest;
    }
    // As nearly everybody writes it, which is one comparison, or in another case.
    let is_bearer = scheme == b"Bearer" || scheme.eq_ignore_ascii_case(b"bearer");
    (is_bearer && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<String, CredentialError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        Ok(match Credential::from_headers(&headers)? {
            Credential::ApiKey(key) => format!("key {}", str::from_utf8(key).unwrap()),
            Credential::Jwt(token) => format!("jwt {token}"),
            Credential::Unrecognized => "unrecognized".to_owned(),
        })
    }

    // C2
    #[test]
    fn the_scheme_is_read_in_any_case_and_spaces_are_skipped() {
        for value in [
            "Bearer ak_x",
            "bearer ak_x",
            "BEARER ak_x",
            "bEaReR    ak_x",
            " Bearer ak_x \t",
        ] {
            assert_eq!(
                read(&[value.as_bytes()]),
                Ok("key ak_x".to_owned()),
                "{value:?}"
            );
        }
    }

    // C3
    #[test]
    fn what_is_not_bearer_is_missing() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearerak_x",
            "ak_x",
            "Basic ak_x",
            "XBearer ak_x",
            "Bearer\tak_x",
        ] {
            assert_eq!(
                read(&[value.as_bytes()]),
                Err(CredentialError::Missing),
                "{value:?}"
            );
        }
        assert_eq!(read(&[]), Err(CredentialError::Missing));
    }

    // C3
    #[test]
    fn what_no_token_holds_is_malformed() {
        for value in [
            &b"Bearer ak_x y"[..],
            b"Bearer ak_x,ak_y",
            b"Bearer \"ak_x\"",
            b"Bearer ak_\xe9",
            b"Bearer =",
            b"Bearer ak_%20",
            b"Bearer \tak_x",
        ] {
            assert_eq!(read(&[value]), Err(CredentialError::Malformed), "{value:?}");
        }
        assert_eq!(
            read(&[b"Bearer ak_x", b"Bearer ak_x"]),
            Err(CredentialError::Malformed)
        );
        assert_eq!(
            read(&[b"Bearer ak_x", b"Basic y"]),
            Err(CredentialError::Malformed)
        );
    }

    // C3
    #[test]
    fn eight_kibibytes_are_the_limit() {
        let of = |len: usize| format!("Bearer ak_{}", "x".repeat(len - 3)).into_bytes();
        assert!(read(&[&of(8 * 1024)]).is_ok());
        assert_eq!(read(&[&of(8 * 1024 + 1)]), Err(CredentialError::Malformed));
    }

    // C4
    #[test]
    fn the_two_kinds_are_told_apart_by_how_they_begin() {
        for (token, kind) in [
            ("ak_live_a.b.c", "key ak_live_a.b.c"),
            ("a.b.c", "jwt a.b.c"),
            ("a.", "jwt a."),
            ("ak", "unrecognized"),
            ("sk_live_x", "unrecognized"),
            ("AK_live_x", "unrecognized"),
        ] {
            assert_eq!(
                read(&[format!("Bearer {token}").as_bytes()]),
                Ok(kind.to_owned())
            );
        }
    }
}
