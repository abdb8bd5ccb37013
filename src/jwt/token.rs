//! The outside of a token: its three parts, its header, its signature.

use serde_json::Value;

use crate::json::{self, Object};
use crate::jwt::algorithm::Algorithm;
use crate::jwt::base64url::decode;
use crate::jwt::jwk::VerifyingKey;

/// A token whose form and header are as C13 asks, and whose signature nobody has checked yet.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: String,
    signing_input: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes the compact serialization apart (RFC 7515 §3.1) and reads the header (C11–C13).
    ///
    /// Parameters that offer a key (`jku`, `jwk`, `x5u`, `x5c`) are never looked at (C12).
    pub(crate) fn parse(token: &'a str) -> Result<Self, &'static str> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or("not three parts")?;
        let (header, payload) = signing_input.split_once('.').ok_or("not three parts")?;
        if payload.contains('.') {
            return Err("not three parts");
        }

        let header = object(
            header,
            "the header is not strict base64url",
            "the header is not a strict JSON object",
        )?;
        if header.contains_key("crit") {
            return Err("the header has `crit`");
        }
        if header
            .get("typ")
            .is_some_and(|typ| typ.as_str() != Some("JWT"))
        {
            return Err("`typ` is not `JWT`");
        }
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => {
                Algorithm::from_name(name).ok_or("`alg` is none that a public key verifies")?
            }
            _ => return Err("`alg` is not a string"),
        };
        let kid = match header.get("kid") {
            Some(Value::String(kid)) => kid.clone(),
            _ => return Err("`kid` is not a string"),
        };
        Ok(Self {
            algorithm,
            kid,
            signing_input,
            payload,
            signature,
        })
    }

    /// The claims, for one who has the key: they are not even decoded before the signature holds.
    pub(crate) fn verify(&self, key: &VerifyingKey) -> Result<Object, &'static str> {
        if key.algorithm() != self.algorithm {
            return Err("`alg` is not the key's algorithm");
        }
        let signature = decode(self.signature).ok_or("the signature is not strict base64url")?;
        if !key.verifies(self.signing_input.as_bytes(), &signature) {
            return Err("the signature is wrong");
        }
        object(
            self.payload,
            "the payload is not strict base64url",
            "the payload is not a strict JSON object",
        )
    }
}

fn object(
    part: &str,
    not_base64url: &'static str,
    not_json: &'static str,
) -> Result<Object, &'static str> {
    json::parse_object(&decode(part).ok_or(not_base64url)?).map_err(|_| not_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::base64url::encode;

    fn token(header: &str) -> String {
        format!("{}.e30.AA", encode(header.as_bytes()))
    }

    fn parse(header: &str) -> Result<(Algorithm, String), &'static str> {
        Token::parse(&token(header)).map(|token| (token.algorithm, token.kid))
    }

    // C4, C13
    #[test]
    fn a_token_has_exactly_three_parts() {
        let valid = token(r#"{"alg":"RS256","kid":"k"}"#);
        assert!(Token::parse(&valid).is_ok());
        for other in [
            "".into(),
            ".".into(),
            "..".into(),
            "...".into(),
            format!("{valid}."),
            format!(".{valid}"),
        ] {
            assert!(Token::parse(&other).is_err(), "{other}");
        }
        let (two, _) = valid.rsplit_once('.').unwrap();
        assert_eq!(Token::parse(two).unwrap_err(), "not three parts");
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
