//! A clock that tests set.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::clock::Clock;

/// A clock that moves only when a test moves it. Clones share one time.
///
/// [`set`](Self::set) changes the wall clock only; [`advance`](Self::advance) moves the monotonic
/// clock too, by which caches age. Each reading of [`unix_millis`](Clock::unix_millis) within a second is one millisecond
/// later, so that the ids of audit records sort in the order in which they were made.
///
/// ```
/// use coverbase_auth::{Clock, testing::TestClock};
///
/// let clock = TestClock::at(1_700_000_000);
/// clock.advance(5);
/// assert_eq!((clock.unix_seconds(), clock.unix_millis()), (1_700_000_005, 1_700_000_005_000));
/// assert_eq!(clock.monotonic_millis(), 5_000);
/// ```
#[derive(Debug, Clone)]
pub struct TestClock(Arc<TestTime>);

#[derive(Debug, Default)]
struct TestTime {
    unix_seconds: AtomicU64,
    readings: AtomicU64,
    monotonic_millis: AtomicU64,
}

impl TestClock {
    /// Creates a clock whose wall clock is `unix_seconds`.
    #[must_use]
    pub fn at(unix_seconds: u64) -> Self {
        Self(Arc::new(TestTime {
            unix_seconds: unix_seconds.into(),
            ..TestTime::default()
        }))
    }

    /// Sets the wall clock, forwards or backwards.
    pub fn set(&self, unix_seconds: u64) {
        self.0.unix_seconds.store(unix_seconds, Ordering::SeqCst);
        self.0.readings.store(0, Ordering::SeqCst);
    }

    /// Moves both clocks forward by `seconds`.
    pub fn advance(&self, seconds: u64) {
        self.0.unix_seconds.fetch_add(seconds, Ordering::SeqCst);
        self.0.readings.store(0, Ordering::SeqCst);
        let monotonic_millis = &self.0.monotonic_millis;
        monotonic_millis.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn unix_seconds(&self) -> u64 {
        self.0.unix_seconds.load(Ordering::SeqCst)
    }

    fn unix_millis(&self) -> u64 {
        let millis = self.0.readings.fetch_add(1, Ordering::SeqCst).min(999);
        let second = self.unix_seconds().saturating_mul(1_000);
        second.saturating_add(millis)
    }

    fn monotonic_millis(&self) -> u64 {
        self.0.monotonic_millis.load(Ordering::SeqCst)
    }
}
