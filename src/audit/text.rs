//! What strangers wrote, made fit for a log (T13): one line each, no longer than it may be, and no credential in it (`C33`).

use std::borrow::Cow;

use percent_encoding::{percent_decode, percent_decode_str};

use crate::telemetry::redact;

/// The longest path, in bytes.
pub(super) const MAX_PATH: usize = 2_048;

/// The longest of other texts, in bytes: names of parameters and keys, ids, reasons.
pub(super) const MAX_TEXT: usize = 512;

/// The most names of parameters of one call, and the most bytes of them, but for the last.
const MAX_NAMES: usize = 64;
const MAX_OF_NAMES: usize = 2_048;

/// How far a query is looked through, in bytes.
const MAX_QUERY: usize = 16 * 1_024;

/// `text` without control characters and what a terminal or an editor takes for a line break or a change of direction,
/// cut to `max` bytes.
pub(super) fn on_one_line(text: &str, max: usize) -> Cow<'_, str> {
    let (kept, rest) = split_at_most(text, max);
    if rest.is_empty() && !kept.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let ellipsis = if rest.is_empty() { "" } else { "…" };
    Cow::Owned(kept.replace(is_odd, "\u{fffd}") + ellipsis)
}

/// `text` without the credentials in it, on one line.
pub(super) fn shown(text: &str) -> String {
    // What credentials take away is made up for by what stands behind them.
    let (text, _) = split_at_most(text, 8 * MAX_TEXT);
    on_one_line(&redact::text(text), MAX_TEXT).into_owned()
}

/// What there is of `text` in its first `max` bytes, and what there is after it.
fn split_at_most(text: &str, max: usize) -> (&str, &str) {
    let end = text.len().min(max);
    let end = (0..=end).rev().find(|at| text.is_char_boundary(*at));
    text.split_at(end.unwrap_or(0))
}

fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The path as it came, still percent-encoded.
pub(super) fn path(path: &str) -> String {
    on_one_line(&redact::path(path), MAX_PATH).into_owned()
}

/// The names in a query, decoded, each once, in the order of their first occurrence; never a value (`C35`).
pub(super) fn parameter_names(query: &str) -> Vec<String> {
    let (query, _) = split_at_most(query, MAX_QUERY);
    let mut names = Vec::new();
    let mut length = 0;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let spaced = name.replace('+', " ");
        let name = shown(&percent_decode_str(&spaced).decode_utf8_lossy());
        if !names.contains(&name) {
            length += name.len();
            names.push(name);
        }
        if names.len() == MAX_NAMES || length > MAX_OF_NAMES {
            break;
        }
    }
    names
}

/// Of 1 to 128 visible ASCII characters, and no credential that went astray.
#[inline]
pub(super) fn is_request_id(value: &[u8]) -> bool {
    (1..=128).contains(&value.len())
        && value.iter().all(u8::is_ascii_graphic)
        && !redact::holds_credential(&percent_decode(value).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{ApiKey, Environment};

    // T13
    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        assert_eq!(on_one_line("ci é", 10), "ci é");
        assert_eq!(
            on_one_line("a\r\nb\u{1b}[2J\u{85}\0", 99),
            "a\u{fffd}\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}"
        );
        assert_eq!(on_one_line("a\u{2028}b\u{202e}", 99), "a\u{fffd}b\u{fffd}");
        assert_eq!(on_one_line("aéé", 4), "aé…");
        assert!(path(&format!("/v1/{}", "x".repeat(9000))).len() <= MAX_PATH + "…".len());
    }

    // C33
    #[test]
    fn a_credential_is_no_name() {
        let secret = ApiKey::generate(Environment::Live);
        let secret = secret.expose_secret();
        let query = format!("{secret}&{secret}=1&a");
        assert_eq!(parameter_names(&query), ["[redacted]", "a"]);
    }

    // T13
    #[test]
    fn a_request_id_is_a_sane_token() {
        for sane in ["1", "req_7f3a-9!~", &"x".repeat(128)] {
            assert!(is_request_id(sane.as_bytes()), "{sane}");
        }
        let secret = ApiKey::generate(Environment::Live);
        for odd in [
            "",
            "a b",
            "a\tb",
            "a\nb",
            "\u{e9}",
            "a\u{7f}",
            &"x".repeat(129),
            secret.expose_secret(),
            &format!("key={}", secret.expose_secret()),
            "t=eyJhbGciOi.eyJzdWIi.c2ln",
            &secret.expose_secret().replace('_', "%5F"),
        ] {
            assert!(!is_request_id(odd.as_bytes()), "{odd}");
        }
    }

    // C35
    #[test]
    fn names_of_parameters_are_decoded_and_told_once() {
        assert_eq!(parameter_names(""), [""; 0]);
        assert_eq!(
            parameter_names("a=1&b&&a=2&c%5B%5D=x=y&d+e=&%0d%0aERROR=1&%ff"),
            ["a", "b", "c[]", "d e", "\u{fffd}\u{fffd}ERROR", "\u{fffd}"]
        );
        let many: String = (0..1000).map(|n| format!("p{n}=1&")).collect();
        assert_eq!(parameter_names(&many).len(), MAX_NAMES);
        let long: String = (0..64)
            .map(|n| format!("{n}{}&", "x".repeat(500)))
            .collect();
        assert_eq!(parameter_names(&long).len(), 5);
    }
}
