//! Metrics: each outcome is counted once, under the names of the manual, and without secrets (C33).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use coverbase_auth::{CoverbaseAuthLayer, Lookup, Requirement, Scope};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::support::{KEY, StoreFn, ask, bearer, record, store};

/// How often each series was written to.
#[derive(Debug, Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

struct Series(Tally, String);

impl Series {
    fn add(&self, n: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += n;
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Series {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, _: f64) {
        self.add(1);
    }
}

impl HistogramFn for Series {
    fn record(&self, _: f64) {
        self.add(1);
    }
}

impl Tally {
    fn series(&self, key: &Key) -> Arc<Series> {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Arc::new(Series(self.clone(), name))
    }

    /// What `run` has counted.
    fn of(run: impl FnOnce()) -> BTreeMap<String, u64> {
        let tally = Self::default();
        metrics::with_local_recorder(&tally, run);
        let counts = tally.0.lock().unwrap();
        counts.clone()
    }
}

impl Recorder for Tally {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}

#[track_caller]
fn assert_counts(counts: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    let expected = expected.iter().map(|(name, n)| ((*name).to_owned(), *n));
    assert_eq!(*counts, expected.collect());
}

#[test]
fn outcome_is_counted_by_kind_of_credential() {
    let layer = CoverbaseAuthLayer::new(store(record()));
    let scoped = layer
        .clone()
        .with_requirement(Requirement::scope(Scope::AUDIT_READ));
    let counts = Tally::of(|| {
        ask(&layer, bearer(KEY));
        ask(&layer, bearer(KEY));
        ask(&scoped, bearer(KEY));
        ask(&layer, bearer("ak_unknown"));
        ask(&layer, bearer("e30.e30.AA"));
        ask(&layer, bearer("unrecognized"));
        ask(&layer, bearer(""));
    });
    assert_counts(
        &counts,
        &[
            (
                "coverbase_auth.decisions outcome=admitted credential=api_key",
                2,
            ),
            (
                "coverbase_auth.decisions outcome=rejected credential=api_key",
                2,
            ),
            (
                "coverbase_auth.decisions outcome=rejected credential=none",
                1,
            ),
            (
                "coverbase_auth.decisions outcome=rejected credential=session_token",
                1,
            ),
            (
                "coverbase_auth.decisions outcome=rejected credential=unrecognized",
                1,
            ),
            ("coverbase_auth.rejections error.type=insufficient_scope", 1),
            ("coverbase_auth.rejections error.type=invalid_api_key", 2),
            (
                "coverbase_auth.rejections error.type=invalid_session_token",
                1,
            ),
            ("coverbase_auth.rejections error.type=missing_credential", 1),
        ],
    );
}

#[test]
fn pending_lookup_is_measured() {
    let slow = StoreFn(|_: &_| {
        Lookup::pending(async {
            tokio::task::yield_now().await;
            Ok(Some(record()))
        })
    });
    let waiting = CoverbaseAuthLayer::new(slow);
    let ready = CoverbaseAuthLayer::new(store(record()));
    let admitted = "coverbase_auth.decisions outcome=admitted credential=api_key";
    let counts = Tally::of(|| drop(ask(&waiting, bearer(KEY))));
    assert_counts(
        &counts,
        &[(admitted, 1), ("coverbase_auth.lookup.duration", 1)],
    );
    let counts = Tally::of(|| drop(ask(&ready, bearer(KEY))));
    assert_counts(&counts, &[(admitted, 1)]);
}

#[cfg(feature = "audit")]
#[test]
fn audit_queue_reports_depth_and_drops() {
    use coverbase_auth::audit::{AuditQueue, MemoryAuditLog};

    let counts = Tally::of(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let queue = AuditQueue::spawn_with_capacity(MemoryAuditLog::new(), 1);
            let layer = CoverbaseAuthLayer::new(store(record())).with_audit(queue.clone());
            // Without a pause in between, so that the writer does not run.
            for _ in 0..3 {
                use tower::{Layer, ServiceExt};
                let echo = crate::support::Echo::default();
                layer.layer(echo).oneshot(bearer(KEY)).await.unwrap();
            }
            queue.shutdown().await;
            assert_eq!(queue.dropped(), 2);
        });
    });
    assert_eq!(counts["coverbase_auth.audit.dropped"], 2);
    assert_eq!(counts["coverbase_auth.audit.queue.depth"], 1);
}
