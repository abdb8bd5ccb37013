use serde_json::{Value, json};

use super::*;
use crate::{
    jwt::{
        algorithm::Algorithm,
        base64url::{decode, encode},
        keys::verification_keys::{MAX_BYTES, Unverified},
    },
    testing::TestIssuer,
};

fn jwk(algorithm: Algorithm) -> Value {
    let jwks = TestIssuer::new("https://clerk.coverbase.test")
        .with_algorithm(algorithm)
        .jwks_json();
    let mut jwks: Value = serde_json::from_str(&jwks).unwrap();
    jwks["keys"][0].take()
}

fn set(keys: &[&Value]) -> Result<KeySet, KeySetError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string())
}

fn with(jwk: &Value, name: &str, value: Value) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value;
    jwk
}

fn without(jwk: &Value, name: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove(name).unwrap();
    jwk
}

fn reason(jwk: &Value) -> String {
    set(&[jwk]).unwrap_err().unusable_keys()[0]
        .reason()
        .to_owned()
}

/// The algorithms that the key of this `kid` verifies.
fn algorithms(set: &KeySet, kid: &str) -> Vec<Algorithm> {
    let keys = set.keys().unwrap();
    let verify = |algorithm| {
        keys.verify(&Signed {
            kid,
            algorithm,
            message: b"",
            signature: b"",
        })
    };
    let mut algorithms = Algorithm::ALL.to_vec();
    algorithms.retain(|algorithm| verify(*algorithm) == Err(Unverified::WrongSignature));
    algorithms
}

// C11, C12
#[test]
fn key_is_found_by_exact_kid_and_verifies_only_its_algorithm() {
    for algorithm in Algorithm::ALL {
        let keys = set(&[&jwk(algorithm)]).unwrap();
        assert!(keys.is_ready());
        assert_eq!(algorithms(&keys, "ins_test_1"), [algorithm]);
        for kid in [
            "",
            "INS_TEST_1",
            "ins_test_1 ",
            "ins_test_",
            "../ins_test_1",
        ] {
            assert_eq!(algorithms(&keys, kid), [], "{kid}");
        }
    }
}

// C12a
#[test]
fn key_without_alg_verifies_every_algorithm_of_its_type() {
    for (made_for, expected) in [
        (Algorithm::Ps256, &Algorithm::ALL[..6]),
        (Algorithm::Es256, &[Algorithm::Es256]),
        (Algorithm::Es384, &[Algorithm::Es384]),
        (Algorithm::EdDsa, &[Algorithm::EdDsa]),
    ] {
        for key in [
            without(&jwk(made_for), "alg"),
            with(&jwk(made_for), "alg", json!(null)),
        ] {
            assert_eq!(algorithms(&set(&[&key]).unwrap(), "ins_test_1"), expected);
        }
    }
    let ed = with(&jwk(Algorithm::EdDsa), "alg", json!("Ed25519"));
    assert_eq!(
        algorithms(&set(&[&ed]).unwrap(), "ins_test_1"),
        [Algorithm::EdDsa]
    );
}

// C12a
#[test]
fn harmless_variations_are_accepted() {
    let (ec, rsa) = (jwk(Algorithm::Es256), jwk(Algorithm::Rs256));
    let padded = |jwk: &Value, name: &str| {
        let text = format!("{}=", jwk[name].as_str().unwrap());
        with(jwk, name, json!(text))
    };
    let modulus = decode(rsa["n"].as_str().unwrap()).unwrap();
    for key in [
        without(&ec, "use"),
        with(&ec, "use", json!(null)),
        with(&ec, "key_ops", json!(null)),
        with(&ec, "key_ops", json!(["sign", "verify"])),
        with(&ec, "d", json!(null)),
        padded(&padded(&ec, "x"), "y"),
        with(&rsa, "n", json!(encode(&[&[0, 0], &modulus[..]].concat()))),
    ] {
        let keys = set(&[&key]).unwrap();
        assert_eq!(algorithms(&keys, "ins_test_1").len(), 1, "{key}");
    }
}

