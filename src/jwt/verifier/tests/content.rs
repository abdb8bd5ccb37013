use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn similar_issuer_is_rejected() {
    let issuer = issuer();
    let verifier = verifier(&issuer);
    for name in [
        json!("https://clerk.coverbase.test/"),
        json!("https://clerk.coverbase.test@evil.test"),
        json!("https://CLERK.coverbase.test"),
        json!("https://clerk.coverbase.test\0"),
        json!(""),
        json!(null),
        json!([ISSUER]),
    ] {
        let token = issuer.token().with_claim("iss", name.clone()).sign();
        assert_ne!(reason(&verifier, &token), "accepted", "{name}");
    }
    let token = issuer.token().without_claim("iss").sign();
    assert_eq!(reason(&verifier, &token), "`iss` is not a non-empty string");
    let nameless = JwtVerifier::new("", issuer.key_set());
    let token = issuer.token().with_claim("iss", "").sign();
    assert_ne!(reason(&nameless, &token), "accepted");
}

#[test]
fn signed_token_that_is_not_strict_json_is_rejected() {
    let issuer = issuer();
    let verifier = verifier(&issuer);
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, issuer.kid());
    let claims = format!(
        r#"{{"v":2,"iss":"{ISSUER}","sub":"u","sid":"s","o":{{"id":"org_a","rol":"admin"}},"exp":{}}}"#,
        NOW + 50
    );
    assert_eq!(
        reason(&verifier, &issuer.sign_raw(&header, &claims)),
        "accepted"
    );

    let inside = &claims[1..claims.len() - 1];
    for other in [
        format!("{{{inside},\"exp\":1}}"),
        format!("{{\"\\u0065xp\":1,{inside}}}"),
        format!("{{{inside},\"x\":[{{\"a\":1,\"a\":1}}]}}"),
        format!("{claims}x"),
        format!("{claims}{claims}"),
        format!("\u{feff}{claims}"),
        format!("[{claims}]"),
        issuer.token().sign(),
        String::new(),
    ] {
        let token = issuer.sign_raw(&header, &other);
        assert_eq!(
            reason(&verifier, &token),
            "the header or the payload is not a strict JSON object",
            "{other}"
        );
    }
    let inside = &header[1..header.len() - 1];
    for (other, expected) in [
        (
            format!("{{{inside},{inside}}}"),
            "the header is not a JSON object with the strings `alg` and `kid`",
        ),
        (
            format!("{{{inside},\"x\":[{{\"a\":1,\"\\u0061\":1}}]}}"),
            "the header or the payload is not a strict JSON object",
        ),
        (
            format!("[\"ES256\",\"{}\"]", issuer.kid()),
            "the header or the payload is not a strict JSON object",
        ),
    ] {
        let token = issuer.sign_raw(&other, &claims);
        assert_eq!(reason(&verifier, &token), expected, "{other}");
    }
}

#[test]
fn leeway_is_five_seconds_by_default_and_rounded_down() {
    let issuer = issuer();
    let token = issuer.token().with_times(NOW, NOW + 60).sign();
    let five = verifier(&issuer);
    let none = verifier(&issuer).with_leeway(Duration::from_millis(999));
    for (verifier, leeway) in [(five, 5), (none, 0)] {
        assert_eq!(
            outcome(verifier.verify(&token, NOW - leeway - 1)),
            "`nbf` is in the future"
        );
        assert!(verifier.verify(&token, NOW - leeway).is_ok());
        assert!(verifier.verify(&token, NOW + 60 + leeway - 1).is_ok());
        assert_eq!(
            outcome(verifier.verify(&token, NOW + 60 + leeway)),
            "expired"
        );
    }
}

