//! For the tests of services that wear the layer: principals out of nothing, and a store that fails on demand.
//!
//! Beside them stand [`TestClock`](crate::testing::TestClock), [`TestIssuer`](crate::testing::TestIssuer) for session tokens, and
//! [`KeyRecord`] with [`MemoryStore`](crate::MemoryStore) for keys. How they go together is told in
//! [the manual](crate::manual::testing).
//!
//! Only here can a [`Principal`] be made by hand. The feature `test-util` belongs under `dev-dependencies`.

#[cfg(feature = "audit")]
pub mod audit_contract;
mod clock;
#[cfg(feature = "jwt")]
mod issuer;
#[cfg(feature = "test-util")]
pub mod key_store_contract;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;

pub use self::clock::TestClock;
#[cfg(feature = "jwt")]
pub use self::issuer::{TestIssuer, TestToken};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{
        Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, PresentedKey, Revocation,
        StoreError,
    },
    principal::{OrgId, Principal, Role, Scopes, UserIdentity},
};

/// The principal of a request that the key of `record` has opened.
///
/// ```
/// use coverbase_auth::{KeyRecord, Scope, testing};
///
/// let record = KeyRecord::new("ak_1", "org_acme").with_scopes([Scope::AUDIT_READ]);
/// let caller = testing::service_account(record);
/// assert_eq!(caller.org_id().as_str(), "org_acme");
/// ```
#[must_use]
pub fn service_account(record: KeyRecord) -> Principal {
    record.into_principal()
}

/// The principal of a request by a user of the dashboard; `None`: the session names no role.
///
/// ```
/// use coverbase_auth::{KeyAdmin, Role, testing};
///
/// let admin = testing::user("user_1", "org_acme", Role::ADMIN);
/// let nobody_in_particular = testing::user("user_2", "org_acme", None);
/// assert!(KeyAdmin::requirement().check(&admin).is_ok());
/// assert!(KeyAdmin::requirement().check(&nobody_in_particular).is_err());
/// ```
#[must_use]
pub fn user(
    user_id: impl Into<String>,
    org_id: impl Into<OrgId>,
    role: impl Into<Option<Role>>,
) -> Principal {
    Principal::user(UserIdentity {
        org_id: org_id.into(),
        org_slug: None,
        user_id: user_id.into().into(),
        role: role.into(),
        session_id: Some("sess_test".into()),
        scopes: Scopes::new(),
    })
}

/// A store that does not answer when it is told so: what a service does while its store is down (`C31`).
///
/// ```
/// use coverbase_auth::{ApiKey, Environment, KeyRecord, KeyStore, MemoryStore, testing::FaultyStore};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let key = ApiKey::generate(Environment::Test);
/// let keys = MemoryStore::new();
/// keys.insert(&key, KeyRecord::new("ak_1", "org_acme"));
///
/// let store = FaultyStore::new(keys);
/// store.fail_next(1);
/// assert!(store.lookup(&key.digest()).await.is_err());
/// assert!(store.lookup(&key.digest()).await.unwrap().is_some());
///
/// store.fail();
/// assert!(store.lookup(&key.digest()).await.is_err());
/// store.recover();
/// assert!(store.lookup(&key.digest()).await.is_ok());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct FaultyStore<S> {
    inner: S,
    faults_left: Arc<AtomicUsize>,
}

impl<S> FaultyStore<S> {
    /// Answers as `inner` does, until it is told to fail. Clones fail together.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            faults_left: Arc::default(),
        }
    }

    /// Fails from here on.
    pub fn fail(&self) {
        self.fail_next(usize::MAX);
    }

    /// Fails the next `calls`, and answers after them.
    pub fn fail_next(&self, calls: usize) {
        self.faults_left.store(calls, Ordering::SeqCst);
    }

    /// Answers again.
    pub fn recover(&self) {
        self.fail_next(0);
    }

    fn answering(&self) -> Result<&S, StoreError> {
        let spend = |left| match left {
            usize::MAX => Some(left),
            _ => left.checked_sub(1),
        };
        let spent = self
            .faults_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
        match spent {
            Ok(_) => Err(StoreError::new("it was told to fail")),
            Err(_) => Ok(&self.inner),
        }
    }
}

impl<S: KeyStore> KeyStore for FaultyStore<S> {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        match self.answering() {
            Ok(store) => store.lookup(digest),
            Err(error) => Lookup::ready(Err(error)),
        }
    }

    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        match self.answering() {
            Ok(store) => store.lookup_presented(key),
            Err(error) => Lookup::ready(Err(error)),
        }
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        self.inner.invalidations()
    }
}

#[async_trait]
impl<S: KeyRegistry> KeyRegistry for FaultyStore<S> {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        self.answering()?.create(digest, record).await
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        self.answering()?.list(org_id).await
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.answering()?.find(org_id, key_id).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let store = self.answering()?;
        store.rotate(key_id, digest, replacement, now).await
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        self.answering()?.revoke(org_id, key_id, now).await
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        self.answering()?.allowlist(org_id).await
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        self.answering()?.set_allowlist(org_id, allowlist).await
    }
}
