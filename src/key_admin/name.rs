//! The names of keys.

use std::borrow::Cow;

use time::{Date, OffsetDateTime};

use super::error::{InvalidField, KeyAdminError};

/// In characters, not bytes (`C39`).
const MAX_LEN: usize = 200;

/// The name as it is kept: trimmed, and neither empty nor too long (`C39`).
pub(super) fn checked(name: &str) -> Result<&str, KeyAdminError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(KeyAdminError::InvalidName);
    }
    if name.chars().count() > MAX_LEN {
        return Err(InvalidField::name_too_long(MAX_LEN).into());
    }
    // PostgreSQL keeps no text with a NUL in it, and one rule for every store is better than two.
    if name.contains('\0') {
        return Err(InvalidField::name_with_nul().into());
    }
    Ok(name)
}

/// The name of a key that takes the place of one named `name` (`C40`): with ` (rotated YYYY-MM-DD)`, and from the second
/// time of that day on with a number behind the date. An older suffix is replaced.
pub(super) fn rotated(name: &str, now: u64) -> String {
    let today = utc_date(now);
    match split_suffix(name) {
        Some((base, suffix)) if suffix.date == today => {
            format!(
                "{base} (rotated {today} {})",
                suffix.count.saturating_add(1)
            )
        }
        Some((base, _)) => format!("{base} (rotated {today})"),
        None => format!("{name} (rotated {today})"),
    }
}

struct Suffix<'a> {
    date: Cow<'a, str>,
    count: u64,
}

fn split_suffix(name: &str) -> Option<(&str, Suffix<'_>)> {
    let (base, suffix) = name.strip_suffix(')')?.rsplit_once(" (rotated ")?;
    let (date, count) = match suffix.split_once(' ') {
        None => (suffix, 1),
        Some((date, count)) => (date, count.parse().ok().filter(|count| *count >= 2)?),
    };
    is_date(date).then_some((
        base,
        Suffix {
            date: date.into(),
            count,
        },
    ))
}

fn is_date(text: &str) -> bool {
    text.len() == "2026-11-24".len()
        && text
            .bytes()
            .enumerate()
            .all(|(position, byte)| match position {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
}

fn utc_date(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    let date = OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date);
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_521_600; // 2026-11-24T12:00:00Z
    const DAY: u64 = 86_400;

    // C40
    #[test]
    fn a_suffix_is_added_counted_and_replaced() {
        for (name, now, expected) in [
            ("ci", NOON, "ci (rotated 2026-11-24)"),
            ("ci (rotated 2026-11-24)", NOON, "ci (rotated 2026-11-24 2)"),
            (
                "ci (rotated 2026-11-24 2)",
                NOON,
                "ci (rotated 2026-11-24 3)",
            ),
            (
                "ci (rotated 2026-11-24 2)",
                NOON + DAY,
                "ci (rotated 2026-11-25)",
            ),
            (
                "ci (rotated 2026-11-24)",
                NOON + DAY,
                "ci (rotated 2026-11-25)",
            ),
            (
                "ci (rotated by me)",
                NOON,
                "ci (rotated by me) (rotated 2026-11-24)",
            ),
            (
                "ci (rotated 2026-11-24 1)",
                NOON,
                "ci (rotated 2026-11-24 1) (rotated 2026-11-24)",
            ),
            ("ci", 0, "ci (rotated 1970-01-01)"),
        ] {
            assert_eq!(rotated(name, now), expected, "{name}");
        }
    }

    // C39
    #[test]
    fn a_name_is_trimmed_and_bounded() {
        assert_eq!(checked("  ci \u{a0}\n").ok(), Some("ci"));
        assert_eq!(checked(&"é".repeat(200)).ok(), Some(&*"é".repeat(200)));
        for empty in ["", "   ", "\t\n\r ", "\u{a0}", "\u{2003}"] {
            assert!(
                matches!(checked(empty), Err(KeyAdminError::InvalidName)),
                "{empty:?}"
            );
        }
        for bad in ["é".repeat(201), "a\0b".to_owned()] {
            assert!(
                matches!(checked(&bad), Err(KeyAdminError::InvalidField(_))),
                "{bad:?}"
            );
        }
    }
}
