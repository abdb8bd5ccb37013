//! Credentials that went astray, into a path, a name or an id, are not written down (`C33`).
//!
//! What is a credential is told by its looks, so what looks like one is hidden too.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

pub(crate) const REDACTED: &str = "[redacted]";

/// No secret of ours is as short, and the ids of other issuers' keys are not longer.
const LONGEST_ID: usize = 35;

/// A text without the credentials in it.
#[cfg(feature = "audit")]
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = split_at_credential(rest) {
        shown = shown + before + REDACTED;
        rest = after;
    }
    if shown.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(shown + rest)
    }
}

/// A path without the segments that hold credentials, which somebody took for ids. It is looked through as far as it is shown
/// anywhere, and cut there.
pub(crate) fn path(path: &str) -> Cow<'_, str> {
    const LONGEST: usize = 4_096;

    let (kept, is_cut) = match path.as_bytes().get(..LONGEST) {
        Some(start) => {
            let end = start.iter().rposition(|byte| *byte == b'/');
            (path.get(..end.unwrap_or(0)).unwrap_or_default(), true)
        }
        None => (path, false),
    };
    let mut segments: Vec<&str> = kept.split('/').collect();
    let mut is_hidden = is_cut;
    let mut may_go_on = false;
    for at in 0..segments.len() {
        let Some(segment) = segments.get(at) else {
            break;
        };
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        // There are secrets with slashes in them: what follows a key and cannot be a name is the rest of one.
        let is_rest = may_go_on && is_rest_of_secret(&decoded);
        let is_secret = is_rest || holds_credential(&decoded);
        may_go_on = is_secret || key_starts(&decoded).next().is_some();
        if is_rest && let Some(before) = at.checked_sub(1) {
            hide(&mut segments, before);
        }
        if is_secret {
            hide(&mut segments, at);
            is_hidden = true;
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
    split_at_credential(text).is_some()
}

/// What stands before the first credential and what after it.
fn split_at_credential(text: &str) -> Option<(&str, &str)> {
    let named = ["ak_live_", "ak_test_"].into_iter();
    let named = named.filter_map(|name| run(text, text.find(name)?, is_token68));
    let foreign = key_starts(text)
        .filter_map(|start| run(text, start, is_token68))
        .filter(|(_, secret, _)| secret.len() > LONGEST_ID);
    // Three parts, of which the first begins as a JSON object does.
    let token = text
        .match_indices("eyJ")
        .filter_map(|(start, _)| run(text, start, |c| is_in_word(c) || c == '.'))
        .filter(|(_, token, _)| token.matches('.').count() >= 2);
    let credentials = named.chain(foreign.take(1)).chain(token.take(1));
    let (before, _, after) = credentials.min_by_key(|(before, ..)| before.len())?;
    Some((before, after))
}

/// Where something begins with `ak_`, as keys and their ids do.
fn key_starts(text: &str) -> impl Iterator<Item = usize> {
    let starts = text.match_indices("ak_");
    starts.filter_map(|(start, _)| {
        let (before, _) = text.split_at_checked(start)?;
        (!before.ends_with(is_in_word)).then_some(start)
    })
}

/// What stands before `start`, the run of `kept` from there, and what stands after it.
fn run(text: &str, start: usize, kept: impl Fn(char) -> bool) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_at_checked(start)?;
    let end = rest.find(|c| !kept(c)).unwrap_or(rest.len());
    let (run, after) = rest.split_at_checked(end)?;
    Some((before, run, after))
}

fn is_rest_of_secret(segment: &str) -> bool {
    const LONG: usize = 16;

    let is_mixed = segment.contains(|c: char| c.is_ascii_uppercase())
        && segment.contains(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_long = segment.len() >= LONG && segment.chars().all(is_token68);
    segment.contains(['=', '+']) || (is_long && is_mixed && !segment.starts_with("ak_"))
}

const fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

const fn is_token68(c: char) -> bool {
    is_in_word(c) || matches!(c, '.' | '~' | '+' | '/' | '=')
}

fn hide(segments: &mut [&str], at: usize) {
    if let Some(segment) = segments.get_mut(at) {
        *segment = REDACTED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::{ApiKey, Environment, KeyId};

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
