//! The `Authorization` header of a request.

use std::fmt;

use http::{HeaderMap, header::AUTHORIZATION};
use subtle::ConstantTimeEq;

use super::{key_format::PREFIX, token68::is_bearer_token};

/// The credential that a request presents, before it is checked.
///
/// Compares in constant time, and `Debug` prints only the kind (`C33`).
///
/// ```
/// use coverbase_auth::Credential;
/// use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer ak_live_example"));
/// assert!(matches!(Credential::from_headers(&headers), Ok(Credential::ApiKey(_))));
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Credential<'a> {
    /// A service-account key: a token that begins with `ak_` (`C4`).
    ApiKey(&'a [u8]),
    /// A session JWT: any other token with a dot (`C4`).
    Jwt(&'a str),
    /// Any other token, which is rejected as an unknown key (`C4`).
    Unrecognized,
}

impl<'a> Credential<'a> {
    /// Reads the one `Authorization: Bearer` header (`C1`–`C4`, RFC 6750 §2.1). Query strings and cookies are never
    /// read.
    ///
    /// # Errors
    ///
    /// Returns [`CredentialError::Missing`] or [`CredentialError::Malformed`] as `C3` defines them.
    pub fn from_headers(headers: &'a HeaderMap) -> Result<Self, CredentialError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(CredentialError::Missing)?;
        if values.next().is_some() {
            return Err(CredentialError::Malformed);
        }
        let token = bearer_token(value.as_bytes())?;
        if !is_bearer_token(token) {
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

impl PartialEq for Credential<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ApiKey(key), Self::ApiKey(other)) => key.ct_eq(other).into(),
            (Self::Jwt(token), Self::Jwt(other)) => token.as_bytes().ct_eq(other.as_bytes()).into(),
            (Self::Unrecognized, Self::Unrecognized) => true,
            _ => false,
        }
    }
}

impl Eq for Credential<'_> {}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(..)",
            Self::Jwt(_) => "Jwt(..)",
            Self::Unrecognized => "Unrecognized",
        })
    }
}

/// Why a request has no credential that can be checked (`C3`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// No `Authorization` header, another scheme, or an empty token.
    #[error("no bearer credential")]
    Missing,
    /// Several `Authorization` headers, a byte that no token has, or more than 8 KiB.
    #[error("malformed bearer credential")]
    Malformed,
}

/// Marks every `Authorization` header sensitive, so that no log shows it (`C33`).
pub(crate) fn mark_sensitive(headers: &mut HeaderMap) {
    for (name, credential) in headers.iter_mut() {
        if *name == AUTHORIZATION {
            credential.set_sensitive(true);
        }
    }
}

/// Returns what follows `Bearer`, in any case, and one or more spaces (`C2`, RFC 9110 §11.1).
fn bearer_token(value: &[u8]) -> Result<&[u8], CredentialError> {
    let parts = value.trim_ascii().split_at_checked("Bearer".len());
    let (scheme, rest) = parts.ok_or(CredentialError::Missing)?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let (_, token) = rest.split_at(spaces);
    if scheme.eq_ignore_ascii_case(b"bearer") && spaces > 0 && !token.is_empty() {
        Ok(token)
    } else {
        Err(CredentialError::Missing)
    }
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
    fn scheme_is_read_in_any_case_and_before_any_number_of_spaces() {
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
    fn value_without_a_bearer_token_is_missing() {
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
    fn byte_outside_token68_and_repeated_header_are_malformed() {
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
    fn token_over_8_kib_is_malformed() {
        let of = |len: usize| format!("Bearer ak_{}", "x".repeat(len - 3)).into_bytes();
        assert!(read(&[&of(8 * 1024)]).is_ok());
        assert_eq!(read(&[&of(8 * 1024 + 1)]), Err(CredentialError::Malformed));
    }

    // C4
    #[test]
    fn prefix_makes_a_key_and_a_dot_a_jwt() {
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
