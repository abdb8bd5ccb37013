//! Finding a key.

use super::{NOW, allowlist, fields, is_live, lookup, new_key, new_org, new_record, rich_record};
use crate::{
    api_key::{ApiKey, KeyDigest},
    key_store::{KeyRecord, KeyStore},
};

// C8: nothing there is an answer, not an error.
pub(super) async fn an_unknown_key_is_none<S: KeyStore>(
    make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S,
) {
    let store = make(vec![(new_key(), new_record(&new_org()))]).await;
    assert!(lookup(&store, &new_key().digest()).await.is_none());
    for constant in [[0; 32], [0xff; 32], [b'\''; 32]] {
        let digest = KeyDigest::from_bytes(constant);
        assert!(lookup(&store, &digest).await.is_none(), "{constant:?}");
    }
}

// T11
pub(super) async fn a_digest_is_compared_whole<S: KeyStore>(
    make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S,
) {
    let (key, record) = (new_key(), new_record(&new_org()));
    let digest = key.digest();
    let store = make(vec![(key, record)]).await;
    assert!(lookup(&store, &digest).await.is_some(), "the key is there");
    for position in 0..32 {
        let mut bytes = *digest.as_bytes();
        for byte in bytes.iter_mut().skip(position).take(1) {
            *byte ^= 1;
        }
        let other = lookup(&store, &KeyDigest::from_bytes(bytes)).await;
        assert!(other.is_none(), "byte {position} of a digest counts");
    }
}

// C6, C9, C10, C22
pub(super) async fn a_record_is_found_as_it_was_put<S: KeyStore>(
    make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S,
) {
    let networks = allowlist(&["203.0.113.0/24", "2001:db8::/32", "10.0.0.0/8"]);
    let keys = [
        (new_key(), new_record(&new_org())),
        (new_key(), rich_record(&new_org()).with_allowlist(networks)),
    ];
    let store = make(keys.to_vec()).await;
    for (key, record) in keys {
        let found = lookup(&store, &key.digest()).await;
        let Some(found) = found else {
            panic!("{:?} is found", record.key_id());
        };
        // What a key may do; when it was made, and by whom, is for its administrators.
        let rights = |record: &KeyRecord| {
            let dates = (record.expires_at(), record.revoked_at());
            (record.scopes().clone(), record.allowlist().clone(), dates)
        };
        assert_eq!(rights(&found), rights(&record));
        assert_eq!(found.org_id(), record.org_id());
        assert_eq!(found.key_id(), record.key_id());
        assert_eq!(found.name(), record.name());
        let again = lookup(&store, &key.digest()).await;
        assert_eq!(again.as_ref().map(fields), Some(fields(&found)));
    }
}

// C10
pub(super) async fn a_dead_key_is_not_live<S: KeyStore>(
    make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S,
) {
    let org_id = new_org();
    let record = || new_record(&org_id);
    let cases = [
        (record(), true, "a plain key"),
        (record().with_expires_at(NOW), false, "the second of expiry"),
        (record().with_expires_at(NOW + 1), true, "one before it"),
        (record().with_revoked_at(NOW - 1), false, "revoked"),
        (record().with_revoked_at(NOW + 9), false, "revoked, ahead"),
    ];
    let cases = cases.map(|(record, lives, case)| (new_key(), record, lives, case));
    let keys = cases.iter();
    let keys = keys.map(|(key, record, ..)| (key.clone(), record.clone()));
    let store = make(keys.collect()).await;
    for (key, _, lives, case) in cases {
        assert_eq!(is_live(&store, &key.digest()).await, lives, "{case}");
    }
}
