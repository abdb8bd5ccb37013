//! Headers that have been read before: an issuer writes one and the same into all tokens of a key.

use std::sync::OnceLock;

use crate::jwt::token::Header;

/// More keys than an issuer signs with at one time.
const MAX: usize = 4;

/// What the first few headers of verified tokens say, by their text. The same text says the same, so nothing is believed
/// that reading it again would not tell.
#[derive(Debug, Default)]
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

    /// Only for the header of a token with a good signature: whoever has none would fill the few places.
    pub(crate) fn insert(&self, text: &str, header: Header) {
        let mut places = self.read.iter();
        // A place that is taken gives back what was to be put there.
        let _left_over =
            places.try_fold((text.into(), header), |entry, place| place.set(entry).err());
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
        headers.insert("text", header("kid"));
        assert_eq!(headers.get("text"), Some(&header("kid")));
        for other in ["", "tex", "texts", "Text", " text"] {
            assert_eq!(headers.get(other), None, "{other}");
        }
    }

    #[test]
    fn the_first_few_are_known() {
        let headers = Headers::default();
        for kid in 0..2 * MAX {
            headers.insert(&format!("text {kid}"), header(&kid.to_string()));
        }
        for kid in 0..2 * MAX {
            let expected = (kid < MAX).then(|| header(&kid.to_string()));
            assert_eq!(headers.get(&format!("text {kid}")), expected.as_ref());
        }
    }
}
