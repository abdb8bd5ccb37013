use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

#[cfg(feature = "jwks")]
use crate::jwt::keys::{fetched::FetchedKeys, https::HttpsJwks, source::JwksSource};
use crate::jwt::keys::{
    missing::KeyMissing,
    verification_keys::{Fault, KeySetError, Keys, MAX_BYTES, RefusedKey},
};

/// The public keys of one issuer, found by `kid` (C12).
///
/// A set belongs to the issuer that its [`JwtVerifier`](crate::JwtVerifier) names; two issuers have two sets, so that
/// a `kid` of the one never finds a key of the other. Cloning is cheap, and clones are one set.
///
/// # Which keys are used
///
/// A set works with the keys that are fit and names the others in [`refused`](Self::refused). Refused is a key
///
/// - without a `kid`, or with one that another key of the set has too;
/// - whose `use` is other than `sig`, or whose `key_ops` lack `verify`;
/// - that is symmetric, or that shows its private part: whoever has read it can sign;
/// - of RSA with a modulus under 2048 or over 8192 bits, or an exponent that is even or under 65537;
/// - of a curve other than P-256, P-384 and Ed25519, or that is not a point on its curve;
/// - whose `alg` is not one of [`Algorithm`](crate::Algorithm) or does not fit its type.
///
/// A key verifies one algorithm, the one in its `alg`; without `alg` an RSA key verifies RS256, and a curve has only one.
///
/// ```
/// use coverbase_auth::KeySet;
///
/// // A service that would rather run without its users than not at all.
/// let keys = KeySet::from_file("/etc/coverbase/jwks.json").unwrap_or_else(|error| {
///     eprintln!("{error}: until that is mended every session token is answered 503");
///     KeySet::unavailable()
/// });
/// # let _ = keys;
/// ```
#[derive(Clone, Debug)]
pub struct KeySet {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<Keys>),
    #[cfg(feature = "jwks")]
    Fetched(Arc<FetchedKeys>),
    Unavailable,
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 §5), as an issuer publishes it.
    ///
    /// # Errors
    ///
    /// When `json` is larger than 256 KiB, not strict JSON, has no array `keys`, or none of its keys is usable.
    ///
    /// ```
    /// use coverbase_auth::KeySet;
    ///
    /// let keys = KeySet::from_jwks(r#"{"keys": [{
    ///     "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ins_1",
    ///     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    ///     "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
    /// }]}"#)?;
    /// assert!(keys.refused().is_empty());
    ///
    /// let error = KeySet::from_jwks(r#"{"keys": [{"kty": "RSA", "use": "enc", "kid": "ins_2"}]}"#).unwrap_err();
    /// assert_eq!(error.to_string(), r#"no usable key in the JWKS: key "ins_2": its `use` is "enc", not "sig""#);
    /// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
    /// ```
    pub fn from_jwks(json: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let keys = Keys::from_jwks(json.as_ref())?;
        Ok(Self {
            source: Source::Fixed(Arc::new(keys)),
        })
    }

    /// Reads a JWK Set from a file, once: a later change of the file is not seen.
    ///
    /// # Errors
    ///
    /// As [`from_jwks`](Self::from_jwks), and when the file cannot be read. The error names the file.
    ///
    /// ```
    /// use coverbase_auth::KeySet;
    ///
    /// let error = KeySet::from_file("/no/such/jwks.json").unwrap_err();
    /// assert!(error.to_string().starts_with("/no/such/jwks.json: "));
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeySetError> {
        let path = path.as_ref();
        let json = read(path).map_err(|error| KeySetError::from(Fault::Read(error)));
        json.and_then(Self::from_jwks)
            .map_err(|error| error.at(path.display()))
    }

    /// The set at this address, `https://clerk.example.com/.well-known/jwks.json`, fetched again and again: that of
    /// [`HttpsJwks::url`] for a [source](Self::from_source).
    ///
    /// # Errors
    ///
    /// When the address is not one of `https` or of loopback, the system has no root certificates, or this is not called
    /// inside a tokio runtime. That the set can be fetched is not among them: a service starts without its issuer.
    ///
    /// ```no_run
    /// use coverbase_auth::{JwtVerifier, KeySet};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), coverbase_auth::jwt::KeySetError> {
    /// let keys = KeySet::url("https://clerk.example.com/.well-known/jwks.json")?;
    /// let verifier = JwtVerifier::new("https://clerk.example.com", keys);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn url(url: impl AsRef<str>) -> Result<Self, KeySetError> {
        Self::from_source(HttpsJwks::url(url)?)
    }

    /// The set of an OpenID provider, found by its name (OpenID Connect Discovery §4): that of [`HttpsJwks::openid`] for a
    /// [source](Self::from_source).
    ///
    /// # Errors
    ///
    /// As [`url`](Self::url).
    ///
    /// ```no_run
    /// use coverbase_auth::{JwtVerifier, KeySet};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), coverbase_auth::jwt::KeySetError> {
    /// let issuer = "https://clerk.example.com";
    /// let verifier = JwtVerifier::new(issuer, KeySet::openid(issuer)?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn openid(issuer: impl Into<String>) -> Result<Self, KeySetError> {
        Self::from_source(HttpsJwks::openid(issuer)?)
    }

    /// A set that is fetched from `source` by a task of its own, at once and from then on. The task ends with the last
    /// clone of the set.
    ///
    /// - A fetch has 2 seconds. It is repeated every 5 minutes, after 1 to 60 seconds where it failed, each a tenth more or
    ///   less. Caching headers change nothing of that.
    /// - A `kid` that is not in the set causes a fetch, when the last one is 10 seconds old, and its request waits for it. A
    ///   `kid` that is there never waits (C12).
    /// - The keys are replaced as a whole, and only by a set of 256 KiB at most with a key that can be used. What is not
    ///   used is named in one warning for each change.
    /// - Without a good fetch the last keys are believed for an hour. Then, and before the first one, tokens are answered
    ///   `503` (C31). So is a `kid` that is not there while the last fetch has failed.
    ///
    /// # Errors
    ///
    /// When this is not called inside a tokio runtime. It needs one with its timers and its I/O switched on.
    ///
    /// ```no_run
    /// use coverbase_auth::{KeySet, jwt::HttpsJwks};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = HttpsJwks::url("https://id.corp.example/jwks.json")?
    ///     .with_root_certificates(std::fs::read("/etc/ssl/corp.pem")?)?;
    /// let keys = KeySet::from_source(source)?;
    /// # let _ = keys;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn from_source(source: impl JwksSource) -> Result<Self, KeySetError> {
        Ok(Self {
            source: Source::Fetched(Arc::new(FetchedKeys::spawn(source)?)),
        })
    }

    /// A set that cannot answer: every JWT gets `503` with `Retry-After` (C31), API keys never notice.
    ///
    /// It stands for an issuer whose keys cannot be had, in a service that has to start without them, or in a test.
    ///
    /// ```
    /// use coverbase_auth::{JwtVerifier, KeySet};
    ///
    /// let verifier = JwtVerifier::new("https://clerk.example", KeySet::unavailable());
    /// ```
    #[must_use]
    pub fn unavailable() -> Self {
        Self {
            source: Source::Unavailable,
        }
    }

    /// The keys that were in the set and are not used, each with the reason: log them when the service starts.
    ///
    /// ```
    /// # use coverbase_auth::KeySet;
    /// # let keys = KeySet::from_jwks(r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "ins_1",
    /// #     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
    /// #     {"kty": "oct", "kid": "shared", "k": "AA"}]}"#)?;
    /// for key in keys.refused() {
    ///     eprintln!("not used: {key}");
    /// }
    /// # assert_eq!(keys.refused().len(), 1);
    /// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
    /// ```
    #[must_use]
    pub fn refused(&self) -> Vec<RefusedKey> {
        self.keys()
            .map_or_else(Vec::new, |keys| keys.refused().to_vec())
    }

    /// The keys of this moment.
    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        match &self.source {
            Source::Fixed(keys) => Some(Arc::clone(keys)),
            #[cfg(feature = "jwks")]
            Source::Fetched(keys) => keys.keys(),
            Source::Unavailable => None,
        }
    }

    /// What to do about a `kid` that the keys of this moment do not have (C12).
    #[cfg_attr(
        not(feature = "jwks"),
        expect(
            unused_variables,
            reason = "only what is fetched can come to have a key"
        )
    )]
    pub(crate) fn missing(&self, kid: &str) -> KeyMissing {
        match &self.source {
            Source::Fixed(_) => KeyMissing::Unknown,
            #[cfg(feature = "jwks")]
            Source::Fetched(keys) => keys.missing(kid),
            Source::Unavailable => KeyMissing::Unavailable,
        }
    }
}

