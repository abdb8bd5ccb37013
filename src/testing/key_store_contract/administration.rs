//! Creating, listing and finding.

use super::{
    NOW, allowlist, answer, created, fields, found, is_live, listed, lookup, new_id, new_key,
    new_org, new_record, rich_record,
};
use crate::{
    client_ip::IpAllowlist,
    credential::KeyId,
    key_store::{KeyRecord, KeyRegistry, KeyStore},
    principal::OrgId,
};

// C38
pub(super) async fn a_record_comes_back_whole<S: KeyStore + KeyRegistry>(store: S) {
    let org_id = new_org();
    for record in [
        new_record(&org_id),
        rich_record(&org_id),
        rich_record(&org_id).with_revoked_at(NOW - 1),
        new_record(&org_id).with_created_at(0),
    ] {
        let digest = created(&store, record.clone()).await;
        let expected = fields(&record);
        assert_eq!(fields(&found(&store, &record).await), expected, "find");
        let looked_up = lookup(&store, &digest).await;
        assert_eq!(looked_up.as_ref().map(fields), Some(expected), "lookup");
    }
}

// C6, T7: nobody takes a key over by making it anew.
pub(super) async fn a_taken_digest_or_id_stays_whose_it_is<S: KeyStore + KeyRegistry>(store: S) {
    let record = rich_record(&new_org());
    let digest = created(&store, record.clone()).await;
    let org_id = record.org_id();

    let stranger = new_record(&new_org());
    let taken = store.create(digest, stranger.clone()).await;
    assert!(taken.is_err(), "create: the digest is another key's");
    assert!(listed(&store, stranger.org_id()).await.is_empty());

    let namesake = KeyRecord::new(record.key_id().clone(), org_id.clone());
    let other_digest = new_key().digest();
    let taken = store.create(other_digest, namesake.clone()).await;
    assert!(taken.is_err(), "create: the id is another key's");
    let taken = store.rotate(record.key_id(), other_digest, namesake, NOW);
    assert!(taken.await.is_err(), "rotate: the id is the old key's");
    assert!(lookup(&store, &other_digest).await.is_none());

    let rotated = store.rotate(record.key_id(), digest, new_record(org_id), NOW);
    assert!(
        rotated.await.is_err(),
        "rotate: the digest is the old key's"
    );

    assert!(is_live(&store, &digest).await, "the key is untouched");
    assert_eq!(fields(&found(&store, &record).await), fields(&record));
    assert_eq!(listed(&store, org_id).await.len(), 1);
}

// C38
pub(super) async fn a_list_is_the_organizations_oldest_first<S: KeyStore + KeyRegistry>(store: S) {
    let (org_id, other) = (new_org(), new_org());
    assert!(listed(&store, &org_id).await.is_empty(), "nobody's keys");

    let mut records = vec![
        new_record(&org_id).with_created_at(NOW - 1),
        new_record(&org_id).with_created_at(NOW - 3),
        new_record(&org_id)
            .with_created_at(NOW - 2)
            .with_expires_at(NOW - 1),
        rich_record(&org_id),
        new_record(&org_id),
    ];
    for record in &records {
        created(&store, record.clone()).await;
        created(&store, rich_record(&other)).await;
    }
    let revoked = records.remove(0);
    let revocation = store.revoke(&org_id, revoked.key_id(), NOW).await;
    answer("revoke", revocation);
    records.push(revoked.with_revoked_at(NOW));

    // Those of one second by their ids: a list has one order.
    records.sort_by_key(|record| (record.created_at(), record.key_id().clone()));
    let listed = listed(&store, &org_id).await;
    let fields_of = |records: &[KeyRecord]| records.iter().map(fields).collect::<Vec<_>>();
    assert_eq!(fields_of(&listed), fields_of(&records));
}

// C38: every key, however many.
pub(super) async fn a_thousand_keys_are_all_there<S: KeyStore + KeyRegistry + Clone>(store: S) {
    let org_id = new_org();
    let mut creations = tokio::task::JoinSet::new();
    for position in 0..1_000 {
        let record = new_record(&org_id).with_created_at(NOW + position);
        let store = store.clone();
        creations.spawn(async move { created(&store, record).await });
    }
    let digests = creations.join_all().await;
    let ages = listed(&store, &org_id).await;
    let ages = ages.iter().map(KeyRecord::created_at);
    assert!(ages.eq(NOW..NOW + 1_000), "list: 1,000 keys, in order");
    for digest in &digests {
        assert!(is_live(&store, digest).await, "lookup: each of 1,000 keys");
    }
}

// C20, T7
pub(super) async fn another_organizations_key_is_not_there<S: KeyStore + KeyRegistry>(store: S) {
    let (record, stranger) = (rich_record(&new_org()), new_record(&new_org()));
    let digest = created(&store, record.clone()).await;
    created(&store, stranger.clone()).await;
    let (key_id, other) = (record.key_id(), stranger.org_id());

    assert!(answer("find", store.find(other, key_id).await).is_none());
    assert!(answer("revoke", store.revoke(other, key_id, NOW).await).is_none());
    let new = new_key().digest();
    let rotated = store.rotate(key_id, new, new_record(other), NOW).await;
    assert!(!answer("rotate", rotated));
    assert!(lookup(&store, &new).await.is_none(), "nothing is made");

    assert!(is_live(&store, &digest).await);
    assert_eq!(fields(&found(&store, &record).await), fields(&record));
    assert_eq!(listed(&store, other).await.len(), 1);
    let first = answer("revoke", store.revoke(record.org_id(), key_id, NOW).await);
    assert!(first.is_some_and(|first| first.is_first));
}

// C20: whatever a client writes into a path.
pub(super) async fn odd_ids_name_nothing<S: KeyStore + KeyRegistry>(store: S) {
    let record = rich_record(&new_org());
    let digest = created(&store, record.clone()).await;
    let long = "x".repeat(10 * 1024);
    let suffixed = format!("{}\0", record.key_id());
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
        let case = odd.get(..20).unwrap_or(odd);
        for (org_id, key_id) in [
            (record.org_id().clone(), KeyId::from(odd)),
            (OrgId::from(odd), record.key_id().clone()),
            (OrgId::from(odd), KeyId::from(odd)),
        ] {
            let found = answer("find", store.find(&org_id, &key_id).await);
            assert!(found.is_none(), "find: {case:?}");
            let revoked = answer("revoke", store.revoke(&org_id, &key_id, NOW).await);
            assert!(revoked.is_none(), "revoke: {case:?}");
            let replacement = KeyRecord::new(new_id(), org_id.clone());
            let rotated = store.rotate(&key_id, new_key().digest(), replacement, NOW);
            assert!(!answer("rotate", rotated.await), "rotate: {case:?}");
        }
        let org_id = OrgId::from(odd);
        assert!(listed(&store, &org_id).await.is_empty(), "list: {case:?}");
        let unrestricted = answer("allowlist", store.allowlist(&org_id).await);
        assert_eq!(unrestricted, IpAllowlist::new(), "allowlist: {case:?}");
    }
    answer(
        "set_allowlist",
        store.set_allowlist(record.org_id(), allowlist(&[])).await,
    );
    assert!(is_live(&store, &digest).await);
    assert_eq!(listed(&store, record.org_id()).await.len(), 1);
}
