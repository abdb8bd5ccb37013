//! When keys were last used (`C38`).

use super::{NOW, allowlist, answer, created, found, listed, lookup, new_key, new_org, new_record};
use crate::{
    credential::KeyDigest,
    key_store::{KeyRecord, KeyRegistry, KeyStore},
};

pub(super) async fn a_use_is_written<S: KeyStore + KeyRegistry>(store: S, flush: impl AsyncFn(&S)) {
    let (used, unused) = (new_record(&new_org()), new_record(&new_org()));
    let digest = created(&store, used.clone()).await;
    created(&store, unused.clone()).await;
    record(&store, &digest).await.stamp_last_used(NOW + 7);
    flush(&store).await;
    let expected = Some(NOW + 7);
    assert_eq!(found(&store, &used).await.last_used_at(), expected, "find");
    let listed = listed(&store, used.org_id()).await;
    let listed: Vec<_> = listed.iter().map(KeyRecord::last_used_at).collect();
    assert_eq!(listed, [expected], "list");
    assert_eq!(found(&store, &unused).await.last_used_at(), None);
}

// Two instances, or one request that was slow: each has a record of its own, and their clocks differ.
pub(super) async fn the_newest_use_stays<S: KeyStore + KeyRegistry>(
    store: S,
    flush: impl AsyncFn(&S),
) {
    let used = new_record(&new_org());
    let digest = created(&store, used.clone()).await;
    for (now, newest) in [(20, 20), (10, 20), (30, 30), (29, 30)] {
        let older = lookup(&store, &digest).await;
        older.inspect(|record| record.stamp_last_used(NOW + now));
        flush(&store).await;
        let last_used_at = found(&store, &used).await.last_used_at();
        assert_eq!(last_used_at, Some(NOW + newest), "after {now}");
    }
}

// A request that was let in before the change may be counted after it.
pub(super) async fn a_use_survives_a_change<S: KeyStore + KeyRegistry>(
    store: S,
    flush: impl AsyncFn(&S),
) {
    let used = new_record(&new_org());
    let org_id = used.org_id();
    let digest = created(&store, used.clone()).await;
    let before = record(&store, &digest).await;
    before.stamp_last_used(NOW + 1);
    let office = allowlist(&["203.0.113.0/24"]);
    answer("set_allowlist", store.set_allowlist(org_id, office).await);
    flush(&store).await;
    let last_used_at = found(&store, &used).await.last_used_at();
    assert_eq!(last_used_at, Some(NOW + 1), "set_allowlist");

    let record = record(&store, &digest).await;
    let rotated = store.rotate(used.key_id(), new_key().digest(), new_record(org_id), NOW);
    assert!(answer("rotate", rotated.await));
    record.stamp_last_used(NOW + 2);
    flush(&store).await;
    let used = found(&store, &used).await;
    assert!(used.is_revoked(), "to write a use brings no key back");
}

async fn record<S: KeyStore>(store: &S, digest: &KeyDigest) -> KeyRecord {
    let record = lookup(store, digest).await;
    record.unwrap_or_else(|| panic!("lookup: the key is there"))
}
