//! The rules of lookups.

use super::fixtures::{NOW, fields, networks, new_key, new_org, new_record, rich_record};
use crate::{
    credential::{ApiKey, KeyDigest},
    key_store::{KeyRecord, KeyStore, PresentedKey},
};

/// The keys that a store holds.
type Keys = Vec<(ApiKey, KeyRecord)>;

/// Looks the key up as the layer does.
async fn presented<S: KeyStore>(store: &S, key: &ApiKey) -> Option<KeyRecord> {
    let record = store.lookup_presented(&PresentedKey::from(key)).await;
    record.expect("lookup_presented")
}

// C8, T11: an unknown key is not an error, and a key similar to an existing one is unknown.
pub(super) async fn key_similar_to_an_existing_one_is_unknown<S: KeyStore>(
    make: impl AsyncFn(Keys) -> S,
) {
    let key = new_key();
    let store = make(vec![(key.clone(), new_record(&new_org()))]).await;
    let secret = key.expose_secret();
    let digest = key.digest();
    let hex = digest.as_bytes().map(|byte| format!("{byte:02x}"));
    for other in [
        new_key().expose_secret(),
        &secret[..secret.len() - 1],
        &format!("{secret}="),
        &secret.to_ascii_lowercase(),
        &format!("ak_{}", hex.concat()),
    ] {
        let other = other.parse().expect("a key");
        assert!(presented(&store, &other).await.is_none());
    }

    // The digest is compared whole.
    assert!(presented(&store, &key).await.is_some());
    let mut others = vec![[0; 32], [0xff; 32], [b'\''; 32]];
    for position in 0..32 {
        let mut other = *key.digest().as_bytes();
        other[position] ^= 1;
        others.push(other);
    }
    for other in others {
        // A store that knows no digests answers with an error.
        let found = store.lookup(&KeyDigest::from_bytes(other)).await;
        assert!(found.ok().flatten().is_none(), "{other:?}");
    }
}

// C6, C9, C10, C22
pub(super) async fn record_is_found_as_stored<S: KeyStore>(make: impl AsyncFn(Keys) -> S) {
    let allowlist = networks(&["203.0.113.0/24", "2001:db8::/32", "10.0.0.0/8"]);
    let keys = [
        (new_key(), new_record(&new_org())),
        (new_key(), rich_record(&new_org()).with_allowlist(allowlist)),
    ];
    let store = make(keys.to_vec()).await;
    for (key, record) in keys {
        let found = presented(&store, &key).await.expect("the key is found");
        // A request needs no creation date and no creator, so a store may leave them out.
        let rights = |record: &KeyRecord| {
            let dates = (record.expires_at(), record.revoked_at());
            (record.scopes().clone(), record.allowlist().clone(), dates)
        };
        assert_eq!(rights(&found), rights(&record));
        assert_eq!(found.org_id(), record.org_id());
        assert_eq!(found.key_id(), record.key_id());
        assert_eq!(found.name(), record.name());
        let again = presented(&store, &key).await;
        assert_eq!(again.as_ref().map(fields), Some(fields(&found)));
    }
}

// C10
pub(super) async fn dead_key_is_not_live<S: KeyStore>(make: impl AsyncFn(Keys) -> S) {
    let org_id = new_org();
    let record = || new_record(&org_id);
    let cases = [
        (record(), true, "no expiry"),
        (record().with_expires_at(NOW), false, "expires now"),
        (record().with_expires_at(NOW + 1), true, "expires next"),
        (record().with_revoked_at(NOW - 1), false, "revoked"),
        (record().with_revoked_at(NOW + 9), false, "revoked, ahead"),
    ];
    let cases = cases.map(|(record, is_live, case)| (new_key(), record, is_live, case));
    let keys = cases
        .iter()
        .map(|(key, record, ..)| (key.clone(), record.clone()));
    let store = make(keys.collect()).await;
    for (key, _, expected, case) in cases {
        let found = presented(&store, &key).await;
        let is_live = found.is_some_and(|record| record.is_live_at(NOW));
        assert_eq!(is_live, expected, "{case}");
    }
}
