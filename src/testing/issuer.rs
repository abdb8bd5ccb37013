//! An issuer for tests. Its keys are generated at run time, so no secret is checked in and nothing is fetched.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test helper panics as a test does"
)]

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
        RsaKeyPair,
    },
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::jwt::{algorithm::Algorithm, base64url::encode, keys::key_set::KeySet};

/// An issuer of session tokens in Clerk's form (C15), with a signing key of its own.
///
/// ```
/// use coverbase_auth::{JwtVerifier, testing::TestIssuer};
///
/// let issuer = TestIssuer::new("https://clerk.example.com");
/// let verifier = JwtVerifier::new(issuer.issuer(), issuer.key_set())
///     .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY]);
/// let token = issuer.token().with_role("member").sign();
/// ```
pub struct TestIssuer {
    issuer: String,
    algorithm: Algorithm,
    /// The public key, without `kid`, `use` and `alg`.
    jwk: Value,
    sign: Box<Sign>,
    rotations: u32,
}

type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

impl TestIssuer {
    /// The default `azp` of its tokens.
    pub const AUTHORIZED_PARTY: &str = "https://app.coverbase.test";

    /// An issuer that signs with ES256.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers, as every method that generates a key or signs.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        let algorithm = Algorithm::Es256;
        let (jwk, sign) = generate(algorithm);
        Self {
            issuer: issuer.into(),
            algorithm,
            jwk,
            sign,
            rotations: 0,
        }
    }

    /// Signs with `algorithm` and a new key.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        (self.jwk, self.sign) = generate(algorithm);
        self
    }

    /// Replaces the key by a new one with a new `kid`.
    pub fn rotate(&mut self) {
        (self.jwk, self.sign) = generate(self.algorithm);
        self.rotations += 1;
    }

    /// Returns the `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the `kid` of its key. All issuers use the same sequence of `kid`s.
    #[must_use]
    pub fn kid(&self) -> String {
        format!("ins_test_{}", self.rotations + 1)
    }

    /// Returns its JWK Set in JSON: one key.
    #[must_use]
    pub fn jwks_json(&self) -> String {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = self.kid().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm.as_str().into();
        json!({ "keys": [jwk] }).to_string()
    }

    /// Returns its present JWK Set for a verifier.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        KeySet::from_jwks(self.jwks_json()).expect("a generated key is usable")
    }

    /// Returns a token of an administrator, valid from 1970 to the end of 9999, to be changed and signed.
    ///
    /// Its claims: `v` 2, `iss`, `azp` [`AUTHORIZED_PARTY`](Self::AUTHORIZED_PARTY), `sub` `user_test`, `sid` `sess_test`, `sts`
    /// `active`, `o` `{"id":"org_test","rol":"admin","slg":"test"}`, `exp`.
    pub fn token(&self) -> TestToken<'_> {
        let header = json!({ "alg": self.algorithm.as_str(), "kid": self.kid(), "typ": "JWT" });
        let claims = json!({
            "v": 2,
            "iss": self.issuer,
            "azp": Self::AUTHORIZED_PARTY,
            "sub": "user_test",
            "sid": "sess_test",
            "sts": "active",
            "o": { "id": "org_test", "rol": "admin", "slg": "test" },
            "exp": 253_402_300_799_u64,
        });
        TestToken {
            issuer: self,
            header,
            claims,
        }
    }

    /// Signs a token of these bytes, which need not be JSON.
    ///
    /// ```
    /// # use coverbase_auth::testing::TestIssuer;
    /// let issuer = TestIssuer::new("https://clerk.example.com");
    /// let token = issuer.sign_raw(r#"{"alg":"none","alg":"ES256","kid":"ins_test_1"}"#, "{}");
    /// assert_eq!(token.split('.').count(), 3);
    /// ```
    #[must_use]
    pub fn sign_raw(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        let signing_input = format!("{}.{}", encode(header.as_ref()), encode(claims.as_ref()));
        let signature = (self.sign)(signing_input.as_bytes());
        format!("{signing_input}.{}", encode(&signature))
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestIssuer")
            .field("issuer", &self.issuer)
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

/// A token that a [`TestIssuer`] is about to sign.
///
/// ```
/// # use coverbase_auth::testing::TestIssuer;
/// let issuer = TestIssuer::new("https://clerk.example.com");
/// let token = issuer
///     .token()
///     .with_subject("user_1")
///     .with_org("org_alpha")
///     .with_role("member")
///     .with_times(1_700_000_000, 1_700_003_600)
///     .without_claim("azp")
///     .with_claim("aud", ["https://api.example.com"])
///     .sign();
/// assert_eq!(token.split('.').count(), 3);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TestToken<'a> {
    issuer: &'a TestIssuer,
    header: Value,
    claims: Value,
}

