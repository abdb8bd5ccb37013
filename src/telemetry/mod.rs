//! What operators see: `tracing` events (target `coverbase_auth`), metrics, and the redaction of credentials in both (C33).
//!
//! Every event and metric of the decision is written here, from plain values. Imports nothing of this crate.

mod events;
#[cfg(feature = "metrics")]
mod metrics;
pub(crate) mod redact;

pub(crate) use self::events::*;
#[cfg(all(feature = "audit", feature = "metrics"))]
pub(crate) use self::metrics::audit_queue_depth;
#[cfg(feature = "metrics")]
pub(crate) use self::metrics::lookup_waited;
