//! Those who wait for a load's answer.

use tokio::sync::watch;

use crate::key_store::{LookupAnswer, StoreError};

/// The sending end: each load of a flight has a clone of it. When the last is gone, nobody will answer any more.
#[derive(Clone)]
pub(super) struct Waiters(watch::Sender<Told>);

#[derive(Default)]
struct Told {
    answer: Option<LookupAnswer>,
    /// The last that there was: it is the answer when no load is left to give one.
    failure: Option<StoreError>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self(watch::Sender::new(Told::default()))
    }
}

impl Waiters {
    /// The first answer is the answer. A failure is kept until no other load can do better.
    pub(super) fn tell(&self, answer: &LookupAnswer) {
        self.0.send_if_modified(|told| match answer {
            Ok(_) => {
                let is_first = told.answer.is_none();
                told.answer.get_or_insert_with(|| answer.clone());
                is_first
            }
            Err(failure) => {
                told.failure = Some(failure.clone());
                false
            }
        });
    }

    pub(super) fn answer(&self) -> impl Future<Output = LookupAnswer> + Send + 'static {
        let mut told = self.0.subscribe();
        async move {
            // An error says that all of the loads have ended.
            let _ = told.wait_for(|told| told.answer.is_some()).await;
            let told = told.borrow();
            let failure = || told.failure.clone().map(Err);
            told.answer.clone().or_else(failure).unwrap_or_else(|| {
                Err(StoreError::new(
                    "the lookup was broken off: the store panicked, or its runtime is shutting down",
                ))
            })
        }
    }
}
