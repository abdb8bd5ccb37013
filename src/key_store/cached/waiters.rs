//! Those who wait for a load's answer.

use tokio::sync::watch;

use crate::key_store::{LookupAnswer, StoreError};

/// The sending end. When the last clone of it is gone, nobody will answer any more.
#[derive(Clone)]
pub(super) struct Waiters(watch::Sender<Option<LookupAnswer>>);

impl Default for Waiters {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Waiters {
    /// The first answer is the answer.
    pub(super) fn tell(&self, answer: &LookupAnswer) {
        self.0.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert_with(|| answer.clone());
            is_first
        });
    }

    pub(super) fn answer(&self) -> impl Future<Output = LookupAnswer> + Send + 'static {
        let mut told = self.0.subscribe();
        async move {
            match told.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(answer)) => answer.clone(),
                _ => Err(StoreError::new(
                    "the lookup was broken off: the store panicked, or its runtime is shutting down",
                )),
            }
        }
    }
}
