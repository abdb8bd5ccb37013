//! An issuer for tests: its keys are made on the spot, so nothing secret is checked in and nothing is fetched.
//!
//! What cannot go wrong but by a fault of the machine (no random numbers) panics here, as a test does.
#![allow(clippy::expect_used, reason = "a helper for tests fails like a test")]

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::jwt::{algorithm::Algorithm, base64url::encode, keys::key_set::KeySet};

/// An issuer of session tokens with a signing key of its own, in the shape of Clerk's (C15).
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
    key: SigningKey,
    rotations: u32,
}

impl TestIssuer {
    /// The `azp` of a token that is not told another.
    pub const AUTHORIZED_PARTY: &str = "https://app.coverbase.test";

    /// An issuer that signs with ES256, the quickest to make a key for.
    ///
    /// # Panics
    ///
    /// When the operating system gives no random numbers; so does every method that makes a key or signs.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            key: SigningKey::generate(Algorithm::Es256),
            rotations: 0,
        }
    }

    /// Signs with `algorithm` and a new key from here on.
    ///
    /// ```
    /// # use coverbase_auth::testing::TestIssuer;
    /// use coverbase_auth::Algorithm;
    ///
    /// let issuer = TestIssuer::new("https://clerk.example.com").with_algorithm(Algorithm::EdDsa);
    /// assert!(issuer.jwks_json().contains("Ed25519"));
    /// ```
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.key = SigningKey::generate(algorithm);
        self
    }

    /// Replaces the key by a new one with a new `kid`. The old one is published no longer.
    ///
    /// ```
    /// # use coverbase_auth::testing::TestIssuer;
    /// let mut issuer = TestIssuer::new("https://clerk.example.com");
    /// let before = issuer.kid();
    /// issuer.rotate();
    /// assert_ne!(issuer.kid(), before);
    /// assert!(!issuer.jwks_json().contains(&before));
    /// ```
    pub fn rotate(&mut self) {
        self.key = SigningKey::generate(self.key.algorithm);
        self.rotations += 1;
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `kid` of the present key: the same sequence for each issuer, so that two of them collide.
    #[must_use]
    pub fn kid(&self) -> String {
        format!("ins_test_{}", self.rotations + 1)
    }

    /// What it publishes, as JSON: one key.
    #[must_use]
    pub fn jwks_json(&self) -> String {
        let mut jwk = self.key.public_jwk();
        jwk.extend([
            ("kid".to_owned(), json!(self.kid())),
            ("use".to_owned(), json!("sig")),
            ("alg".to_owned(), json!(self.key.algorithm.as_str())),
        ]);
        json!({ "keys": [jwk] }).to_string()
    }

    /// What it publishes, for a verifier. A later [`rotate`](Self::rotate) does not change it.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        KeySet::from_jwks(self.jwks_json()).expect("a key made here is usable")
    }

    /// A token of an administrator, valid from 1970 to the end of 9999, to be changed before it is signed.
    ///
    /// Its claims: `v` 2, `iss`, `azp` [`AUTHORIZED_PARTY`](Self::AUTHORIZED_PARTY), `sub` `user_test`, `sid` `sess_test`, `sts`
    /// `active`, `o` `{"id":"org_test","rol":"admin","slg":"test"}`, `exp`.
    pub fn token(&self) -> TestToken<'_> {
        let header = json!({ "alg": self.key.algorithm.as_str(), "kid": self.kid(), "typ": "JWT" });
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
        let object = |value| {
            if let Value::Object(object) = value {
                object
            } else {
                Map::new()
            }
        };
        TestToken {
            issuer: self,
            header: object(header),
            claims: object(claims),
        }
    }

    /// A token of just these bytes, rightly signed, for what a builder cannot write: a name twice, JSON that is none.
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
        let signature = self.key.sign(signing_input.as_bytes());
        format!("{signing_input}.{}", encode(&signature))
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TestIssuer")
            .field("issuer", &self.issuer)
            .field("algorithm", &self.key.algorithm)
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
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl TestToken<'_> {
    /// Sets a claim to `value`, as JSON.
    ///
    /// # Panics
    ///
    /// When `value` has no form in JSON.
    pub fn with_claim(mut self, name: &str, value: impl Serialize) -> Self {
        self.claims.insert(name.to_owned(), json(value));
        self
    }

    /// Leaves a claim out.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a parameter of the header to `value`, as JSON. The signature is made with the issuer's key all the same.
    ///
    /// # Panics
    ///
    /// When `value` has no form in JSON.
    ///
    /// ```
    /// # use coverbase_auth::testing::TestIssuer;
    /// let issuer = TestIssuer::new("https://clerk.example.com");
    /// // Two that must not open anything.
    /// let unsigned = issuer.token().with_header("alg", "none").sign();
    /// let of_no_key = issuer.token().without_header("kid").sign();
    /// # let _ = (unsigned, of_no_key);
    /// ```
    pub fn with_header(mut self, name: &str, value: impl Serialize) -> Self {
        self.header.insert(name.to_owned(), json(value));
        self
    }

    /// Leaves a parameter of the header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Sets the user, `sub`.
    pub fn with_subject(self, user_id: &str) -> Self {
        self.with_claim("sub", user_id)
    }

    /// Sets the organization's id, in the shape of version 2 (C15).
    pub fn with_org(self, org_id: &str) -> Self {
        self.with_organization("id", org_id)
    }

    /// Sets the user's role in the organization, in the shape of version 2 (C15): `admin`, without a prefix.
    pub fn with_role(self, role: &str) -> Self {
        self.with_organization("rol", role)
    }

    /// Sets `iat` and `nbf`, and `exp`, in Unix seconds.
    pub fn with_times(self, issued_at: u64, expires_at: u64) -> Self {
        self.with_claim("iat", issued_at)
            .with_claim("nbf", issued_at)
            .with_claim("exp", expires_at)
    }

    /// The token, signed.
    #[must_use]
    pub fn sign(self) -> String {
        self.issuer.sign_raw(
            Value::Object(self.header).to_string(),
            Value::Object(self.claims).to_string(),
        )
    }

    fn with_organization(mut self, name: &str, value: &str) -> Self {
        let mut organization = match self.claims.remove("o") {
            Some(Value::Object(organization)) => organization,
            _ => Map::new(),
        };
        organization.insert(name.to_owned(), value.into());
        self.with_claim("o", organization)
    }
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("the value has a form in JSON")
}

