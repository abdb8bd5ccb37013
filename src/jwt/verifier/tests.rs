use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{jwt::base64url, testing::TestIssuer};

const ISSUER: &str = "https://clerk.coverbase.test";
const NOW: u64 = 1_800_000_000;

const EVERY: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER)
}

fn verifier(issuer: &TestIssuer) -> JwtVerifier {
    JwtVerifier::new(ISSUER, issuer.key_set()).with_algorithms(EVERY)
}

fn reason(verifier: &JwtVerifier, token: &str) -> &'static str {
    refusal(verifier.verify(token, NOW))
}

fn refusal(answer: Result<Principal, JwtRefusal>) -> &'static str {
    match answer {
        Ok(_) => "accepted",
        Err(JwtRefusal::Invalid(reason)) => reason,
        Err(JwtRefusal::KeySetUnavailable) => "unavailable",
        Err(JwtRefusal::Waiting(_)) => "waiting",
    }
}

/// `token` with another signature.
fn resigned(token: &str, signature: &[u8]) -> String {
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    format!("{signing_input}.{}", base64url::encode(signature))
}

#[test]
fn a_verifier_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<JwtVerifier>();
    shared::<KeySet>();
}

// C11
#[test]
fn each_algorithm_passes_with_its_own_key_where_it_is_on_the_list() {
    for algorithm in EVERY {
        let issuer = issuer().with_algorithm(algorithm);
        let token = issuer.token().sign();
        assert_eq!(
            reason(&verifier(&issuer), &token),
            "accepted",
            "{algorithm}"
        );

        let others = verifier(&issuer)
            .with_algorithms(EVERY.into_iter().filter(|other| *other != algorithm));
        assert_eq!(
            reason(&others, &token),
            "`alg` is not on the list",
            "{algorithm}"
        );
        assert_eq!(
            reason(&others.with_algorithms([]), &token),
            "`alg` is not on the list",
            "{algorithm}"
        );

        let default = JwtVerifier::new(ISSUER, issuer.key_set())
            .verify(&token, NOW)
            .is_ok();
        let by_default = matches!(
            algorithm,
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa
        );
        assert_eq!(default, by_default, "{algorithm}");
    }
}

// T1, C11
#[test]
fn an_algorithm_of_another_key_type_is_refused() {
    for (key, claimed) in EVERY
        .into_iter()
        .flat_map(|key| [(key, Algorithm::Rs256), (key, Algorithm::Es256)])
    {
        let issuer = issuer().with_algorithm(key);
        let token = issuer.token().with_header("alg", claimed.as_str()).sign();
        let expected = if key == claimed {
            "accepted"
        } else {
            "`alg` is not the key's algorithm"
        };
        assert_eq!(
            reason(&verifier(&issuer), &token),
            expected,
            "{key} {claimed}"
        );
    }
}

// T1
#[test]
fn none_and_hmac_are_refused() {
    let issuer = issuer();
    let verifier = verifier(&issuer);
    let expected = "`alg` is none that a public key verifies";
    for name in ["none", "None", "NONE", ""] {
        let token = issuer.token().with_header("alg", name).sign();
        assert_eq!(reason(&verifier, &token), expected);
        assert_eq!(reason(&verifier, &resigned(&token, b"")), expected);
    }
    let token = issuer.token().with_header("alg", "HS256").sign();
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    for secret in [issuer.jwks_json().into_bytes(), Vec::new()] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let tag = aws_lc_rs::hmac::sign(&key, signing_input.as_bytes());
        assert_eq!(reason(&verifier, &resigned(&token, tag.as_ref())), expected);
    }
}

// T1
#[test]
fn a_made_up_signature_is_refused() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = issuer().with_algorithm(algorithm);
        let verifier = verifier(&issuer);
        let token = issuer.token().sign();
        let signature = base64url::decode(token.rsplit_once('.').unwrap().1).unwrap();
        let size = signature.len();
        let mut flipped = signature.clone();
        flipped[0] ^= 1;
        for forged in [
            vec![],
            vec![0; size],
            vec![0xff; size],
            signature[..size - 1].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            flipped,
        ] {
            assert_eq!(
                reason(&verifier, &resigned(&token, &forged)),
                "the signature is wrong",
                "{algorithm}"
            );
        }
        assert_eq!(reason(&verifier, &resigned(&token, &signature)), "accepted");
    }
}

// T1, C12
#[test]
fn a_key_that_the_token_brings_is_ignored() {
    let (issuer, attacker) = (issuer(), issuer());
    let verifier = verifier(&issuer);
    let jwk =
        serde_json::from_str::<serde_json::Value>(&attacker.jwks_json()).unwrap()["keys"][0].take();
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:9/jwks.json")),
        ("x5u", json!("http://127.0.0.1:9/key.pem")),
        ("x5c", json!(["AAAA"])),
    ] {
        let forged = attacker.token().with_header(name, value.clone());
        assert_eq!(
            reason(&verifier, &forged.clone().sign()),
            "the signature is wrong",
            "{name}"
        );
        let without_kid = forged.without_header("kid").sign();
        assert_eq!(
            reason(&verifier, &without_kid),
            "`kid` is not a string",
            "{name}"
        );
        let genuine = issuer.token().with_header(name, value).sign();
        assert_eq!(reason(&verifier, &genuine), "accepted", "{name}");
    }
}

