//! Keys and records for the tests, and a store whose errors fail them.

use std::{fmt, sync::Arc};

use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    client_ip::IpAllowlist,
    credential::{ApiKey, Environment, KeyDigest, KeyId},
    key_store::{KeyRecord, KeyRegistry, KeyStore, Revocation},
    principal::{OrgId, Scope},
};

/// The time of the tests, in Unix seconds.
pub(super) const NOW: u64 = 1_700_000_000;

pub(super) fn new_org() -> OrgId {
    OrgId::from(new_id().as_str().replace("ak_", "org_"))
}

pub(super) fn new_id() -> KeyId {
    KeyId::try_generate().expect("random numbers")
}

pub(super) fn new_key() -> ApiKey {
    ApiKey::generate(Environment::Live)
}

pub(super) fn new_digest() -> KeyDigest {
    new_key().digest()
}

pub(super) fn new_record(org_id: &OrgId) -> KeyRecord {
    KeyRecord::new(new_id(), org_id.clone()).with_created_at(NOW)
}

/// A record with something unusual in every field.
pub(super) fn rich_record(org_id: &OrgId) -> KeyRecord {
    new_record(org_id)
        .with_name("Zoë's \"CI\" ключ 🔑\\ \t\r\n\u{1b}[31m %_ '; DROP TABLE keys; --")
        .with_scopes([
            Scope::AUDIT_READ,
            Scope::from_static("reports:export"),
            Scope::KEYS_MANAGE,
            Scope::from_static("!#[]~'"),
        ])
        .with_expires_at(NOW + 3_153_600_000)
        .with_created_by("user_2x9")
        .with_last_used_at(NOW - 1)
}

pub(super) fn networks(networks: &[&str]) -> IpAllowlist {
    IpAllowlist::parse(networks).expect("networks")
}

/// Every field of a record, to compare two records.
pub(super) fn fields(record: &KeyRecord) -> impl PartialEq + fmt::Debug + use<> {
    let ids = (record.org_id().clone(), record.key_id().clone());
    let creation = (record.created_at(), record.created_by().map(String::from));
    let rights = (record.scopes().clone(), record.allowlist().clone());
    let end = (record.expires_at(), record.revoked_at());
    let name = record.name().to_owned();
    (ids, name, creation, rights, end, record.last_used_at())
}

/// Runs a call 32 times at once, and returns the results.
pub(super) async fn concurrently<T, F>(call: impl Fn() -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(32));
    let calls = (0..32).map(|_| {
        let (start, call) = (Arc::clone(&start), call());
        async move {
            start.wait().await;
            call.await
        }
    });
    calls.collect::<JoinSet<_>>().join_all().await
}

/// A store that is administered, whose clones are one store.
pub(super) trait Store: KeyStore + KeyRegistry + Clone {}

impl<S: KeyStore + KeyRegistry + Clone> Store for S {}

/// The store under test. Every error fails the test: nothing is wrong with the store.
#[derive(Clone)]
pub(super) struct SharedStore<S>(pub(super) S);

impl<S: Store> SharedStore<S> {
    pub(super) async fn lookup(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        self.0.lookup(digest).await.expect("lookup")
    }

    /// Looks up a key that exists.
    pub(super) async fn existing(&self, digest: &KeyDigest) -> KeyRecord {
        self.lookup(digest).await.expect("lookup finds the key")
    }

    pub(super) async fn is_live(&self, digest: &KeyDigest) -> bool {
        let record = self.lookup(digest).await;
        record.is_some_and(|record| record.is_live_at(NOW))
    }

    /// Creates the key under a new digest.
    pub(super) async fn create(&self, record: &KeyRecord) -> KeyDigest {
        let digest = new_digest();
        let created = self.0.create(digest, record.clone()).await;
        created.expect("create");
        digest
    }

    pub(super) async fn list(&self, org_id: &OrgId) -> Vec<KeyRecord> {
        self.0.list(org_id).await.expect("list")
    }

    pub(super) async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Option<KeyRecord> {
        self.0.find(org_id, key_id).await.expect("find")
    }

    /// Finds the present state of a key that exists.
    pub(super) async fn present(&self, record: &KeyRecord) -> KeyRecord {
        let found = self.find(record.org_id(), record.key_id()).await;
        found.expect("find finds the key")
    }

    /// Rotates the key to `new` at [`NOW`], under a new digest. Returns the digest, and whether it was done.
    pub(super) async fn rotate(&self, key_id: &KeyId, new: &KeyRecord) -> (KeyDigest, bool) {
        let digest = new_digest();
        let rotated = self.0.rotate(key_id, digest, new.clone(), NOW).await;
        (digest, rotated.expect("rotate"))
    }

    /// Revokes the key at [`NOW`].
    pub(super) async fn revoke(&self, org_id: &OrgId, key_id: &KeyId) -> Option<Revocation> {
        self.0.revoke(org_id, key_id, NOW).await.expect("revoke")
    }

    pub(super) async fn allowlist(&self, org_id: &OrgId) -> IpAllowlist {
        self.0.allowlist(org_id).await.expect("allowlist")
    }

    pub(super) async fn set_allowlist(&self, org_id: &OrgId, allowlist: &IpAllowlist) {
        let set = self.0.set_allowlist(org_id, allowlist.clone()).await;
        set.expect("set_allowlist");
    }
}
