//! Writes the last-used times of keys, a few seconds late.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::warn;

use super::{
    database::{Database, Parameters},
    failure::Failure,
    statements::{WRITE_USAGE, bigint},
};
use crate::key_store::UsageLog;

const INTERVAL: Duration = Duration::from_secs(5);

/// Keys in one statement.
const BATCH: usize = 1_000;

#[derive(Clone)]
pub(super) struct WriteBehind {
    pub(super) log: UsageLog,
    pub(super) database: Arc<Database>,
}

impl WriteBehind {
    /// Writes regularly. Never returns.
    pub(super) async fn run(self) {
        loop {
            sleep(INTERVAL).await;
            if let Err(failure) = self.flush().await {
                warn!(
                    target: "coverbase_auth",
                    reason = failure.reason,
                    "cannot write when keys were last used: trying again later"
                );
            }
        }
    }

    /// Writes what the log holds. What cannot be written returns to the log.
    pub(super) async fn flush(&self) -> Result<(), Failure> {
        // In a task of its own: uses that have left the log must not be lost when the caller stops waiting.
        let write = tokio::spawn(self.clone().write());
        write.await.map_err(Failure::new)?
    }

    async fn write(self) -> Result<(), Failure> {
        let uses = self.log.drain();
        for batch in uses.chunks(BATCH) {
            let org_ids: Vec<_> = batch.iter().map(|usage| usage.org_id.as_str()).collect();
            let key_ids: Vec<_> = batch.iter().map(|usage| usage.key_id.as_str()).collect();
            let times = batch.iter().map(|usage| bigint(usage.last_used_at));
            let times: Vec<_> = times.collect();
            let parameters: Parameters<'_> = &[&org_ids, &key_ids, &times];
            if let Err(failure) = self.database.write(WRITE_USAGE, parameters).await {
                for usage in &uses {
                    self.log
                        .note(&usage.org_id, &usage.key_id, usage.last_used_at);
                }
                return Err(failure);
            }
        }
        Ok(())
    }
}
