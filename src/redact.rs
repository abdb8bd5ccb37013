//! Credentials that went astray, into a path or a query, are not written down (`C33`).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

pub(crate) const REDACTED: &str = "[redacted]";

/// A path without the segments that are credentials, which somebody took for ids.
pub(crate) fn path(path: &str) -> Cow<'_, str> {
    if !path.split('/').any(is_credential) {
        return Cow::Borrowed(path);
    }
    let shown = |segment| {
        if is_credential(segment) {
            REDACTED
        } else {
            segment
        }
    };
    let segments: Vec<_> = path.split('/').map(shown).collect();
    Cow::Owned(segments.join("/"))
}

fn is_credential(segment: &str) -> bool {
    looks_like_a_credential(&percent_decode_str(segment).decode_utf8_lossy())
}

/// No key's id names an environment, and another issuer's secret is longer than its ids; three parts that begin as a JSON
/// object does are a JWT.
pub(crate) fn looks_like_a_credential(text: &str) -> bool {
    const LONGEST_ID: usize = 40;

    ["ak_live_", "ak_test_"]
        .iter()
        .any(|prefix| text.contains(prefix))
        || (text.starts_with("ak_") && text.len() > LONGEST_ID)
        || (text.starts_with("eyJ") && text.matches('.').count() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::{ApiKey, Environment, KeyId};

    #[test]
    fn a_credential_that_was_taken_for_an_id_is_not_shown() {
        let secret = ApiKey::generate(Environment::Live);
        let secret = secret.expose_secret();
        let revoke = |id: &str| format!("/v1/api-keys/{id}/revoke");
        assert_eq!(path(&revoke(secret)), revoke(REDACTED));
        let spelled = secret.replacen("ak", "%61k", 1);
        assert_eq!(path(&revoke(&spelled)), revoke(REDACTED));
        let foreign = format!("ak_{}", "x".repeat(48));
        for secret in [&foreign, "key=ak_live_x", "ak_test_"] {
            assert_eq!(path(&revoke(secret)), revoke(REDACTED));
        }
        assert_eq!(path("/v1/x/eyJhbGciOi.eyJzdWIi.c2ln"), "/v1/x/[redacted]");

        let id = KeyId::try_generate().unwrap();
        assert_eq!(path(&revoke(id.as_str())), revoke(id.as_str()));
        let foreign = format!("ak_{}", "x".repeat(32));
        assert_eq!(path(&revoke(&foreign)), revoke(&foreign));
        assert_eq!(path("/v1/files/eyJ.txt"), "/v1/files/eyJ.txt");
    }
}