#[test]
fn empty_list_of_parties_or_audiences_accepts_no_token() {
    let issuer = issuer();
    let token = issuer.token().sign();
    let narrow = verifier(&issuer).with_authorized_parties(["https://other.test"]);
    assert_eq!(reason(&narrow, &token), "`azp` is not an authorized party");
    assert_eq!(
        reason(
            &narrow
                .clone()
                .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY]),
            &token
        ),
        "accepted"
    );
    assert_eq!(
        reason(&narrow.with_authorized_parties([""; 0]), &token),
        "`azp` is not an authorized party"
    );

    let audience = issuer.token().with_claim("aud", "api").sign();
    assert_eq!(
        reason(&verifier(&issuer), &audience),
        "`aud` names no configured audience"
    );
    assert_eq!(
        reason(&verifier(&issuer).with_audiences(["api"]), &audience),
        "accepted"
    );
    assert_eq!(
        reason(&verifier(&issuer).with_audiences([""; 0]), &token),
        "`aud` is missing"
    );
}

#[test]
fn unavailable_key_set_is_told_from_an_invalid_token() {
    let issuer = issuer();
    let verifier = JwtVerifier::new(ISSUER, KeySet::unavailable());
    assert_eq!(reason(&verifier, &issuer.token().sign()), "unavailable");
    // A token that no key verifies is rejected at once.
    let token = issuer.token().with_header("typ", "at+jwt").sign();
    let expected = "an OAuth access token (`at+jwt`), not a session token";
    assert_eq!(reason(&verifier, &token), expected);
    // An algorithm that is not accepted needs no key (C11, C12).
    let (others, token) = (verifier.with_algorithms([]), issuer.token().sign());
    assert_eq!(
        reason(&others, &token),
        "`alg` is not an accepted algorithm"
    );
}

/// One edit of a token's text.
fn edit() -> impl Strategy<Value = (u8, prop::sample::Index, u8)> {
    (0..5_u8, any::<prop::sample::Index>(), 0x20..0x7f_u8)
}

proptest! {
    // T3
    #[test]
    fn second_spelling_is_rejected(edits in prop::collection::vec(edit(), 1..4), key in 0..3_usize) {
        static ISSUERS: std::sync::LazyLock<[(JwtVerifier, String); 3]> = std::sync::LazyLock::new(|| {
            [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| {
                let issuer = issuer().with_algorithm(algorithm);
                (verifier(&issuer), issuer.token().sign())
            })
        });
        let (verifier, token) = &ISSUERS[key];
        let mut spelling = token.clone().into_bytes();
        for (kind, index, byte) in edits {
            let at = index.index(spelling.len());
            match kind {
                0 => spelling[at] = byte,
                1 => spelling.insert(at, byte),
                2 => drop(spelling.remove(at)),
                3 => spelling.push(byte),
                _ => spelling[at] = if spelling[at].is_ascii_uppercase() {
                    spelling[at].to_ascii_lowercase()
                } else {
                    spelling[at].to_ascii_uppercase()
                },
            }
        }
        let spelling = String::from_utf8(spelling).unwrap();
        prop_assert!(verifier.verify(token, NOW).is_ok());
        prop_assert_eq!(spelling == *token, verifier.verify(&spelling, NOW).is_ok());
    }

    // T19
    #[test]
    fn no_text_panics(text in any::<String>(), header in any::<String>(), claims in any::<Vec<u8>>()) {
        static ISSUER: std::sync::LazyLock<TestIssuer> = std::sync::LazyLock::new(issuer);
        let verifier = verifier(&ISSUER);
        prop_assert!(verifier.verify(&text, NOW).is_err());
        prop_assert!(verifier.verify(&ISSUER.sign_raw(header, claims), NOW).is_err());
    }
}

#[test]
fn other_last_character_is_rejected() {
    let issuer = issuer();
    let verifier = verifier(&issuer);
    let token = issuer.token().sign();
    for (end, _) in token.match_indices('.').chain([(token.len(), "")]) {
        for padding in ["=", "==", "\n", " ", "A"] {
            let padded = format!("{}{padding}{}", &token[..end], &token[end..]);
            assert_ne!(reason(&verifier, &padded), "accepted");
        }
        for last in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/" {
            let mut other = token.clone().into_bytes();
            other[end - 1] = *last;
            let other = String::from_utf8(other).unwrap();
            assert_eq!(reason(&verifier, &other) == "accepted", other == token);
        }
    }
}
