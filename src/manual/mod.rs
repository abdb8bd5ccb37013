//! Prose: what does not belong to one item.

#[doc = include_str!("observability.md")]
pub mod observability {}
