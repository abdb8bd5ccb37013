//! Algorithms and keys (C11, C12).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use coverbase_auth::Algorithm;
use serde_json::{Value, json};

use super::*;

#[test]
fn rs256_es256_and_eddsa_are_accepted_by_default() {
    for (algorithm, by_default) in [
        (Algorithm::Rs256, None),
        (Algorithm::Es256, None),
        (Algorithm::EdDsa, None),
        (Algorithm::Es384, INVALID),
        (Algorithm::Ps256, INVALID),
    ] {
        let issuer = issuer().with_algorithm(algorithm);
        let token = issuer.token().sign();
        assert_eq!(
            rejection(&layer(verifier(&issuer)), &token),
            by_default,
            "{algorithm}"
        );
        let listed = layer(verifier(&issuer).with_algorithms([algorithm]));
        assert_eq!(rejection(&listed, &token), None, "{algorithm}");
        let unlisted = layer(verifier(&issuer).with_algorithms([Algorithm::Rs512]));
        assert_eq!(rejection(&unlisted, &token), INVALID, "{algorithm}");
    }
}

#[test]
fn none_hmac_and_other_algorithms_are_rejected() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let of = |alg: &str| issuer.token().with_header("alg", alg).sign();
    let with_signature = |token: &str, signature: &[u8]| {
        let (input, _) = token.rsplit_once('.').unwrap();
        format!("{input}.{}", BASE64URL.encode(signature))
    };
    for alg in [
        "none", "None", "NONE", "", "RS256", "EdDSA", "es256", "ES256K", "ES384",
    ] {
        assert_eq!(rejection(&layer, &of(alg)), INVALID, "{alg}");
        assert_eq!(
            rejection(&layer, &with_signature(&of(alg), &[])),
            INVALID,
            "{alg}"
        );
    }
    let (input, secrets) = (of("HS256"), [issuer.jwks_json(), String::new()]);
    for secret in secrets {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let input = input.rsplit_once('.').unwrap().0;
        let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
        assert_eq!(
            rejection(&layer, &with_signature(&format!("{input}."), tag.as_ref())),
            INVALID
        );
    }
    let good = of("ES256");
    for zero in [vec![0; 64], vec![], vec![0; 72]] {
        assert_eq!(rejection(&layer, &with_signature(&good, &zero)), INVALID);
    }
    assert_eq!(rejection(&layer, &good), None);
}

#[test]
fn key_inside_the_token_is_ignored() {
    let (trusted, attacker) = (issuer(), issuer());
    let layer = layer(verifier(&trusted));
    let jwks: Value = serde_json::from_str(&attacker.jwks_json()).unwrap();
    let offer = |token: TestToken<'_>| {
        let token = token
            .with_header("jwk", &jwks["keys"][0])
            .with_header("jku", "http://127.0.0.1:9/jwks");
        token
            .with_header("x5u", "http://127.0.0.1:9/x5u")
            .with_header("x5c", ["AA"])
            .sign()
    };
    assert_eq!(rejection(&layer, &offer(attacker.token())), INVALID);
    assert_eq!(rejection(&layer, &offer(trusted.token())), None);

    for kid in [
        json!("ins_test_2"),
        json!(""),
        json!("INS_TEST_1"),
        json!("../ins_test_1"),
        json!(1),
        json!(null),
    ] {
        assert_eq!(
            changed(&layer, &trusted, |it| it.with_header("kid", &kid)),
            INVALID,
            "{kid}"
        );
    }
    assert_eq!(
        changed(&layer, &trusted, |it| it.without_header("kid")),
        INVALID
    );
    assert_eq!(
        changed(&layer, &trusted, |it| it.with_header("kid", trusted.kid())),
        None
    );
}

#[test]
fn token_of_another_issuer_with_the_same_kid_is_rejected() {
    let [ours, theirs] = [ISSUER, "https://clerk.other.test"].map(TestIssuer::new);
    assert_eq!(ours.kid(), theirs.kid());
    let layer = layer(verifier(&ours));
    assert_eq!(rejection(&layer, &ours.token().sign()), None);
    assert_eq!(rejection(&layer, &theirs.token().sign()), INVALID);
    // The key of one issuer with the name of the other.
    assert_eq!(
        changed(&layer, &theirs, |it| it.with_claim("iss", ISSUER)),
        INVALID
    );
    assert_eq!(
        changed(&layer, &ours, |it| it.with_claim("iss", theirs.issuer())),
        INVALID
    );
}

#[test]
fn token_of_a_withdrawn_key_is_rejected() {
    let mut issuer = issuer();
    let (before, old_layer) = (issuer.token().sign(), layer(verifier(&issuer)));
    issuer.rotate();
    let (after, new_layer) = (issuer.token().sign(), layer(verifier(&issuer)));
    assert_eq!(
        [
            rejection(&old_layer, &before),
            rejection(&old_layer, &after)
        ],
        [None, INVALID]
    );
    assert_eq!(
        [
            rejection(&new_layer, &before),
            rejection(&new_layer, &after)
        ],
        [INVALID, None]
    );
}
