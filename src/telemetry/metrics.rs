//! Counters, gauges and histograms of the `metrics` facade. `The page "operating" of the manual` lists them.

use std::time::Duration;

use metrics::{counter, histogram};

use super::Rejected;

/// Counts a decision with labels that are constants: for other labels the facade allocates, even without a recorder.
pub(super) fn admitted(is_user: bool) {
    const NAME: &str = "coverbase_auth.decisions";
    if is_user {
        counter!(NAME, "outcome" => "admitted", "credential" => "session_token").increment(1);
    } else {
        counter!(NAME, "outcome" => "admitted", "credential" => "api_key").increment(1);
    }
}

pub(super) fn public() {
    counter!("coverbase_auth.decisions", "outcome" => "public", "credential" => "none")
        .increment(1);
}

pub(super) fn rejected(rejected: &Rejected<'_>) {
    let credential = rejected.credential;
    counter!("coverbase_auth.decisions", "outcome" => "rejected", "credential" => credential)
        .increment(1);
    counter!("coverbase_auth.rejections", "error.type" => rejected.name).increment(1);
}

pub(crate) fn lookup_waited(duration: Duration) {
    histogram!("coverbase_auth.lookup.duration").record(duration.as_secs_f64());
}

#[cfg(feature = "audit")]
pub(crate) fn audit_queue_depth(depth: usize) {
    metrics::gauge!("coverbase_auth.audit.queue.depth").set(depth as f64);
}

#[cfg(feature = "audit")]
pub(super) fn audit_records_dropped(count: u64) {
    counter!("coverbase_auth.audit.dropped").increment(count);
}
