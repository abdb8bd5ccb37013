//! The thread that owns the file. Every change passes through it, one after another, so that what it reads in memory still
//! holds when it has written.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use redb::Database;
#[cfg(feature = "audit")]
use redb::ReadableDatabase;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{
    error::OpenError,
    file::File,
    tables::{self, Tables},
};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{KeyRecord, MemoryStore, Revocation, StoreError, UsageLog},
    principal::OrgId,
};

/// How long a use of a key may go unwritten.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// The way to the thread. When the last clone is gone it writes what is behind, and ends.
#[derive(Clone)]
pub(super) struct Keeper(Sender<Message>);

enum Message {
    Work(Box<dyn FnOnce(&mut Keys) + Send>),
    Close(oneshot::Sender<Result<(), StoreError>>),
}

impl Keeper {
    pub(super) fn spawn(keys: Keys) -> std::io::Result<Self> {
        let (sender, messages) = mpsc::channel();
        thread::Builder::new()
            .name("coverbase-redb".to_owned())
            .spawn(move || keep(keys, &messages))?;
        Ok(Self(sender))
    }

    /// Does `work` on the thread. It is done, to its end, even if the caller gives up.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keys) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let work = Box::new(move |keys: &mut Keys| {
            // Nobody may be there to hear it.
            let _ = sender.send(keys.guarded(work));
        });
        self.0.send(Message::Work(work)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (sender, answer) = oneshot::channel();
        let Ok(()) = self.0.send(Message::Close(sender)) else {
            return Ok(());
        };
        answer.await.unwrap_or(Ok(()))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper(..)")
    }
}

fn closed() -> StoreError {
    StoreError::new("it has been closed")
}

fn keep(mut keys: Keys, messages: &Receiver<Message>) {
    let mut flush_at = Instant::now() + FLUSH_INTERVAL;
    loop {
        match messages.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
            Ok(Message::Work(work)) => work(&mut keys),
            Ok(Message::Close(closed)) => {
                let flushed = keys.guarded(Keys::flush);
                // The file is free when the answer is there.
                drop(keys);
                let _ = closed.send(flushed);
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                keys.flush_behind();
                return;
            }
        }
        if Instant::now() >= flush_at {
            keys.flush_behind();
            flush_at = Instant::now() + FLUSH_INTERVAL;
        }
    }
}

/// The keys, in the file and in memory: what is in memory is in the file.
pub(super) struct Keys {
    file: File,
    /// `None` after a fault: what the last transaction came to is unknown until the file is opened again.
    database: Option<Database>,
    memory: MemoryStore,
    usage: UsageLog,
}

impl Keys {
    pub(super) fn open(file: File, memory: MemoryStore) -> Result<Self, OpenError> {
        let mut keys = Self {
            file,
            database: None,
            memory,
            usage: UsageLog::new(),
        };
        keys.ready()?;
        Ok(keys)
    }

    /// Opens the file and reads it into memory, if it is not open.
    fn ready(&mut self) -> Result<&Database, OpenError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.file.open(|database| self.read(database))?,
        };
        Ok(self.database.insert(database))
    }

    fn read(&self, database: &Database) -> Result<(), redb::Error> {
        tables::read(
            database,
            |org_id, allowlist| self.memory.replace_allowlist(&org_id, allowlist),
            |record| self.memory.put([self.adopted(record)]),
        )
    }

    #[cfg(feature = "audit")]
    pub(super) fn snapshot(&mut self) -> Result<redb::ReadTransaction, StoreError> {
        let database = self.ready().map_err(StoreError::new)?;
        database.begin_read().map_err(StoreError::new)
    }

    /// One transaction, on the disk when this returns. Nothing is changed in memory.
    pub(super) fn commit(
        &mut self,
        change: impl FnOnce(&Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let transact = |database: &Database| -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            change(&Tables(&transaction))?;
            // Durable before it returns: redb's default, `Durability::Immediate`.
            Ok(transaction.commit()?)
        };
        let committed = transact(self.ready().map_err(StoreError::new)?);
        if committed.is_err() {
            self.database = None;
        }
        committed.map_err(StoreError::new)
    }

    /// A panic is an answer that the store cannot give, and the file is opened anew.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            error!(target: "coverbase_auth", "the key store panicked while it wrote");
            // A database that has panicked may do it again when it is dropped.
            let database = self.database.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
            Err(StoreError::new("it panicked"))
        })
    }

    pub(super) fn create(
        &mut self,
        digest: KeyDigest,
        record: KeyRecord,
    ) -> Result<(), StoreError> {
        self.ready().map_err(StoreError::new)?;
        let record = record.under(digest);
        self.memory.is_free(&record)?;
        let record = self.adopted(record);
        self.commit(|tables| tables.put_key(&record))?;
        self.memory.put([record]);
        Ok(())
    }

    pub(super) fn rotate(
        &mut self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        self.ready().map_err(StoreError::new)?;
        let old = self.memory.key(replacement.org_id(), key_id);
        let Some(old) = old.filter(|old| old.is_live_at(now)) else {
            return Ok(false);
        };
        let replacement = replacement.under(digest);
        self.memory.is_free(&replacement)?;
        let (old, new) = (old.with_revoked_at(now), self.adopted(replacement));
        self.commit(|tables| {
            tables.put_key(&old)?;
            tables.put_key(&new)
        })?;
        self.memory.put([old, new]);
        Ok(true)
    }

    pub(super) fn revoke(
        &mut self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        self.ready().map_err(StoreError::new)?;
        let Some(record) = self.memory.key(org_id, key_id) else {
            return Ok(None);
        };
        if record.is_revoked() {
            return Ok(Some(Revocation::new(record, false)));
        }
        let record = record.with_revoked_at(now);
        self.commit(|tables| tables.put_key(&record))?;
        self.memory.put([record.clone()]);
        Ok(Some(Revocation::new(record, true)))
    }

    pub(super) fn set_allowlist(
        &mut self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        self.commit(|tables| tables.put_allowlist(org_id, &allowlist))?;
        self.memory.replace_allowlist(org_id, allowlist);
        Ok(())
    }

    /// The record as a key of this store: under its organization's allowlist, and its uses noted.
    fn adopted(&self, record: KeyRecord) -> KeyRecord {
        let allowlist = self.memory.allowlist_of(record.org_id());
        record
            .with_allowlist(allowlist)
            .with_usage_log(self.usage.clone())
    }

    /// Writes when keys were last used. What cannot be written is kept for the next time.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let uses = self.usage.drain();
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.commit(|tables| uses.iter().try_for_each(|usage| tables.put_use(usage)));
        for usage in &uses {
            if written.is_ok() {
                self.memory.note_use(usage);
            } else {
                let at = usage.last_used_at;
                self.usage.note(&usage.org_id, &usage.key_id, at);
            }
        }
        written
    }

    fn flush_behind(&mut self) {
        if let Err(error) = self.guarded(Self::flush) {
            warn!(target: "coverbase_auth", %error, "when keys were last used could not be written");
        }
    }
}
