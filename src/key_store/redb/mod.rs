//! Keys in one file, for one instance.

mod error;
mod file;
mod keeper;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;
#[cfg(feature = "audit")]
use std::sync::Arc;

use async_trait::async_trait;
#[cfg(feature = "audit")]
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::error::{OpenError, OpenErrorKind};
#[cfg(feature = "audit")]
pub(crate) use self::tables::{AUDIT_ENTRIES, AUDIT_INDEX, damaged, id_in};
use self::{
    file::File,
    keeper::{Keeper, Keys},
};
use super::{
    Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, MemoryStore, Revocation, StoreError,
};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    principal::OrgId,
};

/// Keys in one file, durable, for a service of one instance.
///
/// All keys lie in memory too, read when the file is opened, and a request is answered from there: at
/// [`MemoryStore`]'s price, and without blocking. A change is one transaction, on the disk before it is answered and in
/// memory after that; a thread of the store's own does the waiting. A process that is killed at any time leaves each
/// change done or not begun (T21).
///
/// When keys were last used is written behind, every five seconds, and by [`flush`](Self::flush) and
/// [`close`](Self::close). Clones are one store. A file is open once: a second instance wants PostgreSQL.
///
/// ```
/// use coverbase_auth::{ApiKey, Environment, KeyRecord, KeyRegistry, KeyStore, RedbStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("keys.redb");
/// let key = ApiKey::generate(Environment::Live);
/// let store = RedbStore::open(&path)?;
/// store.create(key.digest(), KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme")).await?;
/// store.close().await?;
///
/// let store = RedbStore::open(&path)?;
/// assert!(store.lookup(&key.digest()).await?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RedbStore {
    memory: MemoryStore,
    keeper: Keeper,
    #[cfg(feature = "audit")]
    log_readers: Arc<Semaphore>,
}

/// How many searches of the log are under way at a time: each takes a processor for itself.
#[cfg(feature = "audit")]
const MAX_LOG_READERS: usize = 2;

impl RedbStore {
    /// Opens the file, makes it where there is none, brings it to this version's schema, and reads the keys.
    ///
    /// It blocks: some 0.3 s for 100,000 keys. After a crash redb checks the whole file first.
    ///
    /// # Errors
    ///
    /// When the file is open already, is not one of this store's, was written by a newer version of this crate, is damaged,
    /// or cannot be read and written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::of(File::new(path.as_ref()))
    }

    fn of(file: File) -> Result<Self, OpenError> {
        let path = file.path().to_owned();
        let memory = MemoryStore::new();
        let keys = Keys::open(file, memory.clone())?;
        let keeper = Keeper::spawn(keys)
            .map_err(|error| OpenError::new(&path, OpenErrorKind::Unusable, error))?;
        Ok(Self {
            memory,
            keeper,
            #[cfg(feature = "audit")]
            log_readers: Arc::new(Semaphore::new(MAX_LOG_READERS)),
        })
    }

    /// Writes what is behind: when keys were last used.
    ///
    /// # Errors
    ///
    /// When it cannot be written. It is kept, and tried again.
    ///
    /// ```
    /// # use coverbase_auth::{RedbStore, StoreError};
    /// /// Before the file is copied.
    /// async fn settle(store: &RedbStore) -> Result<(), StoreError> {
    ///     store.flush().await
    /// }
    /// ```
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.keeper.ask(Keys::flush).await
    }

    /// Writes what is behind, and closes the file: when this returns, another may open it. Keys are still found
    /// afterwards, in memory; a change answers an error.
    ///
    /// # Errors
    ///
    /// When what was behind cannot be written. The file is closed all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.keeper.close().await
    }
}

/// For what lies in the same file beside the keys.
#[cfg(feature = "audit")]
impl RedbStore {
    pub(crate) async fn transact(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error> + Send + 'static,
    ) -> Result<(), StoreError> {
        let change = |tables: &tables::Tables<'_>| change(tables.0);
        self.keeper.ask(|keys| keys.commit(change)).await
    }

    /// A turn to search the log, for as long as it is held.
    pub(crate) async fn log_reader(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.log_readers).acquire_owned();
        turn.await.map_err(StoreError::new)
    }

    /// The file as it is now, to be read on another thread while changes go on.
    pub(crate) async fn snapshot(&self) -> Result<redb::ReadTransaction, StoreError> {
        self.keeper.ask(Keys::snapshot).await
    }
}

impl KeyStore for RedbStore {
    #[inline]
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.memory.lookup(digest)
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        self.memory.invalidations()
    }
}

/// A caller that gives up does not stop a change: it is done, or an error, whoever listens.
#[async_trait]
impl KeyRegistry for RedbStore {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        self.keeper
            .ask(move |keys| keys.create(digest, record))
            .await
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        self.memory.list(org_id).await
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.memory.find(org_id, key_id).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let key_id = key_id.clone();
        self.keeper
            .ask(move |keys| keys.rotate(&key_id, digest, replacement, now))
            .await
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let (org_id, key_id) = (org_id.clone(), key_id.clone());
        self.keeper
            .ask(move |keys| keys.revoke(&org_id, &key_id, now))
            .await
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        self.memory.allowlist(org_id).await
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        let org_id = org_id.clone();
        self.keeper
            .ask(move |keys| keys.set_allowlist(&org_id, allowlist))
            .await
    }
}
