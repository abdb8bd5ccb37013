//! The rules of revocations (`C41`).

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet};

use super::fixtures::{NOW, SharedStore, Store, fields, new_org, new_record, rich_record};

pub(super) async fn revocation_is_final(store: SharedStore<impl Store>) {
    let record = rich_record(&new_org());
    let (org_id, key_id) = (record.org_id(), record.key_id());
    let digest = store.create(&record).await;
    let sibling = store.create(&rich_record(org_id)).await;
    let expected = fields(&record.clone().with_revoked_at(NOW));
    for (now, is_first) in [(NOW, true), (NOW + 5, false), (NOW - 5, false)] {
        let revocation = store.revoke(org_id, key_id, now).await;
        let revocation = revocation.expect("the key is revoked");
        assert_eq!(revocation.is_first, is_first, "at {now}");
        assert_eq!(fields(&revocation.record), expected, "at {now}");
        assert!(!store.is_live(&digest).await, "at {now}");
    }
    assert_eq!(fields(&store.present(&record).await), expected);
    assert!(store.is_live(&sibling).await);

    let expired = new_record(org_id).with_expires_at(NOW - 1);
    store.create(&expired).await;
    let revocation = store.revoke(org_id, expired.key_id(), NOW).await;
    assert!(revocation.is_some_and(|revocation| revocation.is_first));
}

// Only the first revocation is audited.
pub(super) async fn one_of_concurrent_revocations_is_first(store: SharedStore<impl Store>) {
    let record = new_record(&new_org());
    store.create(&record).await;
    let (mut revocations, start) = (JoinSet::new(), Arc::new(Barrier::new(32)));
    for _ in 0..32 {
        let (store, record, start) = (store.clone(), record.clone(), Arc::clone(&start));
        revocations.spawn(async move {
            start.wait().await;
            store.revoke(record.org_id(), record.key_id(), NOW).await
        });
    }
    let revocations = revocations.join_all().await.into_iter().flatten();
    assert_eq!(revocations.filter(|it| it.is_first).count(), 1);
}
