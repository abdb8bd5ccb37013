//! The settings of a cache.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) ttl: Duration,
    pub(super) negative_ttl: Duration,
    pub(super) capacity: usize,
    pub(super) negative_capacity: usize,
    pub(super) load_deadline: Duration,
    pub(super) max_loads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(2),
            capacity: 100_000,
            negative_capacity: 50_000,
            load_deadline: Duration::from_millis(250),
            max_loads: 1_024,
        }
    }
}
