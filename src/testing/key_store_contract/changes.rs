//! Rotation and revocation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::Barrier,
    task::{JoinHandle, JoinSet},
};

use super::{
    NOW, answer, created, fields, found, is_live, listed, lookup, new_key, new_org, new_record,
    rich_record,
};
use crate::{
    credential::KeyDigest,
    key_store::{Invalidation, KeyRegistry, KeyStore, LookupAnswer, invalidations::Subscriber},
    principal::OrgId,
};

// C40, T21
pub(super) async fn a_rotation_is_one_step<S: KeyStore + KeyRegistry>(store: S) {
    let old = rich_record(&new_org());
    let old_digest = created(&store, old.clone()).await;
    let new = rich_record(old.org_id()).with_name("rotated");
    let new_digest = new_key().digest();

    // A cache that had asked for it before must hear of it as of any other key.
    assert!(lookup(&store, &new_digest).await.is_none());
    let rotated = store.rotate(old.key_id(), new_digest, new.clone(), NOW);
    assert!(answer("rotate", rotated.await), "a live key is rotated");
    assert!(!is_live(&store, &old_digest).await, "the old key is dead");
    assert!(is_live(&store, &new_digest).await, "the new key lives");

    let old_now = found(&store, &old).await;
    assert_eq!(fields(&old_now), fields(&old.with_revoked_at(NOW)));
    assert_eq!(fields(&found(&store, &new).await), fields(&new));
}

// C40: revoked, expired at the exact second, or not there; and nothing has been done.
pub(super) async fn only_a_live_key_is_rotated<S: KeyStore + KeyRegistry>(store: S) {
    let org_id = new_org();
    let expired = new_record(&org_id).with_expires_at(NOW);
    let revoked = new_record(&org_id).with_revoked_at(NOW - 1);
    let unknown = new_record(&org_id);
    created(&store, expired.clone()).await;
    created(&store, revoked.clone()).await;
    for dead in [&expired, &revoked, &unknown] {
        let new_digest = new_key().digest();
        let rotated = store.rotate(dead.key_id(), new_digest, new_record(&org_id), NOW);
        assert!(!answer("rotate", rotated.await), "{dead:?}");
        assert!(lookup(&store, &new_digest).await.is_none(), "{dead:?}");
    }
    assert_eq!(fields(&found(&store, &expired).await), fields(&expired));
    assert_eq!(fields(&found(&store, &revoked).await), fields(&revoked));
    assert_eq!(listed(&store, &org_id).await.len(), 2, "no key is made");

    let last_second = new_record(&org_id).with_expires_at(NOW + 1);
    created(&store, last_second.clone()).await;
    let rotated = store.rotate(
        last_second.key_id(),
        new_key().digest(),
        new_record(&org_id),
        NOW,
    );
    assert!(answer("rotate", rotated.await), "its last second");
}

// C40
pub(super) async fn of_two_rotations_one_is_done<S: KeyStore + KeyRegistry + Clone>(store: S) {
    let old = new_record(&new_org());
    let old_digest = created(&store, old.clone()).await;
    let (mut rotations, start) = (JoinSet::new(), Arc::new(Barrier::new(32)));
    for _ in 0..32 {
        let (store, old, start) = (store.clone(), old.clone(), Arc::clone(&start));
        rotations.spawn(async move {
            start.wait().await;
            let digest = new_key().digest();
            let replacement = new_record(old.org_id());
            let done = store.rotate(old.key_id(), digest, replacement, NOW).await;
            (digest, answer("rotate", done))
        });
    }
    let rotations = rotations.join_all().await;
    let winners = rotations.iter().filter(|(_, done)| *done).count();
    assert_eq!(winners, 1, "one of 32 rotations is done");
    for (digest, done) in rotations {
        assert_eq!(is_live(&store, &digest).await, done, "and its key lives");
    }
    assert!(!is_live(&store, &old_digest).await);
    assert_eq!(listed(&store, old.org_id()).await.len(), 2);
}

// C41
pub(super) async fn a_revocation_is_for_good<S: KeyStore + KeyRegistry>(store: S) {
    let record = rich_record(&new_org());
    let digest = created(&store, record.clone()).await;
    let sibling = rich_record(record.org_id());
    let sibling_digest = created(&store, sibling.clone()).await;
    let expected = fields(&record.clone().with_revoked_at(NOW));
    for (now, is_first) in [(NOW, true), (NOW + 5, false), (NOW - 5, false)] {
        let revocation = store.revoke(record.org_id(), record.key_id(), now).await;
        let Some(revocation) = answer("revoke", revocation) else {
            panic!("revoke: {:?} is there", record.key_id());
        };
        assert_eq!(revocation.is_first, is_first, "at {now}");
        assert_eq!(fields(&revocation.record), expected, "at {now}");
        assert!(!is_live(&store, &digest).await, "at once");
    }
    assert_eq!(fields(&found(&store, &record).await), expected);
    assert!(is_live(&store, &sibling_digest).await, "no other key");

    let expired = new_record(record.org_id()).with_expires_at(NOW - 1);
    created(&store, expired.clone()).await;
    let revocation = store.revoke(expired.org_id(), expired.key_id(), NOW).await;
    let revocation = answer("revoke", revocation);
    assert!(revocation.is_some_and(|revocation| revocation.is_first));
}

