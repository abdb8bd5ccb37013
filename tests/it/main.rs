#[cfg(all(feature = "postgres", feature = "audit", feature = "test-util"))]
mod postgres;
#[cfg(feature = "test-util")]
mod stores;
