//! The way from requests to a store: bounded, and never waited for.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{AuditRecord, AuditSink, AuditStore};
use crate::{key_store::StoreError, telemetry};

/// The most records that are appended at once.
const MAX_BATCH: usize = 256;

/// For one attempt to append a batch.
const DEADLINE: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a store refuses whatever it is asked to take until that is laid to what it is asked: the next batch is a suspect,
/// too, and those there are are tried in halves.
const SUSPECT_AFTER: u32 = 5;

/// For how long, and how often, a single record is refused, with others taken in between, until the store is believed that it
/// will never take it.
const GIVE_UP_AFTER: (Duration, u32) = (Duration::from_secs(60), 5);

/// From [`AuditQueue::shutdown`] on, for all that is queued.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// A bounded queue in front of an [`AuditStore`], with a writer of its own: a task that appends batches.
///
/// To record is to push; it never waits. While the store fails, or takes its time, the writer tries again, with pauses
/// of 50 ms to 1 s, and the queue fills; what comes when it is full is dropped and counted. So is a record that the store
/// refuses again and again while it takes others, which do not wait for it. Clones are one queue; when the last is gone the
/// writer writes what is left and ends.
///
/// | metric (feature `metrics`) | |
/// |---|---|
/// | `coverbase_auth.audit.queue.depth`, a gauge | records that wait |
/// | `coverbase_auth.audit.dropped`, a counter | records that were lost |
///
/// ```
/// use coverbase_auth::audit::{AuditQueue, MemoryAuditLog};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let queue = AuditQueue::spawn(MemoryAuditLog::new());
/// queue.shutdown().await;
/// assert_eq!(queue.dropped(), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct AuditQueue {
    sender: Arc<Sender>,
}

struct Sender {
    shared: Arc<Shared>,
    writing: watch::Receiver<()>,
}

struct Shared {
    queue: Mutex<Queue>,
    capacity: usize,
    dropped: AtomicU64,
    /// Something has come into an empty queue, or it has been closed.
    news: Notify,
    closed: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<AuditRecord>,
    /// How many the writer has taken and not written yet.
    writing: usize,
    is_closed: bool,
    /// The log has heard that it is full.
    is_full: bool,
}

impl Queue {
    fn depth(&self) -> usize {
        self.waiting.len() + self.writing
    }
}

impl AuditQueue {
    /// Room for 8,192 records: some four megabytes, and forty if each is as long as can be.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. One without time (`enable_time`) is none to the writer: nothing would be written.
    #[must_use]
    pub fn spawn(store: impl AuditStore) -> Self {
        Self::spawn_with_capacity(store, 8_192)
    }

    /// Room for `capacity` records.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. One without time (`enable_time`) is none to the writer: nothing would be written.
    ///
    /// ```
    /// use coverbase_auth::audit::{AuditLayer, AuditQueue, MemoryAuditLog};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let queue = AuditQueue::spawn_with_capacity(MemoryAuditLog::new(), 1_000);
    /// let layer = AuditLayer::new(queue.clone());
    /// # let _ = layer;
    /// # }
    /// ```
    #[must_use]
    pub fn spawn_with_capacity(store: impl AuditStore, capacity: usize) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            capacity,
            dropped: AtomicU64::new(0),
            news: Notify::new(),
            closed: Notify::new(),
        });
        let (is_writing, writing) = watch::channel(());
        let writer = Writer {
            store,
            shared: Arc::clone(&shared),
            _is_writing: is_writing,
        };
        tokio::spawn(writer.run());
        Self {
            sender: Arc::new(Sender { shared, writing }),
        }
    }

    /// How many records have been lost, since the queue was made.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sender.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many records are not written yet.
    ///
    /// ```
    /// use coverbase_auth::audit::AuditQueue;
    ///
    /// /// For a health check: the store keeps up, and nothing has been lost.
    /// fn is_well(queue: &AuditQueue) -> bool {
    ///     queue.depth() < 4_096 && queue.dropped() == 0
    /// }
    /// ```
    #[must_use]
    pub fn depth(&self) -> usize {
        self.sender.shared.queue().depth()
    }

    /// Takes no more records, and completes when those that are queued are written: within ten seconds, then they are
    /// dropped and counted. To call it again is to wait for the same.
    pub async fn shutdown(&self) {
        self.sender.shared.close();
        let mut writing = self.sender.writing.clone();
        // The writer says nothing; it hangs up when it has ended.
        while writing.changed().await.is_ok() {}
    }
}

impl AuditSink for AuditQueue {
    fn record(&self, record: AuditRecord) {
        self.sender.shared.push(record);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    #[inline]
    fn push(&self, record: AuditRecord) {
        let mut queue = self.queue();
        if queue.is_closed || queue.depth() >= self.capacity {
            let is_news = !mem::replace(&mut queue.is_full, true);
            drop(queue);
            return self.lose(1, is_news);
        }
        queue.waiting.push_back(record);
        let was_empty = queue.waiting.len() == 1;
        drop(queue);
        if was_empty {
            self.news.notify_one();
        }
    }

    /// A line in the log for each would slow down whoever records.
    #[cold]
    fn lose(&self, count: usize, is_news: bool) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        telemetry::audit_records_dropped(count as u64, is_news);
    }

    fn close(&self) {
        self.queue().is_closed = true;
        self.news.notify_one();
        self.closed.notify_one();
    }