struct SigningKey {
    algorithm: Algorithm,
    pair: KeyPair,
}

enum KeyPair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    fn generate(algorithm: Algorithm) -> Self {
        let rsa = |encoding| {
            KeyPair::Rsa(
                RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"),
                encoding,
            )
        };
        let ec = |curve| KeyPair::Ec(EcdsaKeyPair::generate(curve).expect("an EC key"));
        let pair = match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDsa => {
                KeyPair::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key"))
            }
        };
        Self { algorithm, pair }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            KeyPair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .expect("an RSA signature");
                signature
            }
            KeyPair::Ec(pair) => pair
                .sign(&random, message)
                .expect("an EC signature")
                .as_ref()
                .to_vec(),
            KeyPair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    fn public_jwk(&self) -> Map<String, Value> {
        let members = match &self.pair {
            KeyPair::Rsa(pair, _) => {
                // RSAPublicKey (RFC 8017 §A.1.1) of 2048 bits and exponent 65537: 9 bytes, the modulus, 5 bytes.
                let der = pair.public_key().as_ref();
                let modulus = der
                    .get(9..9 + pair.public_modulus_len())
                    .expect("an RSA public key");
                vec![
                    ("kty", "RSA".to_owned()),
                    ("n", encode(modulus)),
                    ("e", "AQAB".to_owned()),
                ]
            }
            KeyPair::Ec(pair) => {
                // The uncompressed form (SEC 1 §2.3.3): 4, x, y.
                let (_, point) = pair.public_key().as_ref().split_first().expect("a point");
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == Algorithm::Es384 {
                    "P-384"
                } else {
                    "P-256"
                };
                vec![
                    ("kty", "EC".to_owned()),
                    ("crv", curve.to_owned()),
                    ("x", encode(x)),
                    ("y", encode(y)),
                ]
            }
            KeyPair::Ed25519(pair) => {
                let x = encode(pair.public_key().as_ref());
                vec![
                    ("kty", "OKP".to_owned()),
                    ("crv", "Ed25519".to_owned()),
                    ("x", x),
                ]
            }
        };
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect()
    }
}
