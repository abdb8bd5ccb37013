use base64_simd::URL_SAFE_NO_PAD;

/// Base64url without padding, its unused last bits zero: each text has one spelling (C13; RFC 7515 §2, RFC 4648 §3.5).
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

#[cfg(any(test, feature = "test-util"))]
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // C13
    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(
            decode(&encode(&[0xfb, 0xff])).as_deref(),
            Some(&[0xfb, 0xff][..])
        );
        assert_eq!(decode("-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for other in [
            "-_8=", "-_9", "+/8", "-_8\n", "-_ 8", "-", "-_8-=", "-_8%3D",
        ] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
