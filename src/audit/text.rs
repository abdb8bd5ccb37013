//! Text from clients and administrators, made fit for an audit record: one line (T13), bounded, without credentials (`C33`).

use percent_encoding::percent_decode;

use crate::telemetry::redact;

/// The longest path, in bytes.
const MAX_PATH: usize = 2_048;

/// The longest other text, in bytes: names of parameters and keys, ids, reasons.
pub(super) const MAX_TEXT: usize = 512;

/// The most parameters of a query that are read.
const MAX_PARAMETERS: usize = 1_000;

/// The most parameter names of one call, and the most bytes in them before the last one.
const MAX_NAMES: usize = 64;
const MAX_NAMES_LEN: usize = 2_048;

/// Replaces control characters and the characters that an editor takes for a line break or a change of direction, and cuts
/// the text to `max` bytes.
pub(super) fn on_one_line(text: &str, max: usize) -> String {
    let mut ends = (0..=text.len().min(max)).rev();
    let end = ends.find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (kept, rest) = text.split_at(end);
    let ellipsis = if rest.is_empty() { "" } else { "…" };
    kept.replace(breaks_line, "\u{fffd}") + ellipsis
}

fn breaks_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns `text` without credentials, on one line.
pub(super) fn shown(text: &str) -> String {
    on_one_line(&redact::text(text), MAX_TEXT)
}

/// Returns `path`, still percent-encoded, without credentials and on one line.
pub(super) fn path(path: &str) -> String {
    on_one_line(&redact::path(path), MAX_PATH)
}

/// Returns the decoded names of a query, each once, in the order of their first occurrence, and no value (`C35`).
pub(super) fn parameter_names(query: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut names_len = 0;
    for (name, _) in form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
        let name = shown(&name);
        if !names.contains(&name) {
            names_len += name.len();
            names.push(name);
        }
        if names.len() == MAX_NAMES || names_len > MAX_NAMES_LEN {
            break;
        }
    }
    names
}

/// Returns whether `value` is 1 to 128 visible ASCII characters without a credential.
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
    fn text_is_one_line_of_bounded_length() {
        assert_eq!(on_one_line("ci é", 10), "ci é");
        assert_eq!(
            on_one_line("a\r\nb\u{1b}[2J\u{85}\0", 99),
            "a\u{fffd}\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}"
        );
        assert_eq!(on_one_line("a\u{2028}b\u{202e}", 99), "a\u{fffd}b\u{fffd}");
        assert_eq!(on_one_line("aéé", 4), "aé…");
        assert!(path(&format!("/v1/{}", "x".repeat(9000))).len() <= MAX_PATH + "…".len());
    }

    // C33: a text is redacted before it is cut, so no part of a secret is left at its end.
    #[test]
    fn credential_at_the_cut_is_redacted() {
        let secret = ApiKey::generate(Environment::Live);
        let secret = secret.expose_secret();
        for len in (MAX_TEXT - secret.len())..MAX_TEXT {
            let cut = shown(&format!("{} {secret}", "x".repeat(len - 1)));
            assert!(!cut.contains("ak_live_"), "{len}: {cut}");
        }
    }

    // C33
    #[test]
    fn credential_as_parameter_name_is_redacted() {
        let secret = ApiKey::generate(Environment::Live);
        let secret = secret.expose_secret();
        let query = format!("{secret}&{secret}=1&a");
        assert_eq!(parameter_names(&query), ["[redacted]", "a"]);
    }

    // T13
    #[test]
    fn request_id_is_short_visible_and_no_credential() {
        for good in ["1", "req_7f3a-9!~", &"x".repeat(128)] {
            assert!(is_request_id(good.as_bytes()), "{good}");
        }
        let secret = ApiKey::generate(Environment::Live);
        for bad in [
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
            assert!(!is_request_id(bad.as_bytes()), "{bad}");
        }
    }

    // C35
    #[test]
    fn parameter_names_are_decoded_unique_and_bounded() {
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
        let late = format!("{}late", "a&".repeat(MAX_PARAMETERS));
        assert_eq!(parameter_names(&late), ["a"]);
    }
}