    /// The longest that have waited, at most a batch of them; `None`: nothing waits.
    fn take(&self) -> Option<Batch> {
        let mut queue = self.queue();
        let count = queue.waiting.len().min(MAX_BATCH);
        let records: Vec<_> = queue.waiting.drain(..count).collect();
        queue.writing += count;
        (count > 0).then(|| Batch::new(records))
    }

    /// Takes back what could not be written, to wait before all others.
    fn put_back(&self, batch: Batch) {
        let mut queue = self.queue();
        queue.writing -= batch.records.len();
        for record in batch.records.into_iter().rev() {
            queue.waiting.push_front(record);
        }
    }

    /// Waits until something waits. `false`: closed, and nothing is left.
    async fn has_news(&self) -> bool {
        loop {
            {
                let queue = self.queue();
                if !queue.waiting.is_empty() {
                    return true;
                }
                if queue.is_closed {
                    return false;
                }
            }
            self.news.notified().await;
        }
    }

    /// Makes room for as many.
    fn done(&self, count: usize) {
        let mut queue = self.queue();
        queue.writing = queue.writing.saturating_sub(count);
        queue.is_full = false;
    }

    /// Nothing under the lock can leave the queue half changed, so a poisoned lock is none.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer<S> {
    store: S,
    shared: Arc<Shared>,
    _is_writing: watch::Sender<()>,
}

impl<S: AuditStore> Writer<S> {
    async fn run(self) {
        let too_late = async {
            self.shared.closed.notified().await;
            sleep(DRAIN_WITHIN).await;
        };
        tokio::select! {
            () = self.write_all() => {}
            () = too_late => {
                let left = self.shared.queue().depth();
                self.shared.lose(left, true);
            }
        }
    }

    /// In turns, what has just come and what has been refused before.
    async fn write_all(&self) {
        let mut refused: VecDeque<Batch> = VecDeque::new();
        let mut pause = FIRST_PAUSE;
        let mut last_success = None;
        let mut is_turn_of_refused = false;
        let mut put_back = 0;
        while !refused.is_empty() || self.shared.has_news().await {
            is_turn_of_refused = !is_turn_of_refused;
            let fresh = (!is_turn_of_refused).then(|| self.shared.take()).flatten();
            let is_fresh = fresh.is_some();
            let next = fresh.or_else(|| refused.pop_front());
            let Some(mut batch) = next.or_else(|| self.shared.take()) else {
                continue;
            };
            telemetry::audit_queue_depth(self.shared.queue().depth());
            let Err(error) = self.append(&batch.records).await else {
                self.shared.done(batch.records.len());
                last_success = Some(Instant::now());
                (pause, put_back) = (FIRST_PAUSE, 0);
                continue;
            };
            telemetry::audit_store_failed(&error);
            if is_fresh && !refused.is_empty() && put_back < SUSPECT_AFTER {
                // As long as the store takes nothing one suspect is enough, and all else waits.
                self.shared.put_back(batch);
                put_back += 1;
            } else {
                if is_fresh {
                    put_back = 0;
                }
                batch.note_refusal(last_success);
                if batch.will_never_be_taken() {
                    self.shared.lose(batch.records.len(), true);
                    self.shared.done(batch.records.len());
                } else {
                    refused.extend(batch.pieces());
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One attempt. A store that panics, or does not answer, is one that fails.
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        let panicked = |_| Poll::Ready(Err(StoreError::new("it panicked")));
        let mut append = self.store.append(batch);
        let attempt = poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| append.as_mut().poll(cx))).unwrap_or_else(panicked)
        });
        timeout(DEADLINE, attempt)
            .await
            .unwrap_or_else(|_| Err(StoreError::new("it does not answer")))
    }
}

/// Records that are appended together, and how often they have been refused. Why, the store does not say: it may be down, or
/// there is a record among them that it will never take.
struct Batch {
    records: Vec<AuditRecord>,
    refusals: u32,
    /// Those before which it had taken others.
    refusals_alone: u32,
    made_at: Instant,
    last_refusal: Instant,
}

impl Batch {
    fn new(records: Vec<AuditRecord>) -> Self {
        let now = Instant::now();
        Self {
            records,
            refusals: 0,
            refusals_alone: 0,
            made_at: now,
            last_refusal: now,
        }
    }

    fn note_refusal(&mut self, last_success: Option<Instant>) {
        let is_alone = last_success.is_some_and(|success| success >= self.last_refusal);
        self.refusals += 1;
        self.refusals_alone += u32::from(is_alone);
        self.last_refusal = Instant::now();
    }

    fn will_never_be_taken(&self) -> bool {
        let (time, refusals) = GIVE_UP_AFTER;
        self.records.len() == 1 && self.refusals_alone >= refusals && self.made_at.elapsed() >= time
    }

    /// In halves, if it is to be found out which of its records is refused.
    fn pieces(mut self) -> Vec<Self> {
        let half = self.records.len() / 2;
        if half == 0 || (self.refusals < SUSPECT_AFTER && self.refusals_alone == 0) {
            return vec![self];
        }
        let rest = self.records.split_off(half);
        vec![Self::new(self.records), Self::new(rest)]
    }
}

impl fmt::Debug for AuditQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQueue")
            .field("depth", &self.depth())
            .field("capacity", &self.sender.shared.capacity)
            .field("dropped", &self.dropped())
            .finish()
    }
}
