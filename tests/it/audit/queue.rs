//! The queue between calls and the audit store: bounded, never waited for, and drained on shutdown (C35).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use coverbase_auth::{
    CoverbaseAuthLayer, KeyRecord, OrgId, StoreError,
    audit::{AuditLog, AuditPage, AuditQuery, AuditQueue, AuditRecord, AuditStore, MemoryAuditLog},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    service::ORG,
    support::{KEY, KEY_ID, bearer, log_of, record, store},
};

/// A store that fails until `up_at`.
#[derive(Debug, Clone)]
struct Flapping {
    log: MemoryAuditLog,
    up_at: Instant,
    fault: Fault,
    attempts: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Fails,
    Hangs,
    Panics,
}

impl Flapping {
    fn down_for(time: Duration, fault: Fault) -> Self {
        Self {
            log: MemoryAuditLog::with_capacity(100_000),
            up_at: Instant::now() + time,
            fault,
            attempts: Arc::default(),
        }
    }
}

#[async_trait]
impl AuditLog for Flapping {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.log.query(org_id, query).await
    }
}

#[async_trait]
impl AuditStore for Flapping {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if Instant::now() < self.up_at {
            match self.fault {
                Fault::Fails => return Err(StoreError::new("connection refused")),
                Fault::Hangs => std::future::pending().await,
                Fault::Panics => panic!("on purpose"),
            }
        }
        self.log.append(batch).await
    }
}

async fn total(log: &impl AuditLog) -> u64 {
    let query = AuditQuery::default();
    log.query(&ORG.into(), &query).await.unwrap().total
}

// C35: an outage of ten seconds, with each kind of fault.
#[tokio::test(start_paused = true)]
async fn store_outage_does_not_delay_calls() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::Panics] {
        let store_of_records = Flapping::down_for(Duration::from_secs(10), fault);
        let queue = AuditQueue::spawn_with_capacity(store_of_records.clone(), 100);
        let stack = CoverbaseAuthLayer::new(store(record()))
            .with_audit(queue.clone())
            .layer(service_fn(empty));

        // Ten calls per second, until five seconds after the outage.
        for _ in 0..150 {
            let before = Instant::now();
            let answer = stack.clone().oneshot(bearer(KEY)).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(before.elapsed(), Duration::ZERO, "{fault:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (written, dropped) = (total(&store_of_records).await, queue.dropped());
        assert_eq!(
            written + dropped,
            150,
            "{fault:?}: each record is written or counted as dropped"
        );
        assert!(
            (100..150).contains(&written),
            "{fault:?}: {written} written"
        );
        assert_eq!(queue.depth(), 0);
        let attempts = store_of_records.attempts.load(Ordering::Relaxed);
        assert!(attempts < 100, "{fault:?}: {attempts} attempts");

        // After the outage no record is dropped.
        for _ in 0..100 {
            stack.clone().oneshot(bearer(KEY)).await.unwrap();
        }
        queue.shutdown().await;
        assert_eq!(total(&store_of_records).await, written + 100, "{fault:?}");
        assert_eq!(queue.dropped(), dropped);
    }
}

// C35
#[tokio::test(start_paused = true)]
async fn shutdown_writes_the_queued_records() {
    let log = MemoryAuditLog::new();
    let queue = AuditQueue::spawn(log.clone());
    let stack = CoverbaseAuthLayer::new(store(record()))
        .with_audit(queue.clone())
        .layer(service_fn(empty));
    for _ in 0..1_000 {
        stack.clone().oneshot(bearer(KEY)).await.unwrap();
    }
    queue.shutdown().await;
    assert_eq!((total(&log).await, queue.dropped()), (1_000, 0));

    queue.shutdown().await;
    stack.oneshot(bearer(KEY)).await.unwrap();
    assert_eq!(
        (total(&log).await, queue.dropped()),
        (1_000, 1),
        "after shutdown"
    );
}

// C35
#[tokio::test(start_paused = true)]
async fn shutdown_during_an_outage_ends_within_its_deadline() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::Panics] {
        let down = Flapping::down_for(Duration::from_secs(3_600), fault);
        let queue = AuditQueue::spawn(down.clone());
        let stack = CoverbaseAuthLayer::new(store(record()))
            .with_audit(queue.clone())
            .layer(service_fn(empty));
        for _ in 0..300 {
            stack.clone().oneshot(bearer(KEY)).await.unwrap();
        }
        let before = Instant::now();
        queue.shutdown().await;
        assert!(before.elapsed() <= Duration::from_secs(11), "{fault:?}");
        assert_eq!((total(&down).await, queue.dropped()), (0, 300), "{fault:?}");
    }
}

