//! The outside of a token: its three parts, its header, its signature.

use crate::{
    json::{self, Object, Value},
    jwt::{algorithm::Algorithm, base64url::decode, keys::jwk::VerifyingKey},
};

/// A token in its three parts. Nobody has checked more of it than the spelling of its payload.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    header: &'a str,
    payload: Vec<u8>,
    signing_input: &'a str,
    signature: &'a str,
}

/// What a header says that this crate listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Box<str>,
}

impl<'a> Token<'a> {
    /// Takes the compact serialization apart (RFC 7515 §3.1).
    pub(crate) fn parse(token: &'a str) -> Result<Self, &'static str> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or("not three parts")?;
        let (header, payload) = signing_input.split_once('.').ok_or("not three parts")?;
        // A fourth part would lie in the payload, whose alphabet has no dot.
        let payload = decode(payload).ok_or("the payload is not strict base64url")?;
        Ok(Self {
            header,
            payload,
            signing_input,
            signature,
        })
    }

    /// The header as it is written.
    pub(crate) fn header_text(&self) -> &'a str {
        self.header
    }

    /// Reads the header (C11–C13).
    ///
    /// Parameters that offer a key (`jku`, `jwk`, `x5u`, `x5c`) are never looked at (C12).
    pub(crate) fn header(&self) -> Result<Header, &'static str> {
        let header = decode(self.header).ok_or("the header is not strict base64url")?;
        let header =
            json::parse_object(&header).map_err(|_| "the header is not a strict JSON object")?;
        if header.contains("crit") {
            return Err("the header has `crit`");
        }
        match header.get("typ").map(Value::as_str) {
            None | Some(Some("JWT")) => {}
            Some(Some("at+jwt" | "application/at+jwt")) => {
                return Err("an OAuth access token (`at+jwt`), not a session's");
            }
            Some(_) => return Err("`typ` is not `JWT`"),
        }
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = Algorithm::from_name(algorithm.ok_or("`alg` is not a string")?)
            .ok_or("`alg` is none that a public key verifies")?;
        let kid = header.get("kid").and_then(Value::as_str);
        let kid = kid.ok_or("`kid` is not a string")?.into();
        Ok(Header { algorithm, kid })
    }

    /// What it claims, true or not: whose token it says it is must be known before its signature can be checked.
    pub(crate) fn claims(&self) -> Result<Object<'_>, &'static str> {
        json::parse_object(&self.payload).map_err(|_| "the payload is not a strict JSON object")
    }

    pub(crate) fn check_signature(&self, key: &VerifyingKey) -> Result<(), &'static str> {
        let signature = decode(self.signature).ok_or("the signature is not strict base64url")?;
        if key.verifies(self.signing_input.as_bytes(), &signature) {
            Ok(())
        } else {
            Err("the signature is wrong")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::base64url::encode;

    fn token(header: &str) -> String {
        format!("{}.e30.AA", encode(header.as_bytes()))
    }

    fn parse(header: &str) -> Result<(Algorithm, String), &'static str> {
        let token = token(header);
        let token = Token::parse(&token)?;
        let header = token.header()?;
        Ok((header.algorithm, header.kid.into()))
    }

    // C4, C13
    #[test]
    fn a_token_has_exactly_three_parts() {
        let valid = token(r#"{"alg":"RS256","kid":"k"}"#);
        assert!(Token::parse(&valid).unwrap().header().is_ok());
        for other in [
            "".into(),
            ".".into(),
            "..".into(),
            "...".into(),
            format!("{valid}."),
            format!(".{valid}"),
        ] {
            let token = Token::parse(&other);
            assert!(
                token.and_then(|token| token.header().map(drop)).is_err(),
                "{other}"
            );
        }
        let (two, _) = valid.rsplit_once('.').unwrap();
        assert_eq!(Token::parse(two).unwrap_err(), "not three parts");

        let payload = encode(&[b' '; 150]);
        for at in 0..=payload.len() {
            let (start, end) = payload.split_at(at);
            assert!(
                Token::parse(&format!("e30.{start}.{end}.AA")).is_err(),
                "{at}"
            );
        }
        assert!(Token::parse(&format!("e30.{payload}.AA")).is_ok());
    }

    // C11, C12, C13
    #[test]
    fn a_header_is_read_strictly() {
        let good = (Algorithm::Rs256, "k".to_owned());
        for header in [
            r#"{"alg":"RS256","kid":"k"}"#,
            r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#,
            r#"{"alg":"RS256","kid":"k","jku":"http://127.0.0.1:9/","x5u":1,"jwk":{},"x5c":[],"cat":"x"}"#,
        ] {
            assert_eq!(parse(header), Ok(good.clone()), "{header}");
        }
        for header in [
            r#"{"kid":"k"}"#,
            r#"{"alg":null,"kid":"k"}"#,
            r#"{"alg":256,"kid":"k"}"#,
            r#"{"alg":["RS256"],"kid":"k"}"#,
            r#"{"alg":"none","kid":"k"}"#,
            r#"{"alg":"None","kid":"k"}"#,
            r#"{"alg":"HS256","kid":"k"}"#,
            r#"{"alg":"rs256","kid":"k"}"#,
            r#"{"alg":"dir","enc":"A256GCM","kid":"k"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","kid":null}"#,
            r#"{"alg":"RS256","kid":["k"]}"#,
            r#"{"alg":"RS256","kid":"k","typ":"jwt"}"#,
            r#"{"alg":"RS256","kid":"k","typ":"at+jwt"}"#,
            r#"{"alg":"RS256","kid":"k","typ":"application/at+jwt"}"#,
            r#"{"alg":"RS256","kid":"k","typ":1}"#,
            r#"{"alg":"RS256","kid":"k","typ":null}"#,
            r#"{"alg":"RS256","kid":"k","crit":["exp"]}"#,
            r#"{"alg":"RS256","kid":"k","crit":[]}"#,
            r#"{"alg":"RS256","kid":"k","crit":null}"#,
            r#"{"alg":"none","alg":"RS256","kid":"k"}"#,
            r#"{"alg":"RS256","kid":"k","\u006bid":"k"}"#,
            r#"{"alg":"RS256","kid":"k"} x"#,
            "\u{feff}{\"alg\":\"RS256\",\"kid\":\"k\"}",
            "[]",
            "",
        ] {
            assert!(parse(header).is_err(), "{header}");
        }
    }
}
