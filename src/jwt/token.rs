//! The compact serialization of a token: its three parts, its header, its signature (RFC 7515).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{algorithm::Algorithm, base64url::decode, rejection::Reason};
use crate::json::{self, Object};

/// The three parts of a token. Nothing of them has been verified.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) header: Vec<u8>,
    payload: &'a str,
    pub(crate) signature: Vec<u8>,
    pub(crate) signing_input: &'a str,
}

impl<'a> Token<'a> {
    /// Splits the compact serialization (RFC 7515 §3.1) and decodes header and signature. A fourth part is left in the payload, where its dot is rejected.
    pub(crate) fn parse(token: &'a str) -> Result<Self, Reason> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or("not three parts")?;
        let (header, payload) = signing_input.split_once('.').ok_or("not three parts")?;
        Ok(Self {
            header: decode(header).ok_or("the header is not strict base64url")?,
            payload,
            signature: decode(signature).ok_or("the signature is not strict base64url")?,
            signing_input,
        })
    }

    pub(crate) fn payload(&self) -> Result<Vec<u8>, Reason> {
        decode(self.payload).ok_or("the payload is not strict base64url")
    }
}

/// The parameters that select the key (C11, C12). Parameters that offer a key (`jku`, `jwk`, `x5u`, `x5c`) are ignored.
#[derive(Debug, PartialEq)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow, default = "jwt")]
    typ: Cow<'a, str>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn jwt() -> Cow<'static, str> {
    "JWT".into()
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'a> Header<'a> {
    /// Reads these parameters and skips all others: the header is not authenticated yet. [`object`] reads it in full.
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, Reason> {
        let header: Parameters<'_> = serde_json::from_slice(json)
            .map_err(|_| "the header is not a JSON object with the strings `alg` and `kid`")?;
        if header.crit {
            return Err("the header has `crit`");
        }
        let typ = &*header.typ;
        if matches!(typ, "at+jwt" | "application/at+jwt") {
            return Err("an OAuth access token (`at+jwt`), not a session token");
        }
        if typ != "JWT" {
            return Err("`typ` is not `JWT`");
        }
        Ok(Self {
            algorithm: Algorithm::from_name(&header.alg)
                .ok_or("`alg` is not an algorithm of public keys")?,
            kid: header.kid,
        })
    }
}

#[derive(Deserialize)]
struct IssuerClaim<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
}

/// Reads `iss` and skips all other claims. It selects a key set and proves nothing: the signature is verified next.
pub(crate) fn unverified_issuer(payload: &[u8]) -> Result<Cow<'_, str>, Reason> {
    let claims: IssuerClaim<'_> = serde_json::from_slice(payload)
        .map_err(|_| "the payload is not a JSON object with the string `iss`")?;
    Ok(claims.iss)
}

/// Reads a header or payload in full and strictly. Call it only after the signature has been verified.
pub(crate) fn object(json: &[u8]) -> Result<Object, Reason> {
    json::parse_object(json).map_err(|_| "the header or the payload is not a strict JSON object")
}

/// An optional claim. If present it must be a string, and not `null`.
pub(crate) fn string<'a>(
    claims: &'a Object,
    name: &str,
    reason: Reason,
) -> Result<Option<&'a str>, Reason> {
    let claim = claims.get(name);
    claim.map(|value| value.as_str().ok_or(reason)).transpose()
}

/// A required claim: a string that is not empty.
pub(crate) fn text<'a>(claims: &'a Object, name: &str, reason: Reason) -> Result<&'a str, Reason> {
    string(claims, name, reason)?
        .filter(|text| !text.is_empty())
        .ok_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    // C4, C13
    #[test]
    fn token_without_three_parts_is_rejected() {
        let token = Token::parse("e30.YQ.AA").unwrap();
        assert_eq!(token.header, b"{}");
        assert_eq!(token.payload().unwrap(), b"a");
        assert_eq!(token.signature, [0]);
        assert_eq!(token.signing_input, "e30.YQ");
        for other in ["", "e30", "e30.AA"] {
            assert_eq!(Token::parse(other).unwrap_err(), "not three parts");
        }
        for other in ["e30=.YQ.AA", "e30.YQ.AA=", "e30.YQ.AB"] {
            assert!(Token::parse(other).is_err(), "{other}");
        }
        for other in ["...", "e30.Y.Q.AA", "e30.YQ..AA", "e30..YQ.AA"] {
            assert!(Token::parse(other).unwrap().payload().is_err(), "{other}");
        }
    }

    // C11, C12, C13
    #[test]
    fn header_is_read_strictly() {
        let parameters = r#""alg":"RS256","kid":"k""#;
        let expected = Header {
            algorithm: Algorithm::Rs256,
            kid: "k".into(),
        };
        for more in [
            "",
            r#","typ":"JWT""#,
            r#","jku":"http://127.0.0.1:9/","x5u":1,"jwk":{},"x5c":[],"cat":"x""#,
        ] {
            let header = format!("{{{parameters}{more}}}");
            assert_eq!(Header::read(header.as_bytes()).as_ref(), Ok(&expected));
        }
        for more in [
            r#","typ":"jwt""#,
            r#","typ":"at+jwt""#,
            r#","typ":"application/at+jwt""#,
            r#","typ":"JWS""#,
            r#","typ":1"#,
            r#","typ":null"#,
            r#","crit":["exp"]"#,
            r#","crit":[]"#,
            r#","crit":null"#,
            r#","alg":"none""#,
            r#","\u006bid":"k""#,
        ] {
            let header = format!("{{{parameters}{more}}}");
            assert!(Header::read(header.as_bytes()).is_err(), "{header}");
        }
        for header in [
            r#"{"kid":"k"}"#,
            r#"{"alg":null,"kid":"k"}"#,
            r#"{"alg":["RS256"],"kid":"k"}"#,
            r#"{"alg":"none","kid":"k"}"#,
            r#"{"alg":"HS256","kid":"k"}"#,
            r#"{"alg":"rs256","kid":"k"}"#,
            r#"{"alg":"dir","enc":"A256GCM","kid":"k"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","kid":null}"#,
            r#"{"alg":"RS256","kid":"k"} x"#,
            "\u{feff}{\"alg\":\"RS256\",\"kid\":\"k\"}",
            "",
        ] {
            assert!(Header::read(header.as_bytes()).is_err(), "{header}");
        }
    }

    // T2, T3
    #[test]
    fn unverified_issuer_is_the_only_top_level_iss() {
        for (payload, issuer) in [
            (r#"{"iss":"a"}"#, Some("a")),
            (r#"{"x":{"iss":"b"},"iss":"a","y":[{"iss":1}]}"#, Some("a")),
            (r#"{"\u0069ss":"\u0061"}"#, Some("a")),
            (r#"{"iss":"a","\u0069ss":"a"}"#, None),
            (r#"{"iss":null}"#, None),
            (r#"{"iss":["a"]}"#, None),
            (r#"{"x":{"iss":"a"}}"#, None),
            (r#"{"iss":"a"}x"#, None),
            ("", None),
        ] {
            let read = unverified_issuer(payload.as_bytes()).ok();
            assert_eq!(read.as_deref(), issuer, "{payload}");
        }
    }
}
