//! What operators see: `tracing` events, metrics, and the redaction of credentials in both (C33).

#[cfg(feature = "metrics")]
pub(crate) mod meter;
pub(crate) mod observe;
pub(crate) mod redact;
