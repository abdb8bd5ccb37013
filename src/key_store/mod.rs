//! API keys: the traits of a store, its records, and the stores of this crate.
//!
//! [`KeyStore`] is the lookup that the layer calls; [`KeyRegistry`] is the administration that
//! [`KeyAdmin`](crate::KeyAdmin) calls. `memory`, `cached`, `redb` and `postgres` implement them. Imports `principal` and
//! what is below it.

#[cfg(feature = "cache")]
pub(crate) mod cached;
pub(crate) mod invalidations;
pub(crate) mod memory;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod presented;
pub(crate) mod record;
#[cfg(feature = "redb")]
pub(crate) mod redb;
pub(crate) mod store;

#[cfg(feature = "cache")]
pub use self::cached::CacheStats;
#[cfg(feature = "redb")]
pub(crate) use self::memory::{LockedKeys, MemoryStore};
#[cfg(feature = "postgres")]
pub use self::postgres::{ConnectError, PostgresConfig};
#[cfg(feature = "redb")]
pub use self::redb::{OpenError, OpenErrorKind};
pub use self::{
    invalidations::{Invalidation, Invalidations},
    presented::PresentedKey,
    record::Revocation,
};
pub(crate) use self::{
    record::KeyRecord,
    store::{KeyRegistry, KeyStore, Lookup, LookupAnswer, PendingLookup, StoreError},
};
pub use crate::principal::usage::{Usage, UsageLog};