// C41: only the first one is recorded, so there must be one.
pub(super) async fn of_many_revocations_one_is_the_first<S>(store: S)
where
    S: KeyStore + KeyRegistry + Clone,
{
    let record = new_record(&new_org());
    created(&store, record.clone()).await;
    let (mut revocations, start) = (JoinSet::new(), Arc::new(Barrier::new(32)));
    for _ in 0..32 {
        let (store, record, start) = (store.clone(), record.clone(), Arc::clone(&start));
        revocations.spawn(async move {
            start.wait().await;
            let revocation = store.revoke(record.org_id(), record.key_id(), NOW).await;
            answer("revoke", revocation).is_some_and(|revocation| revocation.is_first)
        });
    }
    let firsts = revocations.join_all().await;
    let firsts = firsts.into_iter().filter(|is_first| *is_first).count();
    assert_eq!(firsts, 1, "one of 32 revocations is the first");
}

// C40, C41: whoever comes first, no live key is left unless the rotation was answered so.
pub(super) async fn a_key_is_rotated_or_revoked<S: KeyStore + KeyRegistry + Clone>(store: S) {
    for _ in 0..16 {
        let record = new_record(&new_org());
        let old = created(&store, record.clone()).await;
        let new = new_key().digest();
        let rotation = {
            let (store, record) = (store.clone(), record.clone());
            tokio::spawn(async move {
                let replacement = new_record(record.org_id());
                store.rotate(record.key_id(), new, replacement, NOW).await
            })
        };
        let revocation = store.revoke(record.org_id(), record.key_id(), NOW).await;
        let revocation = answer("revoke", revocation);
        let rotated = joined(rotation).await;
        let rotated = answer("rotate", rotated);
        let is_first = revocation.is_some_and(|revocation| revocation.is_first);
        assert_ne!(rotated, is_first, "rotated or revoked, one of them");
        assert_eq!(is_live(&store, &new).await, rotated);
        assert!(!is_live(&store, &old).await);
    }
}

// T8: a cache that asks again on hearing of a change sees it, and hears of it before whoever made it is answered.
pub(super) async fn a_change_is_published_when_it_is_done<S>(store: S)
where
    S: KeyStore + KeyRegistry + Clone,
{
    let Some(invalidations) = store.invalidations() else {
        return;
    };
    let asked_again = Arc::new(AskedAgain {
        store: store.clone(),
        runtime: Handle::current(),
        heard: Mutex::default(),
    });
    let subscriber: Arc<dyn Subscriber> = asked_again.clone();
    invalidations.subscribe(Arc::downgrade(&subscriber));

    let org_id = new_org();
    let (old, new) = (new_record(&org_id), new_record(&org_id));
    let old_digest = created(&store, old.clone()).await;
    let lives = asked_again.lives(&old_digest).await;
    assert_eq!(lives, Some(true), "create");

    let new_digest = new_key().digest();
    let rotated = store.rotate(old.key_id(), new_digest, new.clone(), NOW);
    assert!(answer("rotate", rotated.await));
    let lives = asked_again.lives(&new_digest).await;
    assert_eq!(lives, Some(true), "rotate, the new key");
    let lives = asked_again.lives(&old_digest).await;
    assert_eq!(lives, Some(false), "rotate, the old key");

    answer("revoke", store.revoke(&org_id, new.key_id(), NOW).await);
    let lives = asked_again.lives(&new_digest).await;
    assert_eq!(lives, Some(false), "revoke");

    let networks = super::allowlist(&["203.0.113.0/24"]);
    answer(
        "set_allowlist",
        store.set_allowlist(&org_id, networks).await,
    );
    let heard = asked_again.heard().organizations.contains(&org_id);
    assert!(heard, "set_allowlist");
}

/// A cache that loads a key again as soon as it hears of it.
struct AskedAgain<S> {
    store: S,
    runtime: Handle,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    loads: HashMap<KeyDigest, JoinHandle<LookupAnswer>>,
    organizations: Vec<OrgId>,
}

impl<S: KeyStore> Subscriber for AskedAgain<S> {
    fn invalidate(&self, invalidation: &Invalidation) {
        match invalidation {
            Invalidation::Key(digest) => {
                let load = self.runtime.spawn(self.store.lookup(digest));
                self.heard().loads.insert(*digest, load);
            }
            Invalidation::Organization(org_id) => self.heard().organizations.push(org_id.clone()),
            Invalidation::Lost | Invalidation::Resumed => {}
        }
    }
}

impl<S: KeyStore> AskedAgain<S> {
    /// Whether the key lived when its last change was published; `None` where none was.
    async fn lives(&self, digest: &KeyDigest) -> Option<bool> {
        let load = self.heard().loads.remove(digest)?;
        let record = answer("lookup", joined(load).await);
        Some(record.is_some_and(|record| record.is_live_at(NOW)))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| panic!("{error}"))
}
