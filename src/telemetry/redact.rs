//! Credentials that went astray, into a path, a name or an id, are not written down (`C33`).
//!
//! What is a credential is told by its looks, so what looks like one is hidden too.

use std::{borrow::Cow, ops::Range};

use http::Method;
use percent_encoding::percent_decode_str;

pub(crate) const REDACTED: &str = "[redacted]";

/// No secret of ours is as short, and the ids of other issuers' keys are not longer.
const LONGEST_ID: usize = 35;

/// A text without the credentials in it.
#[cfg(feature = "audit")]
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut shown_to = 0;
    for found in Credentials::of(text) {
        shown += text.get(shown_to..found.start).unwrap_or_default();
        shown += REDACTED;
        shown_to = found.end;
    }
    if shown_to == 0 {
        return Cow::Borrowed(text);
    }
    shown += text.get(shown_to..).unwrap_or_default();
    Cow::Owned(shown)
}

/// A path without the segments that hold credentials, which somebody took for ids. It is looked through as far as it is shown
/// anywhere, and cut there.
pub(crate) fn path(path: &str) -> Cow<'_, str> {
    const LONGEST: usize = 4_096;

    let (kept, is_cut) = match path.as_bytes().get(..=LONGEST) {
        Some(start) => {
            let end = start.iter().rposition(|byte| *byte == b'/');
            (path.get(..end.unwrap_or(0)).unwrap_or_default(), true)
        }
        None => (path, false),
    };
    let mut segments: Vec<&str> = kept.split('/').collect();
    let mut is_hidden = is_cut;
    // There are secrets with slashes in them: what follows a key and cannot be a name is the rest of one.
    let mut key_at = None;
    for at in 0..segments.len() {
        let segment = segments.get(at).copied().unwrap_or_default();
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        let is_secret = holds_credential(&decoded);
        if is_secret || begins_with_key(&decoded) {
            key_at = Some(at);
        } else if !decoded.chars().all(is_token68) {
            key_at = None;
        }
        let first = match key_at {
            Some(key_at) if is_rest_of_secret(&decoded) => key_at,
            _ if is_secret => at,
            _ => continue,
        };
        is_hidden = true;
        for secret in segments.iter_mut().take(at + 1).skip(first) {
            *secret = REDACTED;
        }
    }
    if is_cut {
        segments.push("…");
    }
    if is_hidden {
        Cow::Owned(segments.join("/"))
    } else {
        Cow::Borrowed(path)
    }
}

/// A method as it is, if it is a word in capitals, as all that are registered are; else what OpenTelemetry has for the others.
pub(crate) fn method(method: &Method) -> &str {
    const LONGEST: usize = 24;

    let name = method.as_str();
    let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    if name.len() <= LONGEST && name.bytes().all(is_capital) {
        name
    } else {
        "_OTHER"
    }
}

pub(crate) fn holds_credential(text: &str) -> bool {
    Credentials::of(text).next().is_some()
}

/// Where the credentials in a text are, in one pass: who writes the text must not choose how long it takes.
struct Credentials<'a> {
    text: &'a [u8],
    at: usize,
    /// Of the run of such characters that has been looked at last.
    token68_end: usize,
    token: Parts,
}

/// A run of characters that a JWT is made of.
#[derive(Default)]
struct Parts {
    end: usize,
    /// What begins there or before has three parts or more.
    last_but_one_dot: Option<usize>,
}

impl<'a> Credentials<'a> {
    const fn of(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            token68_end: 0,
            token: Parts {
                end: 0,
                last_but_one_dot: None,
            },
        }
    }

    /// The end of the key that begins here.
    fn key_end(&mut self) -> Option<usize> {
        let rest = self.rest().strip_prefix(b"ak_")?;
        let is_named = rest.starts_with(b"live_") || rest.starts_with(b"test_");
        if self.token68_end <= self.at {
            self.token68_end = self.end_of_run(|c| is_token68(char::from(c)));
        }
        let is_long = self.token68_end - self.at > LONGEST_ID;
        let is_key = match self.begins_word() {
            true => is_named || is_long,
            false => is_named && is_long,
        };
        is_key.then_some(self.token68_end)
    }

    /// The end of the JWT that begins here: three parts, of which the first is a JSON object.
    fn token_end(&mut self) -> Option<usize> {
        self.rest().starts_with(b"eyJ").then_some(())?;
        if self.token.end <= self.at {
            let end = self.end_of_run(|c| is_in_word(char::from(c)) || c == b'.');
            let run = self.text.get(self.at..end).unwrap_or_default();
            let mut dots = (0..run.len()).rev().filter(|n| run.get(*n) == Some(&b'.'));
            self.token = Parts {
                end,
                last_but_one_dot: dots.nth(1).map(|n| self.at + n),
            };
        }
        let has_parts = self.token.last_but_one_dot.is_some_and(|dot| self.at < dot);
        let is_long = self.token.end - self.at > LONGEST_ID;
        (has_parts && (self.begins_word() || is_long)).then_some(self.token.end)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn end_of_run(&self, is_in_run: impl Fn(u8) -> bool) -> usize {
        let length = self.rest().iter().position(|c| !is_in_run(*c));
        length.map_or(self.text.len(), |length| self.at + length)
    }

    fn begins_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.text.get(at));
        before.is_none_or(|before| !is_in_word(char::from(*before)))
    }
}

