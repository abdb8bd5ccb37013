//! The rule of announcements (T8).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::fixtures::{NOW, SharedStore, Store, networks, new_org, new_record};
use crate::{
    credential::KeyDigest,
    key_store::{Invalidation, KeyStore, LookupAnswer, invalidations::Subscriber},
    principal::OrgId,
};

// A cache that reloads a key on its announcement reads the change, and is notified before the change is answered.
pub(super) async fn change_is_published_when_it_is_done(store: SharedStore<impl Store>) {
    let Some(invalidations) = store.0.invalidations() else {
        return;
    };
    let cache = Arc::new(Reloading {
        store: store.0.clone(),
        runtime: Handle::current(),
        loads: Mutex::default(),
        organizations: Mutex::default(),
    });
    let subscriber: Arc<dyn Subscriber> = cache.clone();
    invalidations.subscribe(Arc::downgrade(&subscriber));

    let org_id = new_org();
    let (old, new) = (new_record(&org_id), new_record(&org_id));
    let old_digest = store.create(&old).await;
    assert_eq!(cache.is_live(&old_digest).await, Some(true), "create");

    let (new_digest, _) = store.rotate(old.key_id(), &new).await;
    assert_eq!(cache.is_live(&new_digest).await, Some(true), "rotate, new");
    assert_eq!(cache.is_live(&old_digest).await, Some(false), "rotate, old");

    store.revoke(&org_id, new.key_id()).await;
    assert_eq!(cache.is_live(&new_digest).await, Some(false), "revoke");

    let office = networks(&["203.0.113.0/24"]);
    store.set_allowlist(&org_id, &office).await;
    let organizations = cache.organizations.lock().unwrap();
    assert!(organizations.contains(&org_id), "set_allowlist");
}

/// A cache that reloads a key as soon as a change of it is announced.
struct Reloading<S> {
    store: S,
    runtime: Handle,
    loads: Mutex<HashMap<KeyDigest, JoinHandle<LookupAnswer>>>,
    organizations: Mutex<Vec<OrgId>>,
}

impl<S: KeyStore> Subscriber for Reloading<S> {
    fn invalidate(&self, invalidation: &Invalidation) {
        match invalidation {
            Invalidation::Key(digest) => {
                let load = self.runtime.spawn(self.store.lookup(digest));
                self.loads.lock().unwrap().insert(*digest, load);
            }
            Invalidation::Organization(org_id) => {
                self.organizations.lock().unwrap().push(org_id.clone());
            }
            Invalidation::Lost | Invalidation::Resumed => {}
        }
    }
}

impl<S: KeyStore> Reloading<S> {
    /// Returns whether the key was live when its last change was announced; `None` if none was.
    async fn is_live(&self, digest: &KeyDigest) -> Option<bool> {
        let load = self.loads.lock().unwrap().remove(digest)?;
        let record = load.await.expect("no panic").expect("lookup");
        Some(record.is_some_and(|record| record.is_live_at(NOW)))
    }
}
