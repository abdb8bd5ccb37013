//! The rules of last uses (`C38`).

use super::fixtures::{NOW, SharedStore, Store, networks, new_org, new_record};
use crate::key_store::KeyRecord;

// Instances differ in their clocks, and a slow request can be counted after a later one.
pub(super) async fn newest_use_is_written<S: Store>(
    store: SharedStore<S>,
    flush: impl AsyncFn(&S),
) {
    let (used, unused) = (new_record(&new_org()), new_record(&new_org()));
    let digest = store.create(&used).await;
    store.create(&unused).await;
    for (now, newest) in [(20, 20), (10, 20), (30, 30), (29, 30)] {
        store.existing(&digest).await.stamp_last_used(NOW + now);
        flush(&store.0).await;
        let expected = Some(NOW + newest);
        let found = store.present(&used).await;
        assert_eq!(found.last_used_at(), expected, "after {now}");
        let listed = store.list(used.org_id()).await;
        let listed: Vec<_> = listed.iter().map(KeyRecord::last_used_at).collect();
        assert_eq!(listed, [expected], "after {now}");
    }
    assert_eq!(store.present(&unused).await.last_used_at(), None);
}

// A request that was admitted before a change can be counted after it.
pub(super) async fn use_outlives_a_change<S: Store>(
    store: SharedStore<S>,
    flush: impl AsyncFn(&S),
) {
    let used = new_record(&new_org());
    let org_id = used.org_id();
    let digest = store.create(&used).await;
    store.existing(&digest).await.stamp_last_used(NOW + 1);
    let office = networks(&["203.0.113.0/24"]);
    store.set_allowlist(org_id, &office).await;
    flush(&store.0).await;
    let last_used_at = store.present(&used).await.last_used_at();
    assert_eq!(last_used_at, Some(NOW + 1));

    let record = store.existing(&digest).await;
    let (_, rotated) = store.rotate(used.key_id(), &new_record(org_id)).await;
    assert!(rotated);
    record.stamp_last_used(NOW + 2);
    flush(&store.0).await;
    let used = store.present(&used).await;
    assert!(used.is_revoked(), "writing a use does not restore the key");
}
