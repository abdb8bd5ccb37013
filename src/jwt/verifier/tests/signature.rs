use serde_json::json;

use super::*;

#[test]
fn verifier_is_send_and_sync() {
    fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<JwtVerifier>();
    shared::<KeySet>();
}

// C11
#[test]
fn each_algorithm_passes_if_it_is_accepted() {
    for algorithm in Algorithm::ALL {
        let issuer = issuer().with_algorithm(algorithm);
        let token = issuer.token().sign();
        assert_eq!(
            reason(&verifier(&issuer), &token),
            "accepted",
            "{algorithm}"
        );

        let others = verifier(&issuer).with_algorithms(
            Algorithm::ALL
                .into_iter()
                .filter(|other| *other != algorithm),
        );
        assert_eq!(
            reason(&others, &token),
            "`alg` is not an accepted algorithm",
            "{algorithm}"
        );
        assert_eq!(
            reason(&others.with_algorithms([]), &token),
            "`alg` is not an accepted algorithm",
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
fn algorithm_of_another_key_type_is_rejected() {
    for (key, claimed) in Algorithm::ALL
        .into_iter()
        .flat_map(|key| [(key, Algorithm::Rs256), (key, Algorithm::Es256)])
    {
        let issuer = issuer().with_algorithm(key);
        let token = issuer.token().with_header("alg", claimed.as_str()).sign();
        let expected = if key == claimed {
            "accepted"
        } else {
            "`alg` is not the algorithm of the key"
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
fn none_and_hmac_are_rejected() {
    let issuer = issuer();
    let verifier = verifier(&issuer);
    let expected = "`alg` is not an algorithm of public keys";
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
fn forged_signature_is_rejected() {
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
fn key_inside_the_token_is_ignored() {
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
        let no_kid = "the header is not a JSON object with the strings `alg` and `kid`";
        assert_eq!(reason(&verifier, &without_kid), no_kid, "{name}");
        let genuine = issuer.token().with_header(name, value).sign();
        assert_eq!(reason(&verifier, &genuine), "accepted", "{name}");
    }
}

// T1, C12
#[test]
fn unpublished_kid_is_rejected() {
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
fn token_of_another_issuer_is_rejected() {
    let (ours, theirs) = (issuer(), TestIssuer::new("https://other.test"));
    assert_eq!(ours.kid(), theirs.kid());
    // With one issuer, the payload is not read before the signature is good.
    let wrong_signature = "the signature is wrong";
    assert_eq!(
        reason(&verifier(&ours), &theirs.token().sign()),
        wrong_signature
    );
    let posing = theirs.token().with_claim("iss", ISSUER).sign();
    assert_eq!(reason(&verifier(&ours), &posing), wrong_signature);
    let same_keys = JwtVerifier::new(ISSUER, theirs.key_set());
    let unknown = "`iss` is not a configured issuer";
    assert_eq!(reason(&same_keys, &theirs.token().sign()), unknown);

    let third = Issuer::new("https://third.test", KeySet::unavailable());
    let several = verifier(&ours).with_issuer(third);
    assert_eq!(reason(&several, &theirs.token().sign()), unknown);
    assert_eq!(reason(&several, &ours.token().sign()), "accepted");
}

// C13, T2
// C13
// C13, T4
// C14
// C31
// T3: the places that the property may miss.
