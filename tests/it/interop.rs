//! Two independent implementations: PyJWT, whose tokens were minted by `fixtures/mint.py` with a life until 2099, and
//! `jsonwebtoken` in both directions (C11, C13, C15).

use std::path::Path;

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use coverbase_auth::{
    Algorithm, CoverbaseAuthLayer, JwtVerifier, KeySet, MemoryStore, RejectionKind, Role,
    testing::{TestClock, TestIssuer},
};
use jsonwebtoken::{
    DecodingKey, EncodingKey, Header, Validation, decode, get_current_timestamp,
    jwk::{Jwk, JwkSet},
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::{ask, bearer};

const EXPIRES_AT: u64 = 4_070_908_800;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/fixtures")
        .join(name)
}

fn layer() -> CoverbaseAuthLayer {
    let keys = KeySet::from_file(fixture("jwks.json")).unwrap();
    assert!(
        keys.unusable_keys().is_empty(),
        "{:?}",
        keys.unusable_keys()
    );
    let verifier = JwtVerifier::new("https://clerk.interop.test", keys);
    let verifier = verifier.with_authorized_parties(["https://app.interop.test"]);
    CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier)
}

fn tokens() -> Vec<(String, String)> {
    let tokens = std::fs::read(fixture("tokens.json")).unwrap();
    let tokens: Vec<Value> = serde_json::from_slice(&tokens).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    tokens
        .iter()
        .map(|it| {
            (
                format!("{}, version {}", it["algorithm"], it["version"]),
                text(&it["token"]),
            )
        })
        .collect()
}

// C11, C15
#[test]
fn pyjwt_tokens_are_accepted() {
    let tokens = tokens();
    assert_eq!(tokens.len(), 6, "three algorithms, two shapes");
    for (name, token) in &tokens {
        let answer = ask(&layer(), bearer(token));
        assert_eq!(answer.rejection_kind(), None, "{name}");
        let user = answer.principal();
        assert_eq!(user.user_id(), Some("user_2mQ"), "{name}");
        assert_eq!(user.org_id().as_str(), "org_2mQ", "{name}");
        assert_eq!(user.org_slug(), Some("acme"), "{name}");
        assert_eq!(user.role(), Some(&Role::SILOED_MEMBER), "{name}");
        assert_eq!(user.session_id(), Some("sess_2mQ"), "{name}");
    }
}

// C13
#[test]
fn expired_or_recombined_pyjwt_token_is_rejected() {
    let invalid = Some(RejectionKind::InvalidSessionToken);
    let at = |now| layer().with_clock(TestClock::at(now));
    let tokens = tokens();
    for (name, token) in &tokens {
        assert_eq!(
            ask(&at(EXPIRES_AT + 4), bearer(token)).rejection_kind(),
            None,
            "{name}"
        );
        assert_eq!(
            ask(&at(EXPIRES_AT + 5), bearer(token)).rejection_kind(),
            invalid,
            "{name}"
        );
        let (input, signature) = token.rsplit_once('.').unwrap();
        for (other_name, other) in tokens.iter().filter(|(_, other)| other != token) {
            let (other_input, _) = other.rsplit_once('.').unwrap();
            assert_ne!(input, other_input);
            let swapped = format!("{other_input}.{signature}");
            assert_eq!(
                ask(&layer(), bearer(&swapped)).rejection_kind(),
                invalid,
                "{name}, {other_name}"
            );
        }
    }
}

const ISSUER: &str = "https://clerk.coverbase.test";

/// A key of each algorithm that is accepted by default, for `jsonwebtoken` to sign with.
fn signing_keys() -> [(jsonwebtoken::Algorithm, EncodingKey); 3] {
    use jsonwebtoken::Algorithm::{ES256, EdDSA, RS256};

    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    // `from_rsa_der` reads PKCS #1, which PKCS #8 wraps in 26 bytes for a key of this size.
    let rsa = rsa.as_der().unwrap();
    let rsa = &rsa.as_ref()[26..];
    [
        (RS256, EncodingKey::from_rsa_der(rsa)),
        (
            ES256,
            EncodingKey::from_ec_der(ec.to_pkcs8v1().unwrap().as_ref()),
        ),
        (
            EdDSA,
            EncodingKey::from_ed_der(ed.to_pkcs8v1().unwrap().as_ref()),
        ),
    ]
}

