//! The names of keys.

use time::{Date, OffsetDateTime};

use super::{InvalidField, KeyAdminError};

/// The length limit of a name, in characters (`C39`).
const MAX_LEN: usize = 200;

/// Returns `name` trimmed.
///
/// # Errors
///
/// The trimmed name is empty, longer than 200 characters, or contains U+0000 (`C39`).
pub(super) fn checked(name: &str) -> Result<&str, KeyAdminError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(KeyAdminError::InvalidName);
    }
    InvalidField::check_text(name, MAX_LEN).map_err(|error| error.inside("name"))?;
    Ok(name)
}

/// Returns the name of the key that replaces the key `name`: with the suffix ` (rotated YYYY-MM-DD)`, from the second rotation
/// of the day on ` (rotated YYYY-MM-DD n)`. An older suffix is replaced (`C40`).
pub(super) fn rotated(name: &str, now: u64) -> String {
    let today = utc_date(now).to_string();
    match split_suffix(name) {
        Some((base, date, count)) if date == today => {
            format!("{base} (rotated {today} {})", count.saturating_add(1))
        }
        Some((base, ..)) => format!("{base} (rotated {today})"),
        None => format!("{name} (rotated {today})"),
    }
}

/// Splits a name with such a suffix into the name before it, the date and the count.
fn split_suffix(name: &str) -> Option<(&str, &str, u64)> {
    let (base, suffix) = name.strip_suffix(')')?.rsplit_once(" (rotated ")?;
    let (date, count) = match suffix.split_once(' ') {
        None => (suffix, 1),
        Some((date, count)) => (date, count.parse().ok().filter(|count| *count >= 2)?),
    };
    let shape = date.bytes().map(|byte| match byte {
        b'0'..=b'9' => b'0',
        other => other,
    });
    shape.eq(*b"0000-00-00").then_some((base, date, count))
}

fn utc_date(unix_seconds: u64) -> Date {
    let seconds = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_521_600; // 2026-11-24T12:00:00Z
    const DAY: u64 = 86_400;

    // C40
    #[test]
    fn rotation_suffix_is_added_counted_and_replaced() {
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
    fn name_is_trimmed_and_bounded() {
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
