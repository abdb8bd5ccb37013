//! The rules of rotations (`C40`) and revocations (`C41`).

use super::fixtures::{
    NOW, SharedStore, Store, concurrently, fields, new_digest, new_org, new_record, rich_record,
};

// T21
pub(super) async fn rotation_is_atomic(store: SharedStore<impl Store>) {
    let old = rich_record(&new_org());
    let old_digest = store.create(&old).await;
    let (new, new_digest) = (rich_record(old.org_id()).with_name("rotated"), new_digest());
    // A cache in front of the store now knows that the new key does not exist.
    assert!(store.lookup(&new_digest).await.is_none());

    let rotated = store.0.rotate(old.key_id(), new_digest, new.clone(), NOW);
    assert!(rotated.await.expect("rotate"));
    assert!(!store.is_live(&old_digest).await);
    assert!(store.is_live(&new_digest).await);
    let revoked = old.clone().with_revoked_at(NOW);
    assert_eq!(fields(&store.present(&old).await), fields(&revoked));
    assert_eq!(fields(&store.present(&new).await), fields(&new));
}

pub(super) async fn only_live_keys_are_rotated(store: SharedStore<impl Store>) {
    let org_id = new_org();
    let expired = new_record(&org_id).with_expires_at(NOW);
    let revoked = new_record(&org_id).with_revoked_at(NOW - 1);
    let unknown = new_record(&org_id);
    store.create(&expired).await;
    store.create(&revoked).await;
    for dead in [&expired, &revoked, &unknown] {
        let (digest, rotated) = store.rotate(dead.key_id(), &new_record(&org_id)).await;
        assert!(!rotated, "{dead:?}");
        assert!(store.lookup(&digest).await.is_none(), "{dead:?}");
    }
    assert_eq!(fields(&store.present(&expired).await), fields(&expired));
    assert_eq!(fields(&store.present(&revoked).await), fields(&revoked));
    assert_eq!(store.list(&org_id).await.len(), 2, "no key was created");

    let expiring = new_record(&org_id).with_expires_at(NOW + 1);
    store.create(&expiring).await;
    let (_, rotated) = store.rotate(expiring.key_id(), &new_record(&org_id)).await;
    assert!(rotated, "a key in its last second is live");
}

pub(super) async fn one_of_concurrent_rotations_is_done(store: SharedStore<impl Store>) {
    let old = new_record(&new_org());
    let old_digest = store.create(&old).await;
    let rotations = concurrently(|| {
        let (store, old) = (store.clone(), old.clone());
        async move { store.rotate(old.key_id(), &new_record(old.org_id())).await }
    });
    let rotations = rotations.await;
    assert_eq!(rotations.iter().filter(|(_, done)| *done).count(), 1);
    for (digest, done) in rotations {
        assert_eq!(store.is_live(&digest).await, done);
    }
    assert!(!store.is_live(&old_digest).await);
    assert_eq!(store.list(old.org_id()).await.len(), 2);
}

// C41: a rotation and a revocation exclude each other.
pub(super) async fn key_is_rotated_or_revoked(store: SharedStore<impl Store>) {
    for _ in 0..16 {
        let record = new_record(&new_org());
        let old = store.create(&record).await;
        let rotation = tokio::spawn({
            let (store, record) = (store.clone(), record.clone());
            async move {
                let replacement = new_record(record.org_id());
                store.rotate(record.key_id(), &replacement).await
            }
        });
        let revocation = store.revoke(record.org_id(), record.key_id()).await;
        let (new, rotated) = rotation.await.expect("rotate");
        let is_first = revocation.is_some_and(|revocation| revocation.is_first);
        assert_ne!(rotated, is_first);
        assert_eq!(store.is_live(&new).await, rotated);
        assert!(!store.is_live(&old).await);
    }
}

pub(super) async fn revocation_is_final(store: SharedStore<impl Store>) {
    let record = rich_record(&new_org());
    let (org_id, key_id) = (record.org_id(), record.key_id());
    let digest = store.create(&record).await;
    let sibling = store.create(&rich_record(org_id)).await;
    let expected = fields(&record.clone().with_revoked_at(NOW));
    for (now, is_first) in [(NOW, true), (NOW + 5, false), (NOW - 5, false)] {
        let revocation = store.0.revoke(org_id, key_id, now).await.expect("revoke");
        let revocation = revocation.expect("the key is revoked");
        assert_eq!(revocation.is_first, is_first, "at {now}");
        assert_eq!(fields(&revocation.record), expected, "at {now}");
        assert!(!store.is_live(&digest).await, "at {now}");
    }
    assert_eq!(fields(&store.present(&record).await), expected);
    assert!(store.is_live(&sibling).await);

    let expired = new_record(org_id).with_expires_at(NOW - 1);
    store.create(&expired).await;
    let revocation = store.revoke(org_id, expired.key_id()).await;
    assert!(revocation.is_some_and(|revocation| revocation.is_first));
}

// Only the first revocation is audited.
pub(super) async fn one_of_concurrent_revocations_is_first(store: SharedStore<impl Store>) {
    let record = new_record(&new_org());
    store.create(&record).await;
    let revocations = concurrently(|| {
        let (store, record) = (store.clone(), record.clone());
        async move { store.revoke(record.org_id(), record.key_id()).await }
    });
    let revocations = revocations.await.into_iter().flatten();
    assert_eq!(revocations.filter(|it| it.is_first).count(), 1);
}
