//! Headers that have been read before: an issuer writes one and the same into all tokens of a key.

use std::{fmt, sync::OnceLock};

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
    use crate::{
        jwt::{
            algorithm::Algorithm,
            base64url::encode,
            verifier::{JwtRefusal, JwtVerifier},
        },
        testing::TestIssuer,
    };

    const ISSUER: &str = "https://clerk.coverbase.test";
    const NOW: u64 = 1_800_000_000;

    fn header(kid: &str) -> Header {
        Header {
            algorithm: Algorithm::Es256,
            kid: kid.into(),
        }
    }

    fn reason(verifier: &JwtVerifier, token: &str) -> &'static str {
        match verifier.verify(token, NOW) {
            Ok(_) => "accepted",
            Err(JwtRefusal::Invalid(reason)) => reason,
            Err(_) => "unavailable",
        }
    }

    /// `token` with another signature.
    fn resigned(token: &str) -> String {
        let (signing_input, _) = token.rsplit_once('.').unwrap();
        format!("{signing_input}.{}", encode(&[1; 64]))
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

    // C11, T1
    #[test]
    fn a_header_that_has_been_read_before_opens_nothing_more() {
        let issuer = TestIssuer::new(ISSUER);
        let key_set = issuer.key_set();
        let verifier = JwtVerifier::new(ISSUER, key_set.clone()).with_remembered_tokens(0);
        let keys = key_set.keys().unwrap();
        let token = issuer.token().sign();
        let (header, rest) = token.split_once('.').unwrap();

        for number in 0..10 {
            let forged = issuer.token().with_header("x", number).sign();
            assert_eq!(
                reason(&verifier, &resigned(&forged)),
                "the signature is wrong"
            );
            let refused = issuer.token().with_header("x", number).with_claim("azp", 1);
            let refused = refused.sign();
            assert_eq!(reason(&verifier, &refused), "`azp` is not a string");
            for token in [forged, refused] {
                let (header, _) = token.split_once('.').unwrap();
                assert!(keys.headers().get(header).is_none(), "{number}");
            }
        }
        assert_eq!(reason(&verifier, &token), "accepted");
        assert!(keys.headers().get(header).is_some());

        assert_eq!(reason(&verifier, &token), "accepted");
        let forged = resigned(&token);
        assert_eq!(reason(&verifier, &forged), "the signature is wrong");
        let other_payload = issuer.token().with_subject("user_2").sign();
        let (_, signature) = other_payload.rsplit_once('.').unwrap();
        let (payload, _) = rest.split_once('.').unwrap();
        let mixed = format!("{header}.{payload}.{signature}");
        assert_eq!(reason(&verifier, &mixed), "the signature is wrong");
        // Another verifier of the same keys has a list of its own.
        assert_eq!(
            reason(&verifier.with_algorithms([Algorithm::Rs256]), &token),
            "`alg` is not on the list"
        );
    }
}
