//! The allowlist that the keys of an organization share.

use super::{NOW, allowlist, answer, created, found, listed, lookup, new_key, new_org, new_record};
use crate::{
    client_ip::IpAllowlist,
    credential::KeyDigest,
    key_store::{KeyRegistry, KeyStore},
    principal::OrgId,
};

// C22, C42
pub(super) async fn an_allowlist_comes_back_as_it_was_set<S: KeyStore + KeyRegistry>(store: S) {
    let org_id = new_org();
    let unset = answer("allowlist", store.allowlist(&org_id).await);
    assert_eq!(unset, IpAllowlist::new(), "nobody has set any");
    for networks in [
        &[
            "203.0.113.0/24",
            "10.0.0.0/8",
            "2001:db8::1/128",
            "0.0.0.0/0",
        ][..],
        &["198.51.100.7"],
        &[],
    ] {
        set(&store, &org_id, &allowlist(networks)).await;
        let now = answer("allowlist", store.allowlist(&org_id).await);
        assert_eq!(now, allowlist(networks), "the same networks in their order");
    }
    assert!(listed(&store, &org_id).await.is_empty(), "and no key");
}

// C22, C20
pub(super) async fn an_allowlist_holds_for_each_key_of_its_organization<S>(store: S)
where
    S: KeyStore + KeyRegistry,
{
    let (org_id, other) = (new_org(), new_org());
    let first = created(&store, new_record(&org_id)).await;
    let second = created(&store, new_record(&org_id)).await;
    let stranger = created(&store, new_record(&other)).await;
    let office = allowlist(&["203.0.113.0/24"]);

    set(&store, &org_id, &office).await;
    for digest in [&first, &second] {
        assert_eq!(of_key(&store, digest).await, office, "at once");
    }
    for record in listed(&store, &org_id).await {
        assert_eq!(*record.allowlist(), office);
    }
    assert_eq!(of_key(&store, &stranger).await, IpAllowlist::new());
    let unset = answer("allowlist", store.allowlist(&other).await);
    assert_eq!(unset, IpAllowlist::new());

    set(&store, &org_id, &IpAllowlist::new()).await;
    assert_eq!(of_key(&store, &first).await, IpAllowlist::new(), "lifted");
}

// C22: whatever the record that comes in carries.
pub(super) async fn a_new_key_falls_under_its_organizations_allowlist<S>(store: S)
where
    S: KeyStore + KeyRegistry,
{
    let (org_id, unrestricted) = (new_org(), new_org());
    let (office, anywhere) = (allowlist(&["203.0.113.0/24"]), allowlist(&["0.0.0.0/0"]));
    set(&store, &org_id, &office).await;

    let record = new_record(&org_id).with_allowlist(anywhere.clone());
    let digest = created(&store, record.clone()).await;
    assert_eq!(of_key(&store, &digest).await, office, "create");
    assert_eq!(*found(&store, &record).await.allowlist(), office);

    let replacement = new_record(&org_id).with_allowlist(anywhere.clone());
    let digest = new_key().digest();
    let rotated = store.rotate(record.key_id(), digest, replacement, NOW);
    assert!(answer("rotate", rotated.await));
    assert_eq!(of_key(&store, &digest).await, office, "rotate");

    let record = new_record(&unrestricted).with_allowlist(anywhere);
    let digest = created(&store, record).await;
    assert_eq!(of_key(&store, &digest).await, IpAllowlist::new());
}

// C22: a key that is made while the list changes has the new one when both are answered.
pub(super) async fn no_key_slips_past_a_changing_allowlist<S>(store: S)
where
    S: KeyStore + KeyRegistry + Clone,
{
    for _ in 0..16 {
        let org_id = new_org();
        let office = allowlist(&["203.0.113.0/24"]);
        let rotated = new_record(&org_id);
        created(&store, rotated.clone()).await;
        let mut makers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (store, org_id) = (store.clone(), org_id.clone());
            makers.spawn(async move { created(&store, new_record(&org_id)).await });
        }
        let clone = store.clone();
        makers.spawn(async move {
            let (digest, replacement) = (new_key().digest(), new_record(rotated.org_id()));
            let done = clone
                .rotate(rotated.key_id(), digest, replacement, NOW)
                .await;
            assert!(answer("rotate", done));
            digest
        });
        set(&store, &org_id, &office).await;
        for digest in makers.join_all().await {
            assert_eq!(of_key(&store, &digest).await, office);
        }
    }
}

async fn set<S: KeyRegistry>(store: &S, org_id: &OrgId, allowlist: &IpAllowlist) {
    let set = store.set_allowlist(org_id, allowlist.clone()).await;
    answer("set_allowlist", set);
}

async fn of_key<S: KeyStore>(store: &S, digest: &KeyDigest) -> IpAllowlist {
    let record = lookup(store, digest).await;
    let record = record.unwrap_or_else(|| panic!("lookup: the key is there"));
    record.allowlist().clone()
}
