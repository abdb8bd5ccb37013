//! The rules of rotations (`C40`).

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet};

use super::fixtures::{
    NOW, SharedStore, Store, fields, new_digest, new_org, new_record, rich_record,
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
    let (mut rotations, start) = (JoinSet::new(), Arc::new(Barrier::new(32)));
    for _ in 0..32 {
        let (store, old, start) = (store.clone(), old.clone(), Arc::clone(&start));
        rotations.spawn(async move {
            start.wait().await;
            store.rotate(old.key_id(), &new_record(old.org_id())).await
        });
    }
    let rotations = rotations.join_all().await;
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
        let revocation = store.revoke(record.org_id(), record.key_id(), NOW).await;
        let (new, rotated) = rotation.await.expect("rotate");
        let is_first = revocation.is_some_and(|revocation| revocation.is_first);
        assert_ne!(rotated, is_first);
        assert_eq!(store.is_live(&new).await, rotated);
        assert!(!store.is_live(&old).await);
    }
}
