use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::json::{self, Object};
use crate::jwt::jwk::{VerifyingKey, quoted};

/// The largest key set that is read: a set of a hundred RSA keys is a sixth of it.
const MAX_BYTES: usize = 256 * 1024;

/// The public keys of one issuer, found by `kid` (C12).
///
/// A set belongs to the issuer that its [`JwtVerifier`](crate::jwt::JwtVerifier) names; two issuers have two sets, so that
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
/// - whose `alg` is not one of [`Algorithm`](crate::jwt::Algorithm) or does not fit its type.
///
/// A key verifies one algorithm, the one in its `alg`; without `alg` an RSA key verifies RS256, and a curve has only one.
#[derive(Clone, Debug)]
pub struct KeySet {
    source: Source,
}

/// Where the keys come from. One that changes while it is read holds its [`Keys`] behind an `ArcSwap`.
#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<Keys>),
    Unavailable,
}

/// One state of a set, replaced only as a whole.
#[derive(Debug)]
struct Keys {
    usable: HashMap<Box<str>, Arc<VerifyingKey>>,
    refused: Vec<RefusedKey>,
}

/// The set cannot tell whether it has a key: 503, never 401 (C31).
#[derive(Debug)]
pub(crate) struct Unavailable;

impl KeySet {
    /// Reads a JWK Set (RFC 7517 §5), as an issuer publishes it.
    ///
    /// # Errors
    ///
    /// When `json` is larger than 256 KiB, not strict JSON, has no array `keys`, or none of its keys is usable.
    ///
    /// ```
    /// use coverbase_auth::jwt::KeySet;
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
        let keys =
            Keys::from_jwks(json.as_ref()).map_err(|fault| KeySetError { file: None, fault })?;
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
    /// use coverbase_auth::jwt::KeySet;
    ///
    /// let error = KeySet::from_file("/no/such/jwks.json").unwrap_err();
    /// assert!(error.to_string().starts_with("/no/such/jwks.json: "));
    /// ```
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeySetError> {
        let path = path.as_ref();
        let keys = read(path)
            .map_err(Fault::Read)
            .and_then(|json| Keys::from_jwks(&json));
        let keys = keys.map_err(|fault| KeySetError {
            file: Some(path.into()),
            fault,
        })?;
        Ok(Self {
            source: Source::Fixed(Arc::new(keys)),
        })
    }

    /// A set that cannot answer: every JWT gets `503` with `Retry-After` (C31), API keys never notice.
    ///
    /// It stands for an issuer whose keys cannot be had, in a service that has to start without them, or in a test.
    ///
    /// ```
    /// use coverbase_auth::jwt::{JwtVerifier, KeySet};
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
    /// # use coverbase_auth::jwt::KeySet;
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
        match &self.source {
            Source::Fixed(keys) => keys.refused.clone(),
            Source::Unavailable => Vec::new(),
        }
    }

    /// The key of exactly this `kid`; `None` where the set has none.
    pub(crate) fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, Unavailable> {
        match &self.source {
            Source::Fixed(keys) => Ok(keys.usable.get(kid).cloned()),
            Source::Unavailable => Err(Unavailable),
        }
    }
}

impl Keys {
    fn from_jwks(json: &[u8]) -> Result<Self, Fault> {
        if json.len() > MAX_BYTES {
            return Err(Fault::Form("it is larger than 256 KiB".into()));
        }
        let set = json::parse_object(json).map_err(|error| Fault::Form(error.to_string()))?;
        let Some(Value::Array(jwks)) = set.get("keys") else {
            return Err(Fault::Form("it has no array `keys`".into()));
        };

        let mut occurrences: HashMap<&str, usize> = HashMap::new();
        for kid in jwks.iter().filter_map(|jwk| jwk.get("kid")?.as_str()) {
            *occurrences.entry(kid).or_default() += 1;
        }

        let mut keys = Self {
            usable: HashMap::new(),
            refused: Vec::new(),
        };
        for (index, jwk) in jwks.iter().enumerate() {
            let kid = jwk
                .get("kid")
                .and_then(Value::as_str)
                .filter(|kid| !kid.is_empty());
            match usable(jwk, kid, &occurrences) {
                Ok((kid, key)) => drop(keys.usable.insert(kid.into(), Arc::new(key))),
                Err(reason) => keys.refused.push(RefusedKey {
                    index,
                    kid: kid.map(Into::into),
                    reason: reason.into(),
                }),
            }
        }
        if keys.usable.is_empty() {
            Err(Fault::NoUsableKey(keys.refused))
        } else {
            Ok(keys)
        }
    }
}

