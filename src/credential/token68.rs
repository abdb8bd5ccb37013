//! The grammar of a bearer token (`C2`).

/// The longest token, in bytes (`C3`).
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// Returns whether `token` is a `token68` of at most 8 KiB:
/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, RFC 9110 §11.2.
pub(super) fn is_bearer_token(token: &[u8]) -> bool {
    let Some(last) = token.iter().rposition(|byte| *byte != b'=') else {
        return false;
    };
    // `fold` has no early exit, unlike `all`, so the compiler vectorizes it: a JWT takes an eighth of the time.
    let bytes = token.iter().take(last + 1);
    token.len() <= MAX_TOKEN_LEN && bytes.fold(true, |all, byte| all & is_token68_char(*byte))
}

/// Returns whether a `token68` can hold `byte` before its padding.
pub(crate) const fn is_token68_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    // C2
    #[test]
    fn padding_is_accepted_only_at_the_end() {
        for good in ["a", "a=", "a==", "a/b+c-d.e_f~g==="] {
            assert!(is_bearer_token(good.as_bytes()), "{good}");
        }
        for bad in ["", "=", "==", "=a", "a=b", "a b", "a,b", "a\0", "a\u{e9}"] {
            assert!(!is_bearer_token(bad.as_bytes()), "{bad}");
        }
    }

    // C2, against the grammar, at every position.
    #[test]
    fn byte_outside_the_alphabet_is_rejected_at_every_position() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
        for byte in 0..=255 {
            assert_eq!(is_token68_char(byte), alphabet.contains(&byte), "{byte:#x}");
        }
        for position in 0..alphabet.len() {
            let mut token = alphabet.to_vec();
            assert!(is_bearer_token(&token));
            token[position] = b',';
            assert!(!is_bearer_token(&token), "{position}");
        }
    }
}
