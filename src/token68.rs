//! The characters of a bearer token.

/// `token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, RFC 9110 §11.2.
#[inline]
pub(crate) fn is_token68(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let text = token.get(..token.len() - padding).unwrap_or_default();
    // Without an early way out the compiler checks sixteen bytes at a time.
    !text.is_empty()
        && text
            .iter()
            .fold(true, |legal, byte| legal & is_legal(*byte))
}

#[inline]
const fn is_legal(byte: u8) -> bool {
    // Lower-casing maps the two alphabets onto one, and no other legal character onto a letter.
    (byte | 0x20).wrapping_sub(b'a') < 26
        // `-`, `.`, `/` and the digits stand in one row.
        || byte.wrapping_sub(b'-') < 13
        || matches!(byte, b'_' | b'~' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    // C2: against the grammar, byte by byte.
    #[test]
    fn the_alphabet_is_that_of_rfc_9110() {
        for byte in 0..=255_u8 {
            let grammar = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_legal(byte), grammar, "{byte:#x}");
        }
    }

    // C2
    #[test]
    fn equals_signs_stand_at_the_end_alone() {
        for good in ["a", "a=", "a==", "a/b+c-d.e_f~g==="] {
            assert!(is_token68(good.as_bytes()), "{good}");
        }
        for bad in ["", "=", "==", "=a", "a=b", "a b", "a,b", "a\0", "a\u{e9}"] {
            assert!(!is_token68(bad.as_bytes()), "{bad}");
        }
    }
}
