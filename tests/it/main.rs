#[cfg(feature = "test-util")]
mod stores;
