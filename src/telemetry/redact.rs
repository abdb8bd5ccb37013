//! Redaction of credentials that a client sent in the wrong place: in a path, a parameter name, an id or a reason (`C33`).
//!
//! # The rule
//!
//! A text is split into runs of `token68` characters. A run is replaced by `[redacted]` from the first of these on, to its end:
//!
//! - `ak_` with at least 33 characters after it: every secret that this crate mints, and most secrets of other issuers.
//!   Public ids are shorter: `ak_` and 22 characters from this crate, at most 32 from other issuers.
//! - `ak_live_` or `ak_test_` that no letter or digit precedes: a shorter secret, or a part of one.
//! - `eyJ` with at least two dots after it: a JWT.
//!
//! In a path each segment is percent-decoded once and redacted whole.
//!
//! # Limits
//!
//! A secret of another issuer that names no environment is shown if it is as short as an id. If such a secret contains
//! slashes and stands in a path, its part before the first slash follows the rule and its other parts are shown. A secret
//! that is encoded in another way (percent-encoded twice, base64) is shown. Long names with `ak_` in them are redacted
//! although they are no secrets.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::credential::{Environment, PREFIX, is_token68_char};

const REDACTED: &str = "[redacted]";

/// The longest public id of any issuer, with its prefix.
const MAX_ID_LEN: usize = 35;

/// Returns `text` without the credentials in it.
#[cfg(feature = "audit")]
pub(crate) fn text(text: &str) -> String {
    let mut shown = String::new();
    for part in text.split_inclusive(is_separator) {
        let (run, separator) = part.split_at(part.trim_end_matches(is_separator).len());
        match credential_start(run) {
            Some(start) => shown.extend([run.split_at(start).0, REDACTED, separator]),
            None => shown += part,
        }
    }
    shown
}

/// Returns `path` without the segments that hold credentials.
pub(crate) fn path(path: &str) -> String {
    let shown = path.split('/').map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        if holds_credential(&decoded) {
            REDACTED
        } else {
            segment
        }
    });
    shown.collect::<Vec<_>>().join("/")
}

/// Returns `method` if it is a word in capitals, as every registered method is, and otherwise OpenTelemetry's `_OTHER`.
pub(crate) fn method(method: &Method) -> &str {
    const MAX_LEN: usize = 24;

    let name = method.as_str();
    let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    if name.len() <= MAX_LEN && name.bytes().all(is_capital) {
        name
    } else {
        "_OTHER"
    }
}

/// Returns whether `text` holds what looks like a credential.
pub(crate) fn holds_credential(text: &str) -> bool {
    text.split(is_separator)
        .any(|run| credential_start(run).is_some())
}

/// Returns where the first credential in a run of `token68` characters begins. Takes linear time, since a client chooses
/// the text (T14).
fn credential_start(run: &str) -> Option<usize> {
    let mut prefixes = run.match_indices(PREFIX).map(|(start, _)| start);
    let key = prefixes.find(|start| {
        let (before, key) = run.split_at(*start);
        let begins_word = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        key.len() > MAX_ID_LEN || (begins_word && Environment::of(key.as_bytes()).is_some())
    });
    let jwt = run.find("eyJ").filter(|start| {
        let (_, token) = run.split_at(*start);
        token.matches('.').nth(1).is_some()
    });
    key.into_iter().chain(jwt).min()
}

fn is_separator(c: char) -> bool {
    !u8::try_from(c).is_ok_and(|byte| is_token68_char(byte) || byte == b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{ApiKey, KeyId};

    const JWT: &str = "eyJhbGciOi.eyJzdWIi.c2ln";

    fn secret() -> String {
        ApiKey::generate(Environment::Live)
            .expose_secret()
            .to_owned()
    }

    fn revoke(id: &str) -> String {
        format!("/v1/api-keys/{id}/revoke")
    }

    // C33
    #[test]
    fn segment_with_a_credential_is_redacted() {
        let secret = secret();
        let foreign = format!("ak_{}", "x".repeat(33));
        for hidden in [
            &secret,
            &secret.replacen("ak", "%61k", 1),
            &secret.replace('_', "%5F"),
            &format!("x{secret}"),
            &secret[..40],
            &foreign,
            &format!("key={foreign}"),
            "key=ak_live_x",
            "ak_test_",
            JWT,
            &format!("token={JWT}"),
            &format!("Bearer%20{JWT}"),
            &format!("a;token:{JWT}"),
            &format!("x{JWT}"),
        ] {
            assert_eq!(path(&revoke(hidden)), revoke(REDACTED), "{hidden}");
        }
    }

    // C33: the stated limit for secrets of other issuers with slashes in them.
    #[test]
    fn secret_with_slashes_is_redacted_up_to_its_first_slash() {
        let before_slash = format!("ak_{}", "x".repeat(33));
        assert_eq!(
            path(&revoke(&format!("{before_slash}/Z2Ug=="))),
            revoke("[redacted]/Z2Ug==")
        );
        assert_eq!(
            path(&revoke(&format!("{before_slash}%2FZ2Ug=="))),
            revoke(REDACTED)
        );
    }

    #[test]
    fn segment_without_a_credential_is_shown() {
        let id = KeyId::try_generate().unwrap();
        let foreign = format!("ak_{}", "x".repeat(32));
        for shown in [
            id.as_str(),
            &foreign,
            "eyJ.txt",
            "soak_test_42",
            "task_a-long-name-of-a-thing-that-is-to-be-done",
            &format!("{id}/versions/3/550e8400-e29b-41d4-a716-446655440000"),
            &format!("{id}/{id}"),
            "%ff%0d%0a/a+b==",
        ] {
            assert_eq!(path(&revoke(shown)), revoke(shown));
        }
    }

    // C33
    #[cfg(feature = "audit")]
    #[test]
    fn credentials_in_a_text_are_redacted() {
        let secret = secret();
        let leaked = format!("leaked {secret}, and {JWT}; not ak_1\u{e9}");
        assert_eq!(
            text(&leaked),
            "leaked [redacted], and [redacted]; not ak_1\u{e9}"
        );
        assert_eq!(text(&format!("key={secret}==")), "key=[redacted]");
        for shown in ["", "ci, \u{e9} ", ",,"] {
            assert_eq!(text(shown), shown);
        }
    }

    // T14
    #[cfg(feature = "audit")]
    #[test]
    fn redaction_takes_linear_time() {
        let began = std::time::Instant::now();
        for part in ["eyJ", "ak_", "ak_live_ ", "eyJ.", "xak_test_eyJ.a."] {
            let long = part.repeat((1 << 20) / part.len());
            assert!(text(&long).len() <= long.len() * 2);
            path(&long);
        }
        // Quadratic time is minutes for each.
        assert!(began.elapsed().as_secs() < 30);
    }

    // C33
    #[test]
    fn method_is_shown_if_it_is_a_word_in_capitals() {
        for (name, shown) in [
            ("GET", "GET"),
            ("VERSION-CONTROL", "VERSION-CONTROL"),
            ("get", "_OTHER"),
            (&secret(), "_OTHER"),
            (&"A".repeat(25), "_OTHER"),
        ] {
            let name = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(method(&name), shown);
        }
    }
}
