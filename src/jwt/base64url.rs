//! Base64url (RFC 4648 §5): strict in tokens, padded or not in key sets.

use base64::{
    Engine as _,
    engine::general_purpose::{URL_SAFE_NO_PAD, URL_SAFE_NO_PAD_INDIFFERENT},
};

/// Decodes unpadded base64url whose unused last bits are zero: each octet string has one spelling (C13).
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// As [`decode`], with or without padding (C12a).
pub(crate) fn decode_padded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD_INDIFFERENT.decode(text).ok()
}

#[cfg(any(test, feature = "test-util"))]
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // C13
    #[test]
    fn second_spelling_is_rejected() {
        let bytes = [0xfb, 0xff];
        assert_eq!(encode(&bytes), "-_8");
        assert_eq!(decode("-_8").as_deref(), Some(&bytes[..]));
        for other in [
            "-_8=", "-_9", "+/8", "-_8\n", "-_ 8", "-", "-_8-=", "-_8%3D",
        ] {
            assert_eq!(decode(other), None, "{other}");
        }
    }

    // C12a
    #[test]
    fn padding_is_accepted_in_key_sets_only() {
        assert_eq!(decode_padded("-_8="), decode("-_8"));
        assert_eq!(decode_padded("-_8"), decode("-_8"));
        for other in ["-_9=", "-_8==", "+/8=", "-_8=="] {
            assert_eq!(decode_padded(other), None, "{other}");
        }
    }
}
