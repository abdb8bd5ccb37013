//! The ids of records, which are also the ids of requests that bring none: UUIDs of version 7 (RFC 9562 §5.7).

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use uuid::{Builder, Uuid, fmt::Hyphenated};

/// The id of a record, a UUIDv7: ids sort by time, and in one process by their making.
///
/// ```
/// use coverbase_auth::audit::AuditRecordId;
///
/// let id: AuditRecordId = "018bcfe5-6800-7000-8000-000000000000".parse()?;
/// assert_eq!(id.unix_millis(), 1_700_000_000_000);
/// assert_eq!(id.to_string(), "018bcfe5-6800-7000-8000-000000000000");
/// assert_eq!(AuditRecordId::from_bytes(*id.as_bytes()), id);
/// # Ok::<(), coverbase_auth::audit::InvalidAuditRecordId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditRecordId(Uuid);

impl AuditRecordId {
    /// A new one, of this millisecond.
    ///
    /// What makes it unique in its millisecond is the process's counter, mixed into 62 bits by a bijection that starts
    /// where no other process does: nobody's secret hangs on it, and the operating system's generator costs more than
    /// all the rest of a record. The counter's low bits stand in front, so that ids of one millisecond keep their order.
    #[inline]
    pub(crate) fn at(unix_millis: u64) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        static START: OnceLock<u64> = OnceLock::new();

        let start = START.get_or_init(|| RandomState::new().build_hasher().finish());
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = count.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = mixed(start.wrapping_add(count)).to_be_bytes();
        let bits = [high, low, a, b, c, d, e, f, g, h];
        Self(Builder::from_unix_timestamp_millis(unix_millis, &bits).into_uuid())
    }

    /// An id as a database keeps it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id for a database. Its order is the id's.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Its millisecond, since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    #[inline]
    pub(super) fn write_to<'b>(&self, buffer: &'b mut [u8; Hyphenated::LENGTH]) -> &'b mut str {
        self.0.hyphenated().encode_lower(buffer)
    }
}

/// SplitMix64's finalizer, a bijection.
#[inline]
const fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl std::str::FromStr for AuditRecordId {
    type Err = InvalidAuditRecordId;

    fn from_str(id: &str) -> Result<Self, InvalidAuditRecordId> {
        Uuid::try_parse(id)
            .map(Self)
            .map_err(|_| InvalidAuditRecordId(()))
    }
}

/// Not a UUID.
///
/// ```
/// use coverbase_auth::audit::{AuditRecordId, InvalidAuditRecordId};
///
/// let read: Result<AuditRecordId, InvalidAuditRecordId> = "17".parse();
/// assert_eq!(read.unwrap_err().to_string(), "the id of an audit record is a UUID");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of an audit record is a UUID")]
pub struct InvalidAuditRecordId(());

impl fmt::Display for AuditRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for AuditRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditRecordId({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_version_7_and_sort_by_their_making() {
        let ids: Vec<_> = (0..1000)
            .map(|n| AuditRecordId::at(1_700_000_000_000 + n / 100))
            .collect();
        // The counter's low bits begin anew once in 4,096, here at most once.
        assert!(ids.windows(2).filter(|pair| pair[0] > pair[1]).count() <= 1);
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000);
        assert_eq!(ids[999].unix_millis(), 1_700_000_000_009);
        assert_eq!(ids[0].0.get_version_num(), 7);
        assert_eq!(ids[0].0.get_variant(), uuid::Variant::RFC4122);
    }
}
