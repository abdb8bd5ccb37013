//! Headers that have been read before: an issuer writes one and the same into all tokens of a key.

use std::fmt;
use std::sync::OnceLock;

use crate::jwt::token::Header;

/// As many texts are known: an issuer signs with one key or two at a time, and writes one header for each.
const MAX: usize = 4;

/// What the first few headers of verified tokens say, by their text. The same text says the same, so nothing is believed
/// that reading it again would not tell.
#[derive(Default)]
pub(crate) struct Headers {
    read: [OnceLock<(Box<str>, Header)>; MAX],
}

impl Headers {
    /// What just this text says, where it is known.
    pub(crate) fn get(&self, text: &str) -> Option<&Header> {
        let mut read = self.read.iter().map_while(OnceLock::get);
        let (_, header) = read.find(|(known, _)| **known == *text)?;
        Some(header)
    }

    /// Only for a token whose signature and claims are good: other tokens' headers would fill the few places.
    pub(crate) fn insert(&self, text: &str, header: &Header) {
        for place in &self.read {
            // Another token may have brought the same text while the signature of this one was checked.
            let (known, _) = place.get_or_init(|| (text.into(), header.clone()));
            if **known == *text {
                return;
            }
        }
    }
}

/// No part of a token (C33).
impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Headers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::algorithm::Algorithm;

    fn header(kid: &str) -> Header {
        Header {
            algorithm: Algorithm::Es256,
            kid: kid.into(),
        }
    }

    #[test]
    fn the_same_text_says_the_same() {
        let headers = Headers::default();
        headers.insert("text", &header("kid"));
        assert_eq!(headers.get("text"), Some(&header("kid")));
        for other in ["", "tex", "texts", "Text", " text"] {
            assert_eq!(headers.get(other), None, "{other}");
        }
    }

    #[test]
    fn the_first_few_are_known() {
        let headers = Headers::default();
        for kid in 0..2 * MAX {
            headers.insert(&format!("text {kid}"), &header(&kid.to_string()));
        }
        for kid in 0..2 * MAX {
            let expected = (kid < MAX).then(|| header(&kid.to_string()));
            assert_eq!(headers.get(&format!("text {kid}")), expected.as_ref());
        }
    }

    #[test]
    fn the_same_text_takes_one_place_however_often_it_comes() {
        let headers = Headers::default();
        for _ in 0..2 * MAX {
            headers.insert("text", &header("kid"));
        }
        headers.insert("other", &header("other"));
        assert_eq!(headers.get("other"), Some(&header("other")));
    }
}
