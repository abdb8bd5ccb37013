//! The rules of an organization's allowlist (`C22`).

use tokio::task::JoinSet;

use super::fixtures::{SharedStore, Store, networks, new_org, new_record};
use crate::client_ip::IpAllowlist;

// C42
pub(super) async fn allowlist_is_returned_as_set(store: SharedStore<impl Store>) {
    let org_id = new_org();
    assert_eq!(store.allowlist(&org_id).await, IpAllowlist::new());
    let several = [
        "203.0.113.0/24",
        "10.0.0.0/8",
        "2001:db8::1/128",
        "0.0.0.0/0",
    ];
    for expected in [&several[..], &["198.51.100.7"], &[]].map(networks) {
        store.set_allowlist(&org_id, &expected).await;
        assert_eq!(store.allowlist(&org_id).await, expected);
    }
    assert!(store.list(&org_id).await.is_empty(), "no key was created");
}

// C20
pub(super) async fn allowlist_applies_to_every_key(store: SharedStore<impl Store>) {
    let (org_id, other) = (new_org(), new_org());
    let first = store.create(&new_record(&org_id)).await;
    let second = store.create(&new_record(&org_id)).await;
    let stranger = store.create(&new_record(&other)).await;
    for expected in [networks(&["203.0.113.0/24"]), networks(&[])] {
        store.set_allowlist(&org_id, &expected).await;
        for digest in [&first, &second] {
            assert_eq!(*store.existing(digest).await.allowlist(), expected);
        }
        for record in store.list(&org_id).await {
            assert_eq!(*record.allowlist(), expected);
        }
    }
    let unrestricted = IpAllowlist::new();
    assert_eq!(*store.existing(&stranger).await.allowlist(), unrestricted);
    assert_eq!(store.allowlist(&other).await, unrestricted);
}

pub(super) async fn new_key_gets_the_allowlist_of_its_organization(store: SharedStore<impl Store>) {
    let anywhere = networks(&["0.0.0.0/0"]);
    for expected in [networks(&["203.0.113.0/24"]), networks(&[])] {
        let org_id = new_org();
        store.set_allowlist(&org_id, &expected).await;
        let record = new_record(&org_id).with_allowlist(anywhere.clone());
        let digest = store.create(&record).await;
        assert_eq!(*store.existing(&digest).await.allowlist(), expected);
        assert_eq!(*store.present(&record).await.allowlist(), expected);

        let replacement = new_record(&org_id).with_allowlist(anywhere.clone());
        let (digest, _) = store.rotate(record.key_id(), &replacement).await;
        assert_eq!(*store.existing(&digest).await.allowlist(), expected);
    }
    let record = new_record(&new_org()).with_allowlist(anywhere);
    let digest = store.create(&record).await;
    assert_eq!(*store.existing(&digest).await.allowlist(), networks(&[]));
}

// A key that is created while the allowlist changes has the new one when both calls are answered.
pub(super) async fn concurrent_creation_gets_the_new_allowlist(store: SharedStore<impl Store>) {
    for _ in 0..16 {
        let org_id = new_org();
        let expected = networks(&["203.0.113.0/24"]);
        let rotated = new_record(&org_id);
        store.create(&rotated).await;
        let mut creations = JoinSet::new();
        for _ in 0..4 {
            let (store, record) = (store.clone(), new_record(&org_id));
            creations.spawn(async move { store.create(&record).await });
        }
        let (rotating, replacement) = (store.clone(), new_record(&org_id));
        creations.spawn(async move {
            let (digest, done) = rotating.rotate(rotated.key_id(), &replacement).await;
            assert!(done);
            digest
        });
        store.set_allowlist(&org_id, &expected).await;
        for digest in creations.join_all().await {
            assert_eq!(*store.existing(&digest).await.allowlist(), expected);
        }
    }
}
