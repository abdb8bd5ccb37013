//! [`AuditQueue`]: a bounded queue between the requests and a store of the audit log.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{AuditRecord, AuditRecordId, AuditSink, AuditStore};
use crate::{key_store::StoreError, telemetry};

/// The most records in one call of [`AuditStore::append`].
const MAX_BATCH: usize = 256;

/// The deadline of one call of [`AuditStore::append`].
const DEADLINE: Duration = Duration::from_secs(5);

/// The pause after a failure. Each further failure doubles it, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A record is dropped when it has failed alone this often, and for this long. See [`Writer::set_aside`].
const MAX_FAILURES: u32 = 20;
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// The time that [`AuditQueue::shutdown`] leaves for the records in the queue.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// A bounded queue in front of an [`AuditStore`], with a task that appends the records in batches, oldest first.
///
/// Recording never waits. When the queue is full, new records are dropped and counted. Clones share one queue; when the last
/// clone is dropped, the task appends the remaining records and ends.
///
/// **Failures.** An attempt fails when the store returns an error, panics, or does not answer within 5 s. A failure is
/// followed by a pause of 50 ms, which doubles up to 1 s, and by an attempt with a single record; each success doubles the
/// batch again, up to 256 records. A record that fails alone moves to the end of the queue, so that a record which the store
/// never accepts does not hold up the others. It is dropped and counted when it has failed alone for 60 s, and 20 times after
/// the store had accepted other records. While the store accepts nothing, no record in the queue is dropped, however long the
/// outage lasts.
///
/// | metric (feature `metrics`) | |
/// |---|---|
/// | `coverbase_auth.audit.queue.depth`, a gauge | records that are not written yet |
/// | `coverbase_auth.audit.dropped`, a counter | records that were dropped |
///
/// ```
/// use coverbase_auth::audit::{AuditQueue, MemoryAuditLog};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let queue = AuditQueue::spawn(MemoryAuditLog::new());
/// // When the service has stopped:
/// queue.shutdown().await;
/// assert_eq!(queue.dropped(), 0);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AuditQueue {
    records: mpsc::UnboundedSender<AuditRecord>,
    /// Holds `true` after a call of [`AuditQueue::shutdown`]. It closes when the writer ends.
    shutdown: Arc<watch::Sender<bool>>,
    counters: Arc<Counters>,
}

/// The channel is unbounded: `depth` is what bounds the queue, because it includes the records that the writer has taken.
#[derive(Debug)]
struct Counters {
    capacity: usize,
    depth: AtomicUsize,
    dropped: AtomicU64,
    /// Whether the log says already that records are dropped.
    is_reported: AtomicBool,
}

impl AuditQueue {
    /// Spawns the task, with room for 8,192 records: about 4 MB, and 40 MB if every record has the greatest length.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. The runtime must have time enabled (`enable_time`), or nothing is written.
    #[must_use]
    pub fn spawn(store: impl AuditStore) -> Self {
        Self::spawn_with_capacity(store, 8_192)
    }

    /// Spawns the task, with room for `capacity` records.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. The runtime must have time enabled (`enable_time`), or nothing is written.
    #[must_use]
    pub fn spawn_with_capacity(store: impl AuditStore, capacity: usize) -> Self {
        let (records, receiver) = mpsc::unbounded_channel();
        let (shutdown, is_shut_down) = watch::channel(false);
        let counters = Arc::new(Counters {
            capacity,
            depth: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            is_reported: AtomicBool::new(false),
        });
        let writer = Writer {
            store,
            receiver,
            counters: Arc::clone(&counters),
            waiting: VecDeque::new(),
            failures: HashMap::new(),
            successes: 0,
        };
        tokio::spawn(writer.run(is_shut_down));
        Self {
            records,
            shutdown: Arc::new(shutdown),
            counters,
        }
    }

    /// Returns the number of records that were dropped since the queue was created.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.counters.dropped.load(Relaxed)
    }

    /// Returns the number of records that are not written yet.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.counters.depth.load(Relaxed)
    }

    /// Closes the queue and waits until its records are written. After ten seconds the remaining records are dropped and
    /// counted. Further calls wait for the same end.
    pub async fn shutdown(&self) {
        self.shutdown.send_replace(true);
        self.shutdown.closed().await;
    }
}

impl AuditSink for AuditQueue {
    fn record(&self, record: AuditRecord) {
        let counters = &self.counters;
        let next = |depth| (depth < counters.capacity).then_some(depth + 1);
        if counters.depth.fetch_update(Relaxed, Relaxed, next).is_err() {
            counters.count_dropped(1);
        } else if self.records.send(record).is_err() {
            counters.discard(1);
        }
    }
}