fn usable<'a>(
    jwk: &Value,
    kid: Option<&'a str>,
    occurrences: &HashMap<&str, usize>,
) -> Result<(&'a str, VerifyingKey), String> {
    let jwk: &Object = jwk.as_object().ok_or("it is not a JSON object")?;
    let kid = kid.ok_or("it has no `kid`, by which tokens name their key")?;
    if occurrences.get(kid).is_some_and(|times| *times > 1) {
        return Err(
            "another key of the set has the same `kid`: which one signed cannot be told".into(),
        );
    }
    Ok((kid, VerifyingKey::from_jwk(jwk)?))
}

/// Reads at most one byte more than a set may have, whatever kind of file this is.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut json = Vec::new();
    File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut json)?;
    Ok(json)
}

/// A key of a [`KeySet`] that is not used, with the reason. Its text is escaped, fit for a log.
///
/// ```
/// # use coverbase_auth::jwt::KeySet;
/// let error = KeySet::from_jwks(r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#).unwrap_err();
/// let refused = &error.refused()[0];
/// assert_eq!(refused.kid(), None);
/// assert_eq!(refused.to_string(), "key 1: it has no `kid`, by which tokens name their key");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    index: usize,
    kid: Option<Box<str>>,
    reason: Box<str>,
}

impl RefusedKey {
    /// The key's `kid`, unescaped, where it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Why the key is not used: ``its `use` is "enc", not "sig"``.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for RefusedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kid() {
            Some(kid) => write!(formatter, "key {}: {}", quoted(kid), self.reason),
            None => write!(formatter, "key {}: {}", self.index + 1, self.reason),
        }
    }
}

/// Why there is no [`KeySet`]: for the person who builds the layer. Its text names the file, where one was read, and what to mend.
#[derive(Debug)]
pub struct KeySetError {
    file: Option<PathBuf>,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Read(io::Error),
    Form(String),
    NoUsableKey(Vec<RefusedKey>),
}

impl KeySetError {
    /// The keys that were there and are unfit, where that is the reason.
    #[must_use]
    pub fn refused(&self) -> &[RefusedKey] {
        match &self.fault {
            Fault::NoUsableKey(refused) => refused,
            Fault::Read(_) | Fault::Form(_) => &[],
        }
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(formatter, "{}: ", file.display())?;
        }
        match &self.fault {
            Fault::Read(error) => write!(formatter, "the key set cannot be read: {error}"),
            Fault::Form(reason) => write!(formatter, "not a JWKS ({{\"keys\": [..]}}): {reason}"),
            Fault::NoUsableKey(refused) if refused.is_empty() => {
                formatter.write_str("no usable key in the JWKS: it is empty")
            }
            Fault::NoUsableKey(refused) => {
                formatter.write_str("no usable key in the JWKS: ")?;
                for (index, key) in refused.iter().enumerate() {
                    write!(formatter, "{}{key}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for KeySetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Read(error) => Some(error),
            Fault::Form(_) | Fault::NoUsableKey(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jwt::algorithm::Algorithm;
    use crate::jwt::base64url::{decode, encode};
    use crate::jwt::test_issuer::TestIssuer;

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
        set.key(kid).unwrap().map(|key| key.algorithm())
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
