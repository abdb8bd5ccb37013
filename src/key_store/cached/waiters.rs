//! The channel that delivers the result of a load to the lookups that wait for it.

use tokio::sync::watch;

use crate::key_store::{LookupAnswer, StoreError};

/// The sending end. Each load of a flight holds a clone, so the channel closes when the last load has ended.
#[derive(Clone)]
pub(super) struct Waiters(watch::Sender<Outcome>);

#[derive(Default)]
struct Outcome {
    answer: Option<LookupAnswer>,
    /// The latest error, which is the result if no load of the flight answers.
    failure: Option<StoreError>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self(watch::Sender::new(Outcome::default()))
    }
}

impl Waiters {
    /// Delivers the result of a load. The first answer counts. An error is held back while another load can still answer.
    pub(super) fn send(&self, answer: &LookupAnswer) {
        self.0.send_if_modified(|outcome| match answer {
            Ok(_) => {
                let is_first = outcome.answer.is_none();
                outcome.answer.get_or_insert_with(|| answer.clone());
                is_first
            }
            Err(failure) => {
                outcome.failure = Some(failure.clone());
                false
            }
        });
    }

    pub(super) fn answer(&self) -> impl Future<Output = LookupAnswer> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            // An error means that every load has ended.
            let _ = receiver.wait_for(|outcome| outcome.answer.is_some()).await;
            let outcome = receiver.borrow();
            let failure = || outcome.failure.clone().map(Err);
            outcome.answer.clone().or_else(failure).unwrap_or_else(|| {
                let cause =
                    "the lookup was aborted: the store panicked, or the runtime is shutting down";
                Err(StoreError::new(cause))
            })
        }
    }
}
