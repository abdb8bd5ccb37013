//! The characters of a bearer token.

/// As many bytes as the compiler checks at once.
const LANES: usize = 16;

/// `token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`, RFC 9110 §11.2.
#[inline]
pub(crate) fn is_token68(token: &[u8]) -> bool {
    is_text(token) || is_padded_text(token)
}

fn is_padded_text(mut text: &[u8]) -> bool {
    while let [rest @ .., b'='] = text {
        text = rest;
    }
    is_text(text)
}

/// Whether each byte is legal before the padding, and there is one. By itself its constants stay in registers; inlined,
/// they are loaded anew at each step.
#[inline(never)]
fn is_text(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<LANES>() else {
        return !text.is_empty() && text.iter().all(|byte| is_legal(*byte));
    };
    // The last lanes overlap the ones before, so that no byte is left over. Without an early way out each step is two dozen
    // vector instructions.
    let mut legal = legal_lanes(last);
    for lanes in text.as_chunks().0 {
        for (legal, more) in legal.iter_mut().zip(legal_lanes(lanes)) {
            *legal &= more;
        }
    }
    legal == [u8::MAX; LANES]
}

/// A byte of ones for each legal one: masks, and not truths, are what vector instructions compare to.
#[expect(clippy::inline_always, reason = "its constants are loaded once then")]
#[inline(always)]
fn legal_lanes(lanes: &[u8; LANES]) -> [u8; LANES] {
    let mut legal = [0; LANES];
    for (legal, byte) in legal.iter_mut().zip(lanes) {
        *legal = u8::from(is_legal(*byte)).wrapping_neg();
    }
    legal
}

#[inline]
const fn is_legal(byte: u8) -> bool {
    // Lower-casing maps the two alphabets onto one, and no other legal character onto a letter.
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits stand in one row.
    let is_digit_or_mark = byte.wrapping_sub(b'-') < 13;
    is_letter | is_digit_or_mark | (byte == b'_') | (byte == b'~') | (byte == b'+')
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

    // C2: wherever the illegal byte stands.
    #[test]
    fn every_byte_of_a_token_is_checked() {
        for len in 1..70 {
            let legal = vec![b'x'; len];
            assert!(is_token68(&legal), "{len}");
            for position in 0..len {
                let mut token = legal.clone();
                token[position] = b',';
                assert!(!is_token68(&token), "{position} of {len}");
            }
        }
    }
}