// C11
#[test]
fn jsonwebtoken_tokens_are_accepted() {
    for (algorithm, key) in signing_keys() {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some("ins_1".to_owned());
        let set = JwkSet { keys: vec![jwk] };
        let mut header = Header::new(algorithm);
        header.kid = Some("ins_1".to_owned());
        let claims = json!({
            "iss": ISSUER, "sub": "user_1", "sid": "sess_1", "org_id": "org_1",
            "org_role": "org:member", "iat": get_current_timestamp(),
            "exp": get_current_timestamp() + 60,
        });
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();

        let keys = KeySet::from_jwks(serde_json::to_vec(&set).unwrap()).unwrap();
        let layer = |keys| {
            let verifier = JwtVerifier::new(ISSUER, keys);
            CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier)
        };
        let answer = ask(&layer(keys), bearer(&token));
        assert_eq!(
            answer.principal().role(),
            Some(&Role::MEMBER),
            "{algorithm:?}"
        );
        #[cfg(feature = "jsonwebtoken")]
        for keys in [KeySet::try_from(&set), KeySet::try_from(&set.keys[0])] {
            let answer = ask(&layer(keys.unwrap()), bearer(&token));
            assert_eq!(answer.rejection_kind(), None, "{algorithm:?}");
        }
    }
}

/// Whether `jsonwebtoken` accepts a token by the same rules.
fn jsonwebtoken_accepts(issuer: &TestIssuer, token: &str) -> bool {
    let set: JwkSet = serde_json::from_str(&issuer.jwks_json()).unwrap();
    let algorithm = set.keys[0].common.key_algorithm.unwrap().to_string();
    let mut rules = Validation::new(algorithm.parse().unwrap());
    rules.leeway = 5;
    rules.validate_nbf = true;
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&["api"]);
    let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
    decode::<Value>(token, &key, &rules).is_ok()
}

// C11
#[test]
fn own_tokens_are_accepted_by_jsonwebtoken() {
    for algorithm in [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ] {
        let issuer = TestIssuer::new(ISSUER).with_algorithm(algorithm);
        let token = issuer.token().with_claim("aud", "api").sign();
        assert!(jsonwebtoken_accepts(&issuer, &token), "{algorithm}");
        let other = TestIssuer::new(ISSUER).with_algorithm(algorithm);
        assert!(!jsonwebtoken_accepts(&other, &token), "{algorithm}");
    }
}

/// A claim or header parameter, and a value for it.
fn change() -> impl Strategy<Value = (bool, &'static str, Value)> {
    let now = get_current_timestamp();
    let dates = [
        json!(now - 900),
        json!(now + 900),
        json!(now as f64 + 900.5),
        json!("1"),
        json!(null),
    ];
    let date = (select(vec!["exp", "nbf", "iat"]), select(dates.to_vec()));
    let audiences = [
        json!("api"),
        json!(["x", "api"]),
        json!(["x"]),
        json!([]),
        json!(1),
    ];
    let audience = (select(vec!["aud"]), select(audiences.to_vec()));
    let names = [
        json!(ISSUER),
        json!("https://other.test"),
        json!([ISSUER]),
        json!(1),
    ];
    let name = (select(vec!["iss", "sub", "jti"]), select(names.to_vec()));
    let claim = prop_oneof![date, audience, name].prop_map(|(name, value)| (true, name, value));
    let values = [
        json!("JWT"),
        json!("jwt"),
        json!("ES256"),
        json!("EdDSA"),
        json!("none"),
        json!("ins_test_1"),
        json!(["exp"]),
    ];
    let parameter = (
        select(vec!["alg", "kid", "typ", "crit"]),
        select(values.to_vec()),
    );
    let parameter = parameter.prop_map(|(name, value)| (false, name, value));
    prop_oneof![3 => claim, 1 => parameter]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // T1, T3: whatever this crate accepts, `jsonwebtoken` accepts.
    #[test]
    fn accepted_token_is_accepted_by_jsonwebtoken(
        changes in prop::collection::vec(change(), 0..3),
        edit in prop::option::weighted(0.3, (any::<prop::sample::Index>(), 0x2d..0x7b_u8)),
    ) {
        static FIXED: std::sync::LazyLock<(TestIssuer, CoverbaseAuthLayer)> = std::sync::LazyLock::new(|| {
            let issuer = TestIssuer::new(ISSUER);
            let verifier = JwtVerifier::new(ISSUER, issuer.key_set()).with_audiences(["api"]);
            (issuer, CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier))
        });
        let (issuer, layer) = &*FIXED;
        let unchanged = changes.is_empty() && edit.is_none();
        let mut token = issuer.token().with_claim("aud", "api");
        for (is_claim, name, value) in changes {
            token = if is_claim { token.with_claim(name, value) } else { token.with_header(name, value) };
        }
        let mut token = token.sign().into_bytes();
        if let Some((index, byte)) = edit {
            let at = index.index(token.len());
            token[at] = byte;
        }
        let token = String::from_utf8(token).unwrap();
        let is_accepted = ask(layer, bearer(&token)).rejection_kind().is_none();
        prop_assert!(!is_accepted || jsonwebtoken_accepts(issuer, &token), "{}", token);
        prop_assert!(is_accepted || !unchanged);
    }
}
