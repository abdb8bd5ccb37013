//! The channel that delivers the result of a load to the lookups that wait for it.

use tokio::sync::watch;

use crate::key_store::{LookupAnswer, StoreError};

/// The sending end. Each load of a flight holds a clone, so the channel closes when the last load has ended.
///
/// Its value is the first answer; before that the latest error, which is the result if no load of the flight answers.
#[derive(Clone, Default)]
pub(super) struct Waiters(watch::Sender<Option<LookupAnswer>>);

impl Waiters {
    /// Delivers the result of a load. An error is held back while another load can still answer.
    pub(super) fn send(&self, result: &LookupAnswer) {
        self.0.send_if_modified(|kept| {
            if matches!(kept, Some(Ok(_))) {
                return false;
            }
            *kept = Some(result.clone());
            result.is_ok()
        });
    }

    pub(super) fn answer(&self) -> impl Future<Output = LookupAnswer> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            // An error means that every load has ended.
            let _ = receiver.wait_for(|kept| matches!(kept, Some(Ok(_)))).await;
            let result = receiver.borrow().clone();
            result.unwrap_or_else(|| {
                let cause =
                    "the lookup was aborted: the store panicked, or the runtime is shutting down";
                Err(StoreError::new(cause))
            })
        }
    }
}
