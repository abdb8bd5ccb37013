//! Writing when keys were last used.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::warn;

use super::{connections::Connections, failure::Failure, rows::bigint, statements};
use crate::key_store::{Usage, UsageLog};

/// How far behind it may be.
const INTERVAL: Duration = Duration::from_secs(5);

/// Keys that are written by one statement.
const BATCH: usize = 1_000;

/// What has been used and is not yet written.
#[derive(Clone)]
pub(super) struct WriteBehind {
    pub(super) log: UsageLog,
    pub(super) connections: Arc<Connections>,
}

impl WriteBehind {
    /// Writes for ever, now and then.
    pub(super) async fn run(self) {
        loop {
            sleep(INTERVAL).await;
            if let Err(failure) = self.flush().await {
                warn!(
                    target: "coverbase_auth",
                    reason = failure.reason(),
                    "when keys were last used is not written yet"
                );
            }
        }
    }

    /// Writes what there is. What could not be written is written the next time.
    pub(super) async fn flush(&self) -> Result<(), Failure> {
        let mut unwritten = Unwritten {
            log: &self.log,
            uses: self.log.drain(),
        };
        while !unwritten.uses.is_empty() {
            let uses = unwritten.uses.iter().take(BATCH);
            let org_ids: Vec<_> = uses.clone().map(|usage| usage.org_id.as_str()).collect();
            let key_ids: Vec<_> = uses.clone().map(|usage| usage.key_id.as_str()).collect();
            let times: Vec<_> = uses.map(|usage| bigint(usage.last_used_at)).collect();
            self.connections
                .write(statements::WRITE_USAGE, &[&org_ids, &key_ids, &times])
                .await?;
            let written = times.len();
            unwritten.uses.drain(..written);
        }
        Ok(())
    }
}

/// Uses that have left the log, and go back to it when they are not written after all, or nobody waits for it any more.
struct Unwritten<'a> {
    log: &'a UsageLog,
    uses: Vec<Usage>,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        for usage in &self.uses {
            self.log
                .note(&usage.org_id, &usage.key_id, usage.last_used_at);
        }
    }
}