/// A store that rejects every batch with a record of one organization.
#[derive(Debug, Clone)]
struct Picky {
    log: MemoryAuditLog,
    rejected: &'static str,
}

#[async_trait]
impl AuditStore for Picky {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        if batch
            .iter()
            .any(|record| *record.org_id() == self.rejected.into())
        {
            return Err(StoreError::new("invalid byte sequence"));
        }
        self.log.append(batch).await
    }
}

#[async_trait]
impl AuditLog for Picky {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.log.query(org_id, query).await
    }
}

// C34
#[tokio::test(start_paused = true)]
async fn record_that_the_store_always_rejects_is_the_only_one_dropped() {
    const STRANGE: &str = "org_strange";

    let picky = Picky {
        log: MemoryAuditLog::new(),
        rejected: STRANGE,
    };
    let queue = AuditQueue::spawn(picky.clone());
    let stack_of = |org_id: &str| {
        let auth = CoverbaseAuthLayer::new(store(KeyRecord::new(KEY_ID, org_id)));
        auth.with_audit(queue.clone()).layer(service_fn(empty))
    };
    let (good, strange) = (stack_of(ORG), stack_of(STRANGE));
    for n in 0..600 {
        let stack = if n % 250 == 7 { &strange } else { &good };
        stack.clone().oneshot(bearer(KEY)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(total(&picky.log).await, 597, "the other records");
    // The rejected records are dropped after further records have been accepted.
    for _ in 0..30 {
        good.clone().oneshot(bearer(KEY)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!((total(&picky.log).await, queue.dropped()), (627, 3));
    assert_eq!(queue.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn outage_of_an_hour_drops_no_record() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let down = Flapping::down_for(Duration::from_secs(3_600), fault);
        let queue = AuditQueue::spawn(down.clone());
        let auth = CoverbaseAuthLayer::new(store(record()));
        let stack = auth.with_audit(queue.clone()).layer(service_fn(empty));
        for _ in 0..360 {
            stack.clone().oneshot(bearer(KEY)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        let attempts = down.attempts.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!((total(&down).await, queue.dropped()), (360, 0), "{fault:?}");
        // The records are written in batches, not one by one.
        let attempts = down.attempts.load(Ordering::Relaxed) - attempts;
        assert!(attempts < 300, "{fault:?}: {attempts}");
    }
}

#[tokio::test(start_paused = true)]
async fn store_that_fails_two_of_three_times_drops_no_record() {
    #[derive(Debug, Clone, Default)]
    struct EveryThird(MemoryAuditLog, Arc<AtomicUsize>);

    #[async_trait]
    impl AuditLog for EveryThird {
        async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
            self.0.query(org_id, query).await
        }
    }

    #[async_trait]
    impl AuditStore for EveryThird {
        async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
            if !self.1.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
                return Err(StoreError::new("try again"));
            }
            self.0.append(batch).await
        }
    }

    let flapping = EveryThird::default();
    let queue = AuditQueue::spawn(flapping.clone());
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(queue.clone()).layer(service_fn(empty));
    for _ in 0..1_000 {
        stack.clone().oneshot(bearer(KEY)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((total(&flapping).await, queue.dropped()), (1_000, 0));
}

// C35: the log says that records are dropped, but not for each record.
#[test]
fn full_queue_is_logged_once() {
    let lines = log_of(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let down = Flapping::down_for(Duration::from_secs(3_600), Fault::Hangs);
            let queue = AuditQueue::spawn_with_capacity(down, 1);
            let auth = CoverbaseAuthLayer::new(store(record()));
            let stack = auth.with_audit(queue.clone()).layer(service_fn(empty));
            for _ in 0..5 {
                stack.clone().oneshot(bearer(KEY)).await.unwrap();
            }
            assert_eq!((queue.depth(), queue.dropped()), (1, 4));
        });
    });
    let dropped = lines
        .iter()
        .filter(|line| line.text.contains("audit records"));
    assert_eq!(dropped.count(), 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn writer_ends_when_the_last_handle_is_dropped() {
    let log = MemoryAuditLog::new();
    let queue = AuditQueue::spawn(log.clone());
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(queue).layer(service_fn(empty));
    stack.oneshot(bearer(KEY)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(total(&log).await, 1);
    let tasks = tokio::runtime::Handle::current().metrics();
    assert_eq!(tasks.num_alive_tasks(), 0);
}
