//! The behaviour of the layer, rule by rule: each file is named for what it holds, each test cites the contract (`C…`) or
//! the threat (`T…`).

#[cfg(feature = "cache")]
mod cached_store;
