//! The behaviour of the layer, rule by rule.

#[cfg(feature = "audit")]
mod audit;
