//! Finding a key.

use super::{NOW, allowlist, fields, new_key, new_org, new_record, presented, rich_record};
use crate::{
    credential::{ApiKey, KeyDigest},
    key_store::{KeyRecord, KeyStore},
};

// C8, T11: what is not there is an answer, not an error; nor is what looks much like a key that is.
pub(super) async fn an_unknown_key_is_none<S: KeyStore>(
    make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S,
) {
    let key = new_key();
    let store = make(vec![(key.clone(), new_record(&new_org()))]).await;
    let secret = key.expose_secret();
    let hex: String = key.digest().as_bytes().iter().map(hex_of).collect();
    for other in [
        new_key().expose_secret(),
        secret.split_at(secret.len() - 1).0,
        &format!("{secret}="),
        &secret.to_ascii_lowercase(),
        &format!("ak_{hex}"),
    ] {
        let other = other.parse();
        let other = other.unwrap_or_else(|error| panic!("{error}"));
        assert!(presented(&store, &other).await.is_none());
    }
}

fn hex_of(byte: &u8) -> String {
    format!("{byte:02x}")
}

// T11
pub(super) async fn a_digest_is_compared_whole<S: KeyStore>(
    make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S,
) {
    let (key, record) = (new_key(), new_record(&new_org()));
    let store = make(vec![(key.clone(), record)]).await;
    assert!(presented(&store, &key).await.is_some(), "the key is there");
    let mut others = vec![[0; 32], [0xff; 32], [b'\''; 32]];
    for position in 0..32 {
        let mut other = *key.digest().as_bytes();
        for byte in other.iter_mut().skip(position).take(1) {
            *byte ^= 1;
        }
        others.push(other);
    }
    for other in others {
        // A store that knows no digests cannot tell.
        let found = store.lookup(&KeyDigest::from_bytes(other)).await;
        let found = found.ok().flatten();
        assert!(found.is_none(), "each byte of a digest counts: {other:?}");
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
        let found = presented(&store, &key).await;
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
        let again = presented(&store, &key).await;
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
        let found = presented(&store, &key).await;
        let is_live = found.is_some_and(|record| record.is_live_at(NOW));
        assert_eq!(is_live, lives, "{case}");
    }
}
