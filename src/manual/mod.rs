//! Longer documentation, one page for each topic.

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[cfg(all(feature = "axum", feature = "tonic"))]
#[doc = include_str!("how_to.md")]
pub mod how_to {}

#[cfg(feature = "axum")]
#[doc = include_str!("migrating.md")]
pub mod migrating {}

#[doc = include_str!("observability.md")]
pub mod observability {}

#[cfg(all(feature = "axum", feature = "jwt", feature = "test-util"))]
#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("threats.md")]
pub mod threats {}