#[test]
fn unusable_key_is_set_aside_with_its_reason() {
    let ec = jwk(Algorithm::Es256);
    for (name, value, part) in [
        ("use", json!("enc"), "`use` is \"enc\""),
        ("use", json!(1), "`use` is not a string"),
        ("key_ops", json!([]), "`key_ops`"),
        ("key_ops", json!(["sign"]), "`key_ops`"),
        ("key_ops", json!("verify"), "`key_ops`"),
        ("d", json!("AA"), "private"),
        ("kid", json!(""), "no `kid`"),
        ("kid", json!(1), "no `kid`"),
        ("alg", json!("ES384"), "does not fit"),
        ("alg", json!("RS256"), "does not fit"),
        ("alg", json!("HS256"), "`alg` is \"HS256\""),
        ("alg", json!(1), "`alg` is not a string"),
        ("crv", json!("P-521"), "curve"),
        ("crv", json!("P-384"), "does not fit"),
        ("crv", json!("\u{1b}[2J"), "\\u{1b}"),
        ("x", json!(encode(&[1; 32])), "not a valid public key"),
        ("x", json!(encode(&[1; 31])), "32 bytes"),
        ("y", json!("=="), "base64url"),
        ("kty", json!("oct"), "`oct`"),
        ("kty", json!("AKP"), "\"AKP\""),
        ("kty", json!("OKP"), "curve"),
        ("kty", json!("RSA"), "does not fit"),
        ("kty", json!(null), "`kty`"),
    ] {
        let reason = reason(&with(&ec, name, value.clone()));
        assert!(reason.contains(part), "{name} {value}: {reason}");
    }
    assert!(reason(&without(&ec, "kid")).contains("no `kid`"));
    assert!(reason(&json!("text")).contains("not a JSON object"));
    let p384 = without(&with(&ec, "crv", json!("P-384")), "alg");
    assert!(reason(&p384).contains("48 bytes"));
    let ed = jwk(Algorithm::EdDsa);
    assert!(reason(&with(&ed, "x", json!(encode(&[1; 31])))).contains("32 bytes"));
    assert!(reason(&with(&ed, "crv", json!("X25519"))).contains("curve"));
    assert!(reason(&with(&ed, "alg", json!("ES256"))).contains("does not fit"));
}

// T1
#[test]
fn weak_rsa_key_is_set_aside() {
    let rsa = jwk(Algorithm::Rs256);
    let modulus = decode(rsa["n"].as_str().unwrap()).unwrap();
    assert_eq!(modulus.len(), 256);

    let with_modulus = |bytes: &[u8]| reason(&with(&rsa, "n", json!(encode(bytes))));
    assert!(with_modulus(&modulus[128..]).contains("bits"));
    assert!(with_modulus(&[&[0x7f], &modulus[1..]].concat()).contains("2047 bits"));
    assert!(with_modulus(&[&[0], &modulus[1..]].concat()).contains("bits"));
    assert!(with_modulus(&[0xff; 1025]).contains("8200 bits"));
    assert!(with_modulus(&[&modulus[..255], &[2]].concat()).contains("even"));
    assert!(with_modulus(&[]).contains(" 0 bits"));

    for exponent in [
        &[][..],
        &[1],
        &[3],
        &[0xff, 0xff],
        &[1, 0, 0],
        &[0, 1, 0, 1],
        &[1, 0, 0, 0, 1],
    ] {
        let reason = reason(&with(&rsa, "e", json!(encode(exponent))));
        assert!(reason.contains("exponent"), "{exponent:?}: {reason}");
    }
    assert!(set(&[&with(&rsa, "e", json!(encode(&[1, 0, 3])))]).is_ok());
}

// C12a
#[test]
fn entries_with_one_kid_are_told_apart_by_algorithm() {
    let (es256, ed) = (jwk(Algorithm::Es256), jwk(Algorithm::EdDsa));
    let keys = set(&[&es256, &ed]).unwrap();
    let both = [Algorithm::Es256, Algorithm::EdDsa];
    assert_eq!(algorithms(&keys, "ins_test_1"), both);
    assert!(keys.unusable_keys().is_empty());

    // The same key twice is one key.
    let keys = set(&[&es256, &without(&es256, "alg")]).unwrap();
    assert_eq!(algorithms(&keys, "ins_test_1"), [Algorithm::Es256]);
    assert!(keys.unusable_keys().is_empty());

    // An entry that is set aside affects no other.
    let keys = set(&[&with(&jwk(Algorithm::Es256), "use", json!("enc")), &es256]).unwrap();
    assert_eq!(algorithms(&keys, "ins_test_1"), [Algorithm::Es256]);
    assert_eq!(keys.unusable_keys().len(), 1);
}