impl Iterator for Credentials<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while self.at < self.text.len() {
            let start = self.at;
            if let Some(end) = self.key_end().or_else(|| self.token_end()) {
                self.at = end;
                return Some(start..end);
            }
            self.at += 1;
        }
        None
    }
}

/// Whether something in it begins with `ak_`, as keys and their ids do.
fn begins_with_key(segment: &str) -> bool {
    let mut starts = segment.match_indices("ak_");
    starts.any(|(start, _)| {
        let before = segment.get(..start).unwrap_or_default();
        !before.ends_with(is_in_word)
    })
}

fn is_rest_of_secret(segment: &str) -> bool {
    const LONG: usize = 12;

    let has = |kind: fn(&char) -> bool| segment.chars().any(|c| kind(&c));
    let is_random = segment.len() >= LONG
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit);
    segment.chars().all(is_token68)
        && !segment.starts_with("ak_")
        && (segment.contains(['=', '+']) || is_random)
}

const fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

const fn is_token68(c: char) -> bool {
    is_in_word(c) || matches!(c, '.' | '~' | '+' | '/' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{ApiKey, Environment, KeyId};

    const TOKEN: &str = "eyJhbGciOi.eyJzdWIi.c2ln";

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
    fn a_credential_that_was_taken_for_an_id_is_not_shown() {
        let secret = secret();
        let foreign = format!("ak_{}", "x".repeat(48));
        for hidden in [
            &secret,
            &secret.replacen("ak", "%61k", 1),
            &foreign,
            &format!("key={foreign}"),
            "key=ak_live_x",
            "ak_test_",
            &format!("ak_{}", "x".repeat(33)),
            TOKEN,
            &format!("token={TOKEN}"),
            &format!("Bearer%20{TOKEN}"),
            &format!("a;token:{TOKEN}"),
            &format!("x{TOKEN}{}", "x".repeat(12)),
        ] {
            assert_eq!(path(&revoke(hidden)), revoke(REDACTED), "{hidden}");
        }
    }

    // C2, C33: keys of other issuers have slashes in them.
    #[test]
    fn a_secret_with_slashes_is_hidden_whole() {
        for secret in ["ak_Zm9vYmFy/Z2Ug==", "ak_Zm9v/YmFyYmF6cXV4UXV1eA/a+b="] {
            let shown = path(&revoke(secret)).into_owned();
            assert!(shown.starts_with("/v1/api-keys/[redacted]/[redacted]"));
            assert!(shown.ends_with("/revoke"), "{shown}");
            assert_eq!(
                shown.matches("[redacted]").count(),
                secret.matches('/').count() + 1
            );
        }
    }

    #[test]
    fn a_long_path_is_cut_between_segments() {
        let path_of = |segment: &str| format!("/v1/{}", format!("{segment}/").repeat(200));
        let shown = path(&path_of(&secret())).into_owned();
        assert!(shown.starts_with("/v1/[redacted]/[redacted]/"));
        assert!(shown.ends_with("/[redacted]/…"), "{shown}");
        assert_eq!(path(&format!("/{}", "x".repeat(5_000))), "/…");
        let short = path_of("1234567890");
        assert_eq!(path(&short), short);
    }

    #[test]
    fn what_is_none_is_shown() {
        let id = KeyId::try_generate().unwrap();
        let foreign = format!("ak_{}", "x".repeat(32));
        for shown in [
            id.as_str(),
            &foreign,
            "eyJ.txt",
            "task_a-long-name-of-a-thing-that-is-to-be-done",
            &format!("{id}/versions/3/550e8400-e29b-41d4-a716-446655440000"),
            &format!("{id}/{id}"),
            &format!("{id}/listAuditRecords"),
            "soak_test_42",
            "a-rather-long-name-of-a-keyJson.a.b",
            &format!("x{TOKEN}{}", "x".repeat(11)),
        ] {
            assert_eq!(path(&revoke(shown)), revoke(shown));
        }
    }

    // C33
    #[cfg(feature = "audit")]
    #[test]
    fn a_text_is_shown_without_the_credentials_in_it() {
        let secret = secret();
        let leaked = format!("leaked {secret}, and {TOKEN}; not ak_1");
        assert_eq!(text(&leaked), "leaked [redacted], and [redacted]; not ak_1");
        assert_eq!(text(&secret), REDACTED);
        assert_eq!(text("ci, é"), "ci, é");
    }

    // T14
    #[cfg(feature = "audit")]
    #[test]
    fn the_time_grows_as_the_text_does() {
        let began = std::time::Instant::now();
        for part in [
            "eyJ",
            "ak_",
            "ak_live_ ",
            "eyJ.",
            "ak_live_ eyJ",
            "ak_test_eyJ.a.",
        ] {
            let long = part.repeat((1 << 20) / part.len());
            assert!(text(&long).len() <= long.len() * 2);
            path(&long);
        }
        // A quadratic pass takes minutes for each.
        assert!(began.elapsed().as_secs() < 30);
    }

    // C33
    #[test]
    fn a_method_is_a_word() {
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