impl Counters {
    /// Counts records of the queue as dropped.
    fn discard(&self, count: usize) {
        self.depth.fetch_sub(count, Relaxed);
        self.count_dropped(count);
    }

    /// Writes one line to the log, and the next one only after a record has been written.
    fn count_dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Relaxed);
        let is_first = !self.is_reported.swap(true, Relaxed);
        telemetry::audit_records_dropped(count as u64, is_first);
    }
}

struct Writer<S> {
    store: S,
    receiver: mpsc::UnboundedReceiver<AuditRecord>,
    counters: Arc<Counters>,
    waiting: VecDeque<AuditRecord>,
    /// The records in `waiting` that have failed alone.
    failures: HashMap<AuditRecordId, Failures>,
    /// How many batches the store has accepted.
    successes: u64,
}

/// The failures of a record alone.
struct Failures {
    first: Instant,
    /// How many of them came after a success that followed the previous failure.
    count: u32,
    /// [`Writer::successes`] at the last one of these.
    successes: u64,
}

impl<S: AuditStore> Writer<S> {
    async fn run(mut self, mut is_shut_down: watch::Receiver<bool>) {
        tokio::select! {
            () = self.write_all() => {}
            // An error says that the last handle was dropped.
            _ = is_shut_down.wait_for(|is_shut_down| *is_shut_down) => {}
        }
        self.receiver.close();
        if timeout(DRAIN_WITHIN, self.write_all()).await.is_err() {
            let remaining = self.waiting.len() + self.receiver.len();
            self.counters.discard(remaining);
        }
    }

    /// Writes until the queue is closed and empty. An attempt that is cancelled is repeated by the next call: a store passes
    /// over the records that it has.
    async fn write_all(&mut self) {
        let (mut batch_size, mut pause) = (MAX_BATCH, FIRST_PAUSE);
        while self.receive().await {
            #[cfg(feature = "metrics")]
            telemetry::audit_queue_depth(self.counters.depth.load(Relaxed));
            let batch = self.waiting.as_slices().0;
            let batch = batch.get(..batch_size).unwrap_or(batch);
            let count = batch.len();
            if let Err(error) = append(&self.store, batch).await {
                telemetry::audit_store_failed(&error);
                if count == 1 {
                    self.set_aside();
                }
                batch_size = 1;
                sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            } else {
                self.remove_written(count);
                batch_size = MAX_BATCH.min(batch_size * 2);
                pause = FIRST_PAUSE;
            }
        }
    }

    /// Takes all records from the channel. If none are waiting, waits for one; returns `false` if none can come.
    async fn receive(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.waiting.extend(self.receiver.recv().await);
        }
        while let Ok(record) = self.receiver.try_recv() {
            self.waiting.push_back(record);
        }
        !self.waiting.is_empty()
    }

    fn remove_written(&mut self, count: usize) {
        for record in self.waiting.drain(..count) {
            self.failures.remove(&record.id());
        }
        self.successes += 1;
        self.counters.depth.fetch_sub(count, Relaxed);
        self.counters.is_reported.store(false, Relaxed);
    }

    /// Moves the first record, which has failed alone, to the end of the queue, or drops it. Failures count only after a
    /// success of other records: without one, the store may be down.
    fn set_aside(&mut self) {
        let Some(record) = self.waiting.pop_front() else {
            return;
        };
        let (now, successes) = (Instant::now(), self.successes);
        let failures = self.failures.entry(record.id()).or_insert(Failures {
            first: now,
            count: 0,
            successes,
        });
        if failures.successes < successes {
            failures.count += 1;
            failures.successes = successes;
        }
        if failures.count >= MAX_FAILURES && now - failures.first >= GIVE_UP_AFTER {
            self.failures.remove(&record.id());
            self.counters.discard(1);
        } else {
            self.waiting.push_back(record);
        }
    }
}

/// Appends `batch` within the deadline. A panic of the store is an error.
async fn append(store: &impl AuditStore, batch: &[AuditRecord]) -> Result<(), StoreError> {
    let mut append = pin!(async { store.append(batch).await });
    let attempt = poll_fn(|cx| {
        let poll = catch_unwind(AssertUnwindSafe(|| append.as_mut().poll(cx)));
        poll.unwrap_or_else(|_| Poll::Ready(Err(StoreError::new("the audit store panicked"))))
    });
    let answer = timeout(DEADLINE, attempt).await;
    answer.unwrap_or_else(|_| Err(StoreError::new("the audit store did not answer in time")))
}
