//! The thread that owns the file.
//!
//! Every change passes through this thread, one after another. So a change that is decided by the keys in memory is still
//! valid when it is committed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use redb::Database;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{
    error::OpenError,
    file::File,
    tables::{self, Tables},
};
use crate::key_store::{KeyRecord, LockedKeys, MemoryStore, StoreError, UsageLog};

/// The interval at which the last uses of keys are written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Sends work to the thread. When the last clone is dropped, the thread writes what is unwritten and ends.
#[derive(Debug, Clone)]
pub(super) struct Keeper(Sender<Work>);

/// Returns the keys, or `None` if it has closed them.
type Work = Box<dyn FnOnce(Keys) -> Option<Keys> + Send>;

impl Keeper {
    pub(super) fn spawn(keys: Keys) -> std::io::Result<Self> {
        let (sender, works) = mpsc::channel();
        thread::Builder::new()
            .name("coverbase-redb".to_owned())
            .spawn(move || keep(keys, &works))?;
        Ok(Self(sender))
    }

    /// Runs `work` on the thread. It runs to its end even if the caller drops this future.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keys) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let work = Box::new(move |mut keys: Keys| {
            // The receiver is gone if the caller has dropped the future.
            let _ = sender.send(keys.guarded(work));
            Some(keys)
        });
        self.0.send(work).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Writes what is unwritten and closes the file. Closing twice is not an error.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let (sender, answer) = oneshot::channel();
        // Sending fails, and `sender` is dropped, if the file is closed already.
        let _ = self.0.send(Box::new(move |mut keys: Keys| {
            let flushed = keys.guarded(Keys::flush);
            // Closes the file before the caller is told so.
            drop(keys);
            let _ = sender.send(flushed);
            None
        }));
        answer.await.unwrap_or(Ok(()))
    }
}

fn closed() -> StoreError {
    StoreError::new("the store has been closed")
}

fn keep(mut keys: Keys, works: &Receiver<Work>) {
    let mut flush_at = Instant::now() + FLUSH_INTERVAL;
    loop {
        match works.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
            Ok(work) => match work(keys) {
                Some(kept) => keys = kept,
                None => return,
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                keys.flush_in_background();
                return;
            }
        }
        if Instant::now() >= flush_at {
            keys.flush_in_background();
            flush_at = Instant::now() + FLUSH_INTERVAL;
        }
    }
}

/// The keys in the file and in memory. A change is committed to the file first, then applied to memory.
pub(super) struct Keys {
    file: File,
    /// `None` after a fault: the outcome of the last transaction is unknown until the file is opened again.
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
        keys.reopen()?;
        Ok(keys)
    }

    /// Opens the file and reads it into memory, unless it is open.
    fn reopen(&mut self) -> Result<&Database, OpenError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let read = |database: &Database| tables::read(database, &self.memory, &self.usage);
                self.file.open(read)?
            }
        };
        Ok(self.database.insert(database))
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        self.reopen().map_err(StoreError::new)
    }

    #[cfg(feature = "audit")]
    pub(super) fn snapshot(&mut self) -> Result<redb::ReadTransaction, StoreError> {
        use redb::ReadableDatabase;

        self.database()?.begin_read().map_err(StoreError::new)
    }

    /// Runs `change` in one transaction, which is durable when this returns. Memory stays as it is.
    pub(super) fn commit(
        &mut self,
        change: impl FnOnce(&Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let transact = |database: &Database| -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            change(&Tables(&transaction))?;
            // redb's default durability is `Immediate`: the commit returns after the fsync.
            Ok(transaction.commit()?)
        };
        let committed = transact(self.database()?);
        if committed.is_err() {
            self.database = None;
        }
        committed.map_err(StoreError::new)
    }

    /// Turns a panic of `work` into an error. The file is opened again for the next change.
    fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            error!(target: "coverbase_auth", "the redb key store panicked during a write");
            // A database that has panicked can panic again when it is dropped.
            let database = self.database.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
            Err(StoreError::new(
                "the redb key store panicked during a write",
            ))
        })
    }

    /// Returns the keys in memory, which equal those in the file, to decide a change.
    pub(super) fn memory(&mut self) -> Result<LockedKeys<'_>, StoreError> {
        self.database()?;
        Ok(self.memory.lock())
    }

    /// Commits the records of a change, then puts them into memory.
    pub(super) fn write<const N: usize>(
        &mut self,
        records: [KeyRecord; N],
    ) -> Result<(), StoreError> {
        let records = records.map(|record| record.with_usage_log(self.usage.clone()));
        self.commit(|tables| records.iter().try_for_each(|record| tables.put_key(record)))?;
        let mut keys = self.memory.lock();
        for record in records {
            keys.put(record);
        }
        Ok(())
    }

    /// Writes the last uses of keys. After an error they stay in the log for the next time.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let uses = self.usage.drain();
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.commit(|tables| uses.iter().try_for_each(|usage| tables.put_use(usage)));
        for usage in &uses {
            let (org_id, key_id) = (&usage.org_id, &usage.key_id);
            if written.is_err() {
                self.usage.note(org_id, key_id, usage.last_used_at);
            } else if let Some(record) = self.memory.lock().find(org_id, key_id) {
                // The use may have been noted on a record that was replaced since.
                record.note_last_used(usage.last_used_at);
            }
        }
        written
    }

    fn flush_in_background(&mut self) {
        if let Err(error) = self.guarded(Self::flush) {
            warn!(target: "coverbase_auth", %error, "cannot write the last uses of keys; the next flush will try again");
        }
    }
}