/// Reads at most one byte more than a set may have, whatever kind of file this is.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut json = Vec::new();
    File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut json)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        jwt::{
            algorithm::Algorithm,
            base64url::{decode, encode},
            keys::{jwk::VerifyingKey, verification_keys::MAX_BYTES},
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

    fn changed(jwk: &Value, name: &str, value: Value) -> Value {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    }

    fn lacking(jwk: &Value, name: &str) -> Value {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().remove(name).unwrap();
        jwk
    }

    fn reason(jwk: &Value) -> String {
        set(&[jwk]).unwrap_err().refused()[0].reason().to_owned()
    }

    fn algorithm(set: &KeySet, kid: &str) -> Option<Algorithm> {
        set.keys().unwrap().key(kid).map(VerifyingKey::algorithm)
    }

    // C11, C12
    #[test]
    fn a_key_verifies_one_algorithm_and_is_found_by_its_exact_kid() {
        for wanted in [
            Algorithm::Rs256,
            Algorithm::Ps384,
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::EdDsa,
        ] {
            let keys = set(&[&jwk(wanted)]).unwrap();
            assert_eq!(algorithm(&keys, "ins_test_1"), Some(wanted));
            for kid in [
                "",
                "INS_TEST_1",
                "ins_test_1 ",
                "ins_test_",
                "../ins_test_1",
            ] {
                assert_eq!(algorithm(&keys, kid), None);
            }
        }
        for (made_for, without_alg) in [
            (Algorithm::Ps256, Algorithm::Rs256),
            (Algorithm::Es384, Algorithm::Es384),
            (Algorithm::EdDsa, Algorithm::EdDsa),
        ] {
            assert_eq!(
                algorithm(
                    &set(&[&lacking(&jwk(made_for), "alg")]).unwrap(),
                    "ins_test_1"
                ),
                Some(without_alg)
            );
        }
    }

    #[test]
    fn an_unfit_key_is_refused_and_named() {
        let ec = jwk(Algorithm::Es256);
        for (name, value, part) in [
            ("use", json!("enc"), "`use` is \"enc\""),
            ("use", json!(null), "`use` is not a string"),
            ("key_ops", json!([]), "`key_ops`"),
            ("key_ops", json!(["sign"]), "`key_ops`"),
            ("key_ops", json!("verify"), "`key_ops`"),
            ("d", json!("AA"), "private"),
            ("kid", json!(""), "no `kid`"),
            ("kid", json!(1), "no `kid`"),
            ("alg", json!("ES384"), "does not fit"),
            ("alg", json!("RS256"), "does not fit"),
            ("alg", json!("HS256"), "`alg` is \"HS256\""),
            ("alg", json!(null), "`alg` is not a string"),
            ("crv", json!("P-521"), "curve"),
            ("crv", json!("P-384"), "48 bytes"),
            ("crv", json!("\u{1b}[2J"), "\\u{1b}"),
            ("x", json!(encode(&[1; 32])), "not a point"),
            ("x", json!(encode(&[1; 31])), "32 bytes"),
            ("y", json!("=="), "base64url"),
            ("kty", json!("oct"), "`oct`"),
            ("kty", json!("AKP"), "\"AKP\""),
            ("kty", json!("OKP"), "curve"),
            ("kty", json!("RSA"), "does not fit"),
            ("kty", json!(null), "`kty`"),
        ] {
            let reason = reason(&changed(&ec, name, value.clone()));
            assert!(reason.contains(part), "{name} {value}: {reason}");
        }
        assert!(set(&[&changed(&ec, "key_ops", json!(["sign", "verify"]))]).is_ok());
        assert!(set(&[&lacking(&ec, "use")]).is_ok());
        assert!(reason(&lacking(&ec, "kid")).contains("no `kid`"));
        assert!(reason(&json!("text")).contains("not a JSON object"));
        let ed = jwk(Algorithm::EdDsa);
        assert!(reason(&changed(&ed, "x", json!(encode(&[1; 31])))).contains("32 bytes"));
        assert!(reason(&changed(&ed, "crv", json!("X25519"))).contains("curve"));
        assert!(reason(&changed(&ed, "alg", json!("ES256"))).contains("does not fit"));
    }

    // T1
    #[test]
    fn a_weak_rsa_key_is_refused() {
        let rsa = jwk(Algorithm::Rs256);
        let modulus = decode(rsa["n"].as_str().unwrap()).unwrap();
        assert_eq!(modulus.len(), 256);

        let with_modulus = |bytes: &[u8]| reason(&changed(&rsa, "n", json!(encode(bytes))));
        assert!(with_modulus(&modulus[128..]).contains("bits"));
        assert!(with_modulus(&[&[0x7f], &modulus[1..]].concat()).contains("2047 bits"));
        assert!(with_modulus(&[&[0], &modulus[..]].concat()).contains("zero byte"));
        assert!(with_modulus(&[0xff; 1025]).contains("8200 bits"));
        assert!(with_modulus(&[&modulus[..255], &[2]].concat()).contains("even"));
        assert!(with_modulus(&[]).contains("empty"));

        for exponent in [
            &[][..],
            &[1],
            &[3],
            &[0xff, 0xff],
            &[1, 0, 0],
            &[0, 1, 0, 1],
            &[1, 0, 0, 0, 1],
        ] {
            let reason = reason(&changed(&rsa, "e", json!(encode(exponent))));
            assert!(reason.contains("exponent"), "{exponent:?}: {reason}");
        }
        assert!(set(&[&changed(&rsa, "e", json!(encode(&[1, 0, 3])))]).is_ok());
    }

    #[test]
    fn a_kid_that_occurs_twice_names_no_key() {
        let (one, other) = (jwk(Algorithm::Es256), jwk(Algorithm::EdDsa));
        let third = changed(&one, "kid", json!("third"));
        for keys in [
            [&one, &other, &third],
            [&one, &third, &one],
            [&third, &changed(&other, "use", json!("enc")), &one],
        ] {
            let keys = set(&keys).unwrap();
            assert_eq!(algorithm(&keys, "ins_test_1"), None);
            assert_eq!(algorithm(&keys, "third"), Some(Algorithm::Es256));
            assert_eq!(keys.refused().len(), 2);
        }
        assert_eq!(set(&[&one, &other]).unwrap_err().refused().len(), 2);
    }

    #[test]
    fn a_set_without_a_usable_key_is_no_set() {
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
    fn a_file_that_fails_is_named() {
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
        assert!(std::error::Error::source(&missing).is_some());
        assert!(
            KeySet::from_file(&folder)
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );

        let set = json!({"keys": [jwk(Algorithm::Es256)]}).to_string();
        let padded = |len: usize| set.clone() + &" ".repeat(len - set.len());
        std::fs::write(&file, padded(MAX_BYTES)).unwrap();
        assert!(KeySet::from_file(&file).is_ok(), "as large as a set may be");
        std::fs::write(&file, padded(MAX_BYTES + 1)).unwrap();
        assert!(KeySet::from_file(&file).is_err());
        std::fs::write(&file, "{").unwrap();
        let garbage = KeySet::from_file(&file).unwrap_err().to_string();
        assert!(
            garbage.starts_with(&format!("{name}: not a JWKS")),
            "{garbage}"
        );

        std::fs::write(&file, json!({"keys": [jwk(Algorithm::Es256)]}).to_string()).unwrap();
        assert_eq!(
            algorithm(&KeySet::from_file(&file).unwrap(), "ins_test_1"),
            Some(Algorithm::Es256)
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
