//! Keys and the audit log in one redb file, for a service of one instance.
//!
//! `keeper` is the thread that owns the file, `tables` its schema, `file` its creation. Lookups are answered by a
//! [`MemoryStore`].

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
    file::{File, open_or_create},
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

/// A durable key store in one file, for a service of one instance.
///
/// Opening the file reads all keys into memory, and lookups are answered from there without blocking. A change is one
/// transaction: it is on the disk, then in memory, before it is answered. A process that is killed leaves each change done
/// or not begun (T21). The store has a thread of its own for writing.
///
/// The last uses of keys are written every five seconds, by [`flush`](Self::flush) and by [`close`](Self::close). Clones
/// share one store. A file can be open once: use PostgreSQL for several instances.
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

/// The most searches of the audit log at a time, each of which occupies one core.
#[cfg(feature = "audit")]
const MAX_LOG_READERS: usize = 2;

impl RedbStore {
    /// Opens the file and reads its keys. A missing file is created, and an older schema is migrated.
    ///
    /// This function blocks: about 0.3 s for 100,000 keys. After a crash redb checks the whole file first.
    ///
    /// # Errors
    ///
    /// See [`OpenErrorKind`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::of(File::new(path.as_ref(), Box::new(open_or_create)))
    }

    fn of(file: File) -> Result<Self, OpenError> {
        let path = file.path.clone();
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

    /// Writes the last uses of keys, for example before the file is copied.
    ///
    /// # Errors
    ///
    /// If they cannot be written. The store keeps them and tries again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.keeper.run(Keys::flush).await
    }

    /// Writes the last uses of keys and closes the file, which can then be opened again. Lookups are still answered from
    /// memory; changes are errors.
    ///
    /// # Errors
    ///
    /// If the last uses cannot be written. The file is closed nevertheless.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.keeper.close().await
    }
}

/// Access to the same file for the audit log.
#[cfg(feature = "audit")]
impl RedbStore {
    pub(crate) async fn transact(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error> + Send + 'static,
    ) -> Result<(), StoreError> {
        let change = |tables: &tables::Tables<'_>| change(tables.0);
        self.keeper.run(|keys| keys.commit(change)).await
    }

    /// Waits for a permit to search the log.
    pub(crate) async fn log_reader(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.log_readers).acquire_owned();
        turn.await.map_err(StoreError::new)
    }

    /// Returns a snapshot of the file, which can be read on another thread while it changes.
    pub(crate) async fn snapshot(&self) -> Result<redb::ReadTransaction, StoreError> {
        self.keeper.run(Keys::snapshot).await
    }
}

impl KeyStore for RedbStore {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.memory.lookup(digest)
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        self.memory.invalidations()
    }
}

/// A change runs to its end even if the caller drops its future.
#[async_trait]
impl KeyRegistry for RedbStore {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let create = move |keys: &mut Keys| {
            let record = keys.memory()?.creation(digest, record)?;
            keys.write([record])
        };
        self.keeper.run(create).await
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
        let rotate = move |keys: &mut Keys| {
            let rotation = keys.memory()?.rotation(&key_id, digest, replacement, now)?;
            let Some(records) = rotation else {
                return Ok(false);
            };
            keys.write(records)?;
            Ok(true)
        };
        self.keeper.run(rotate).await
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let (org_id, key_id) = (org_id.clone(), key_id.clone());
        let revoke = move |keys: &mut Keys| {
            let revocation = keys.memory()?.revocation(&org_id, &key_id, now);
            if let Some(first) = revocation.as_ref().filter(|it| it.is_first) {
                keys.write([first.record.clone()])?;
            }
            Ok(revocation)
        };
        self.keeper.run(revoke).await
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
        let set_allowlist = move |keys: &mut Keys| {
            keys.commit(|tables| tables.put_allowlist(&org_id, &allowlist))?;
            keys.memory()?.set_allowlist(&org_id, allowlist);
            Ok(())
        };
        self.keeper.run(set_allowlist).await
    }
}
