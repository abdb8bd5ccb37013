//! Conversions from and to the types of the crate `jsonwebtoken`.

use jsonwebtoken::jwk::{Jwk, JwkSet};

use super::{
    algorithm::Algorithm,
    keys::{error::KeySetError, key_set::KeySet},
};

/// Reads the set as [`KeySet::from_jwks`] does.
///
/// ```
/// use coverbase_auth::KeySet;
/// use jsonwebtoken::jwk::JwkSet;
///
/// let set: JwkSet = serde_json::from_str(r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "ins_1",
///     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#)?;
/// let keys = KeySet::try_from(&set)?;
/// # let _ = keys;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<&JwkSet> for KeySet {
    type Error = KeySetError;

    fn try_from(set: &JwkSet) -> Result<Self, KeySetError> {
        let json = serde_json::to_vec(set).map_err(KeySetError::malformed)?;
        Self::from_jwks(json)
    }
}

/// Reads a set of this one key.
impl TryFrom<&Jwk> for KeySet {
    type Error = KeySetError;

    fn try_from(key: &Jwk) -> Result<Self, KeySetError> {
        let keys = vec![key.clone()];
        Self::try_from(&JwkSet { keys })
    }
}

/// An algorithm of `jsonwebtoken` that is none of public keys: `HS256`, for example (C11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not verify with a public key: use RS*, PS*, ES* or EdDSA")]
pub struct UnsupportedAlgorithm(jsonwebtoken::Algorithm);

impl TryFrom<jsonwebtoken::Algorithm> for Algorithm {
    type Error = UnsupportedAlgorithm;

    fn try_from(theirs: jsonwebtoken::Algorithm) -> Result<Self, UnsupportedAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|ours| jsonwebtoken::Algorithm::from(*ours) == theirs)
            .ok_or(UnsupportedAlgorithm(theirs))
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(ours: Algorithm) -> Self {
        match ours {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Rs384 => Self::RS384,
            Algorithm::Rs512 => Self::RS512,
            Algorithm::Ps256 => Self::PS256,
            Algorithm::Ps384 => Self::PS384,
            Algorithm::Ps512 => Self::PS512,
            Algorithm::Es256 => Self::ES256,
            Algorithm::Es384 => Self::ES384,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // C11
    #[test]
    fn algorithms_convert_in_both_directions_and_hmac_is_rejected() {
        for ours in Algorithm::ALL {
            let theirs = jsonwebtoken::Algorithm::from(ours);
            assert_eq!(format!("{theirs:?}"), ours.as_str());
            assert_eq!(Algorithm::try_from(theirs), Ok(ours));
        }
        let error = Algorithm::try_from(jsonwebtoken::Algorithm::HS256).unwrap_err();
        assert!(error.to_string().starts_with("HS256 does not verify"));
    }

    // C12a
    #[test]
    fn jwk_without_kid_is_rejected() {
        let key = r#"{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}"#;
        let key: Jwk = serde_json::from_str(key).unwrap();
        let error = KeySet::try_from(&key).unwrap_err();
        assert_eq!(error.unusable_keys()[0].reason(), "it has no `kid`");
    }
}
