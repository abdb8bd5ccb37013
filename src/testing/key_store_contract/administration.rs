//! The rules of creating, listing and finding keys.

use tokio::task::JoinSet;

use super::fixtures::{
    NOW, SharedStore, Store, fields, networks, new_digest, new_org, new_record, rich_record,
};
use crate::{client_ip::IpAllowlist, credential::KeyId, key_store::KeyRecord, principal::OrgId};

// C38
pub(super) async fn record_is_returned_whole(store: SharedStore<impl Store>) {
    let org_id = new_org();
    for record in [
        new_record(&org_id),
        rich_record(&org_id),
        rich_record(&org_id).with_revoked_at(NOW - 1),
        new_record(&org_id).with_created_at(0),
    ] {
        let digest = store.create(&record).await;
        assert_eq!(fields(&store.present(&record).await), fields(&record));
        assert_eq!(fields(&store.existing(&digest).await), fields(&record));
    }
}

// C6, T7: creating a key never replaces another one.
pub(super) async fn existing_digest_or_id_is_an_error(store: SharedStore<impl Store>) {
    let record = rich_record(&new_org());
    let (org_id, key_id) = (record.org_id(), record.key_id());
    let digest = store.create(&record).await;

    let stranger = new_record(&new_org());
    let created = store.0.create(digest, stranger.clone()).await;
    assert!(created.is_err(), "create with the digest of another key");
    assert!(store.list(stranger.org_id()).await.is_empty());

    let (other, namesake) = (new_digest(), KeyRecord::new(key_id.clone(), org_id.clone()));
    let created = store.0.create(other, namesake.clone()).await;
    assert!(created.is_err(), "create with the id of another key");
    let rotated = store.0.rotate(key_id, other, namesake, NOW).await;
    assert!(rotated.is_err(), "rotate to the id of the old key");
    assert!(store.lookup(&other).await.is_none());
    let rotated = store.0.rotate(key_id, digest, new_record(org_id), NOW);
    let rotated = rotated.await;
    assert!(rotated.is_err(), "rotate to the digest of the old key");

    assert!(store.is_live(&digest).await);
    assert_eq!(fields(&store.present(&record).await), fields(&record));
    assert_eq!(store.list(org_id).await.len(), 1);
}

// C38
pub(super) async fn list_is_oldest_first(store: SharedStore<impl Store>) {
    let (org_id, other) = (new_org(), new_org());
    assert!(store.list(&org_id).await.is_empty());
    let expired = new_record(&org_id).with_expires_at(NOW - 1);
    let mut records = vec![
        new_record(&org_id).with_created_at(NOW - 1),
        new_record(&org_id).with_created_at(NOW - 3),
        expired.with_created_at(NOW - 2),
        rich_record(&org_id),
        new_record(&org_id),
    ];
    for record in &records {
        store.create(record).await;
        store.create(&rich_record(&other)).await;
    }
    store.revoke(&org_id, records[0].key_id()).await;
    records[0] = records[0].clone().with_revoked_at(NOW);

    // Keys of the same second are in the order of their ids.
    records.sort_by_key(|record| (record.created_at(), record.key_id().clone()));
    let expected: Vec<_> = records.iter().map(fields).collect();
    let listed = store.list(&org_id).await;
    assert_eq!(listed.iter().map(fields).collect::<Vec<_>>(), expected);
}

// C38
pub(super) async fn thousand_keys_are_all_listed(store: SharedStore<impl Store>) {
    let org_id = new_org();
    let mut creations = JoinSet::new();
    for position in 0..1_000 {
        let record = new_record(&org_id).with_created_at(NOW + position);
        let store = store.clone();
        creations.spawn(async move { store.create(&record).await });
    }
    let digests = creations.join_all().await;
    let listed = store.list(&org_id).await;
    let created_at = listed.iter().map(KeyRecord::created_at);
    assert!(created_at.eq(NOW..NOW + 1_000), "1,000 keys in their order");
    for digest in &digests {
        assert!(store.is_live(digest).await);
    }
}

// C20, T7
pub(super) async fn key_of_another_organization_is_missing(store: SharedStore<impl Store>) {
    let (record, stranger) = (rich_record(&new_org()), new_record(&new_org()));
    let digest = store.create(&record).await;
    store.create(&stranger).await;
    let (key_id, other) = (record.key_id(), stranger.org_id());

    assert!(store.find(other, key_id).await.is_none());
    assert!(store.revoke(other, key_id).await.is_none());
    let (new, rotated) = store.rotate(key_id, &new_record(other)).await;
    assert!(!rotated && store.lookup(&new).await.is_none());

    assert!(store.is_live(&digest).await);
    assert_eq!(fields(&store.present(&record).await), fields(&record));
    assert_eq!(store.list(other).await.len(), 1);
    let revocation = store.revoke(record.org_id(), key_id).await;
    assert!(revocation.is_some_and(|revocation| revocation.is_first));
}

// C20: a client can write any text into a path.
pub(super) async fn odd_ids_match_nothing(store: SharedStore<impl Store>) {
    let record = rich_record(&new_org());
    let digest = store.create(&record).await;
    let (long, suffixed) = ("x".repeat(10 * 1024), format!("{}\0", record.key_id()));
    for odd in [
        "",
        " ",
        "%",
        "_",
        "*",
        "'",
        "\"",
        "\\",
        "' OR '1'='1",
        "\0",
        "ak_\0x",
        "ключ 🔑",
        "../..",
        &long,
        &suffixed,
    ] {
        let (odd_org, odd_key) = (OrgId::from(odd), KeyId::from(odd));
        for (org_id, key_id) in [
            (record.org_id(), &odd_key),
            (&odd_org, record.key_id()),
            (&odd_org, &odd_key),
        ] {
            assert!(store.find(org_id, key_id).await.is_none(), "{odd:.20?}");
            let revocation = store.revoke(org_id, key_id).await;
            assert!(revocation.is_none(), "{odd:.20?}");
            let (_, rotated) = store.rotate(key_id, &new_record(org_id)).await;
            assert!(!rotated, "{odd:.20?}");
        }
        assert!(store.list(&odd_org).await.is_empty(), "{odd:.20?}");
        let allowlist = store.allowlist(&odd_org).await;
        assert_eq!(allowlist, IpAllowlist::new(), "{odd:.20?}");
    }
    store.set_allowlist(record.org_id(), &networks(&[])).await;
    assert!(store.is_live(&digest).await);
    assert_eq!(store.list(record.org_id()).await.len(), 1);
}