impl TestToken<'_> {
    /// Sets a claim.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized.
    pub fn with_claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.claims[name] = json!(value);
        self
    }

    /// Removes a claim.
    pub fn without_claim(mut self, name: &str) -> Self {
        remove(&mut self.claims, name);
        self
    }

    /// Sets a parameter of the header. The key that signs stays the same.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized.
    pub fn with_header(mut self, name: &str, value: impl Serialize) -> Self {
        self.header[name] = json!(value);
        self
    }

    /// Removes a parameter of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        remove(&mut self.header, name);
        self
    }

    /// Sets `sub`, the id of the user.
    pub fn with_subject(self, user_id: &str) -> Self {
        self.with_claim("sub", user_id)
    }

    /// Sets the id of the organization, in version 2 of the claims (C15).
    ///
    /// # Panics
    ///
    /// If the claim `o` is not an object.
    pub fn with_org(mut self, org_id: &str) -> Self {
        self.claims["o"]["id"] = org_id.into();
        self
    }

    /// Sets the role of the user, in version 2 of the claims (C15): `admin`, without a prefix.
    ///
    /// # Panics
    ///
    /// If the claim `o` is not an object.
    pub fn with_role(mut self, role: &str) -> Self {
        self.claims["o"]["rol"] = role.into();
        self
    }

    /// Sets `iat`, `nbf` and `exp` in Unix seconds.
    pub fn with_times(self, issued_at: u64, expires_at: u64) -> Self {
        self.with_claim("iat", issued_at)
            .with_claim("nbf", issued_at)
            .with_claim("exp", expires_at)
    }

    /// Returns the signed token.
    #[must_use]
    pub fn sign(self) -> String {
        let (header, claims) = (self.header.to_string(), self.claims.to_string());
        self.issuer.sign_raw(header, claims)
    }
}

fn remove(object: &mut Value, name: &str) {
    object
        .as_object_mut()
        .and_then(|object| object.remove(name));
}

/// A new key: its JWK, without `kid`, `use` and `alg`, and the function that signs with it.
fn generate(algorithm: Algorithm) -> (Value, Box<Sign>) {
    match algorithm {
        Algorithm::Rs256 => rsa_key(&signature::RSA_PKCS1_SHA256),
        Algorithm::Rs384 => rsa_key(&signature::RSA_PKCS1_SHA384),
        Algorithm::Rs512 => rsa_key(&signature::RSA_PKCS1_SHA512),
        Algorithm::Ps256 => rsa_key(&signature::RSA_PSS_SHA256),
        Algorithm::Ps384 => rsa_key(&signature::RSA_PSS_SHA384),
        Algorithm::Ps512 => rsa_key(&signature::RSA_PSS_SHA512),
        Algorithm::Es256 => ec_key("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => ec_key("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::EdDsa => ed25519_key(),
    }
}

fn rsa_key(encoding: &'static dyn RsaEncoding) -> (Value, Box<Sign>) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
    // RSAPublicKey (RFC 8017 §A.1.1) of 2048 bits and exponent 65537: 9 bytes, the modulus, 5 bytes.
    let der = pair.public_key().as_ref();
    let modulus = der.get(9..9 + pair.public_modulus_len());
    let modulus = encode(modulus.expect("an RSA public key"));
    let jwk = json!({ "kty": "RSA", "n": modulus, "e": "AQAB" });
    let sign = Box::new(move |message: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
            .expect("an RSA signature");
        signature
    });
    (jwk, sign)
}

fn ec_key(curve: &str, algorithm: &'static EcdsaSigningAlgorithm) -> (Value, Box<Sign>) {
    let pair = EcdsaKeyPair::generate(algorithm).expect("an EC key");
    // The uncompressed form (SEC 1 §2.3.3): 4, x, y.
    let (_, point) = pair.public_key().as_ref().split_first().expect("a point");
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) });
    let sign = Box::new(move |message: &[u8]| {
        let signature = pair.sign(&SystemRandom::new(), message);
        signature.expect("an EC signature").as_ref().to_vec()
    });
    (jwk, sign)
}

fn ed25519_key() -> (Value, Box<Sign>) {
    let pair = Ed25519KeyPair::generate().expect("an Ed25519 key");
    let x = encode(pair.public_key().as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    let sign = Box::new(move |message: &[u8]| pair.sign(message).as_ref().to_vec());
    (jwk, sign)
}