// C12a
#[test]
fn different_keys_with_one_kid_and_algorithm_are_set_aside() {
    let (one, other) = (jwk(Algorithm::Es256), jwk(Algorithm::Es256));
    let third = with(&one, "kid", json!("third"));
    for entries in [
        &[&one, &other, &third][..],
        &[&one, &third, &without(&other, "alg")],
        &[&one, &one, &other, &third],
    ] {
        let keys = set(entries).unwrap();
        assert_eq!(algorithms(&keys, "ins_test_1"), []);
        assert_eq!(algorithms(&keys, "third"), [Algorithm::Es256]);
        assert_eq!(keys.unusable_keys().len(), entries.len() - 1);
    }
    let error = set(&[&one, &other]).unwrap_err();
    assert_eq!(error.unusable_keys().len(), 2);
}

// C12a
#[test]
fn token_of_an_unusable_key_is_rejected_for_that_reason() {
    let (good, bad) = (jwk(Algorithm::Es256), jwk(Algorithm::Es256));
    let bad = with(&with(&bad, "kid", json!("bad")), "use", json!("enc"));
    let verified = set(&[&good, &bad]).unwrap().verify(&Signed {
        kid: "bad",
        algorithm: Algorithm::Es256,
        message: b"",
        signature: b"",
    });
    let reason = Unverified::UnusableKey.reason();
    assert!(matches!(verified, Err(JwtRejection::Invalid(other)) if other == reason));
}

#[test]
fn set_without_usable_key_is_an_error() {
    for (json, part) in [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("{}", "no array `keys`"),
        (r#"{"keys":{}}"#, "no array `keys`"),
        (r#"{"keys":[]}"#, "it is empty"),
        (r#"{"keys":[],"keys":[]}"#, "twice"),
        (
            r#"{"keys":[{"kty":"oct","kid":"a"},{"kid":"b\n"}]}"#,
            r#"key "a": its type is `oct`"#,
        ),
        (
            r#"{"keys":[{"kty":"oct","kid":"a"},{"kid":"b\n"}]}"#,
            r#"; key "b\n": its `kty`"#,
        ),
    ] {
        let error = KeySet::from_jwks(json).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let good = json!({"keys": [jwk(Algorithm::Es256)]}).to_string();
    let padded =
        |size: usize| KeySet::from_jwks(format!("{good}{}", " ".repeat(size - good.len())));
    assert!(padded(MAX_BYTES).is_ok());
    assert!(
        padded(MAX_BYTES + 1)
            .unwrap_err()
            .to_string()
            .contains("256 KiB")
    );
}

#[test]
fn error_names_the_file() {
    let folder =
        std::env::temp_dir().join(format!("coverbase-auth-key-set-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("jwks.json");
    let name = file.display().to_string();

    let missing = KeySet::from_file(&file).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with(&format!("{name}: the key set cannot be read: ")),
        "{missing}"
    );
    assert!(
        KeySet::from_file(&folder)
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );

    let set = json!({"keys": [jwk(Algorithm::Es256)]}).to_string();
    let padded = |len: usize| set.clone() + &" ".repeat(len - set.len());
    std::fs::write(&file, padded(MAX_BYTES)).unwrap();
    assert!(KeySet::from_file(&file).is_ok());
    std::fs::write(&file, padded(MAX_BYTES + 1)).unwrap();
    assert!(KeySet::from_file(&file).is_err());
    std::fs::write(&file, "{").unwrap();
    let garbage = KeySet::from_file(&file).unwrap_err().to_string();
    assert!(
        garbage.starts_with(&format!("{name}: not a JWKS")),
        "{garbage}"
    );

    std::fs::write(&file, json!({"keys": [jwk(Algorithm::Es256)]}).to_string()).unwrap();
    assert!(KeySet::from_file(&file).unwrap().is_ready());
    std::fs::remove_dir_all(&folder).unwrap();
}
