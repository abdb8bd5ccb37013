//! Where keys are found, and where they are administered.
//!
//! [`KeyStore`] is all that the layer asks of a store: one method. [`KeyRegistry`] is what
//! [`KeyAdmin`](crate::KeyAdmin) needs beside it. Imports `principal` and what is below it.

#[cfg(feature = "cache")]
pub(crate) mod cached;
mod copies;
pub(crate) mod invalidations;
pub(crate) mod memory;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod presented;
pub(crate) mod record;
#[cfg(feature = "redb")]
pub(crate) mod redb;
pub(crate) mod store;
mod table;

#[cfg(feature = "cache")]
pub use self::cached::CacheStats;
#[cfg(feature = "postgres")]
pub(crate) use self::postgres::PostgresStore;
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
    memory::MemoryStore,
    record::KeyRecord,
    store::{KeyRegistry, KeyStore, Lookup, LookupAnswer, PendingLookup, StoreError},
};
pub use crate::principal::usage::{Usage, UsageLog};