// T1, C12
#[test]
fn a_kid_is_exact_and_names_only_what_is_published() {
    let mut issuer = issuer();
    let retired = issuer.token().sign();
    let before = verifier(&issuer);
    issuer.rotate();
    let after = verifier(&issuer);
    assert_eq!(reason(&before, &retired), "accepted");
    assert_eq!(reason(&after, &retired), "`kid` is not in the key set");
    assert_eq!(reason(&after, &issuer.token().sign()), "accepted");
    for kid in [
        "INS_TEST_2",
        "ins_test_2 ",
        "../../dev/null",
        "x' UNION SELECT '1';-- ",
        "",
        "a\r\nb",
    ] {
        let token = issuer.token().with_header("kid", kid).sign();
        assert_eq!(
            reason(&after, &token),
            "`kid` is not in the key set",
            "{kid}"
        );
    }
}

// T2
#[test]
fn a_kid_of_another_issuer_finds_nothing() {
    let (ours, theirs) = (issuer(), TestIssuer::new("https://other.test"));
    assert_eq!(ours.kid(), theirs.kid());
    assert_eq!(
        reason(&verifier(&ours), &theirs.token().sign()),
        "`iss` is not a configured issuer"
    );
    let posing = theirs.token().with_claim("iss", ISSUER).sign();
    assert_eq!(reason(&verifier(&ours), &posing), "the signature is wrong");
    let same_keys = JwtVerifier::new(ISSUER, theirs.key_set());
    assert_eq!(
        reason(&same_keys, &theirs.token().sign()),
        "`iss` is not a configured issuer"
    );
}

// C13, T2
#[test]
fn the_issuer_is_compared_whole() {
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
    let nobody = JwtVerifier::new("", issuer.key_set());
    let token = issuer.token().with_claim("iss", "").sign();
    assert_ne!(reason(&nobody, &token), "accepted");
}

// C13
#[test]
fn what_is_signed_is_still_read_strictly() {
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
            "the payload is not a strict JSON object",
            "{other}"
        );
    }
    let twice = format!("{},{}", &header[..header.len() - 1], &header[1..]);
    let token = issuer.sign_raw(twice, &claims);
    assert_eq!(
        reason(&verifier, &token),
        "the header is not a strict JSON object"
    );
}

// C13, T4
#[test]
fn the_leeway_is_whole_seconds_and_five_by_default() {
    let issuer = issuer();
    let token = issuer.token().with_times(NOW, NOW + 60).sign();
    let five = verifier(&issuer);
    let none = verifier(&issuer).with_leeway(Duration::from_millis(999));
    for (verifier, leeway) in [(five, 5), (none, 0)] {
        assert_eq!(
            refusal(verifier.verify(&token, NOW - leeway - 1)),
            "`nbf` is in the future"
        );
        assert!(verifier.verify(&token, NOW - leeway).is_ok());
        assert!(verifier.verify(&token, NOW + 60 + leeway - 1).is_ok());
        assert_eq!(
            refusal(verifier.verify(&token, NOW + 60 + leeway)),
            "expired"
        );
    }
}

// C14
#[test]
fn parties_and_audiences_are_replaced_and_an_empty_list_lets_nobody_in() {
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

// C31
#[test]
fn a_set_that_cannot_answer_is_not_a_bad_token() {
    let issuer = issuer();
    let verifier = JwtVerifier::new(ISSUER, KeySet::unavailable());
    assert_eq!(reason(&verifier, &issuer.token().sign()), "unavailable");
    // What no key could mend is told at once.
    let token = issuer.token().with_header("typ", "at+jwt").sign();
    let expected = "an OAuth access token (`at+jwt`), not a session's";
    assert_eq!(reason(&verifier, &token), expected);
    // Nor does an algorithm that is not on the list ask for a key (C11, C12).
    let (others, token) = (verifier.with_algorithms([]), issuer.token().sign());
    assert_eq!(reason(&others, &token), "`alg` is not on the list");
}

/// One edit of a token's text.
fn edit() -> impl Strategy<Value = (u8, prop::sample::Index, u8)> {
    (0..5_u8, any::<prop::sample::Index>(), 0x20..0x7f_u8)
}

proptest! {
    // T3
    #[test]
    fn a_second_spelling_never_passes(edits in prop::collection::vec(edit(), 1..4), key in 0..3_usize) {
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

// T3: what the property may miss is tried one by one.
#[test]
fn each_last_character_has_one_spelling() {
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
