//! The ids of audit records, which are also the ids of requests that bring none: UUIDs of version 7 (RFC 9562 §5.7).

use std::fmt;

use uuid::{NoContext, Timestamp, Uuid};

/// The id of an audit record: a UUIDv7, which begins with its millisecond.
///
/// Below the millisecond an id is random, without a counter: an id must not tell a client how many requests other
/// organizations made (T25). Ids therefore sort by time, and ids of the same millisecond in any order.
///
/// ```
/// use coverbase_auth::audit::AuditRecordId;
///
/// let id = AuditRecordId::from_bytes([0x01, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(id.unix_millis(), 1_700_000_000_000);
/// assert_eq!(id.to_string(), "018bcfe5-6800-7000-8000-000000000000");
/// assert_eq!(AuditRecordId::from_bytes(*id.as_bytes()), id);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditRecordId(Uuid);

impl AuditRecordId {
    /// Makes a new id: the millisecond, and 74 bits from the operating system's random number generator.
    pub(crate) fn at(unix_millis: u64) -> Self {
        let nanos = (unix_millis % 1_000) as u32 * 1_000_000;
        let time = Timestamp::from_unix(NoContext, unix_millis / 1_000, nanos);
        Self(Uuid::new_v7(time))
    }

    /// Makes an id of the bytes that a database has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Returns the id for a database. The order of the bytes is the order of the ids.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the id's time in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = *self.as_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for AuditRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MILLIS: u64 = 1_700_000_000_123;

    #[test]
    fn ids_are_unique_version_7_and_sort_by_millisecond() {
        let ids: Vec<_> = (0..1000)
            .map(|n| AuditRecordId::at(MILLIS + n / 100))
            .collect();
        assert!(ids.is_sorted_by_key(AuditRecordId::unix_millis));
        assert!(ids[..100].iter().max() < ids[100..].iter().min());
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000);
        assert_eq!(ids[0].unix_millis(), MILLIS);
        assert_eq!(ids[0].0.get_version_num(), 7);
        assert_eq!(ids[0].0.get_variant(), uuid::Variant::RFC4122);
    }

    // T25: every bit below the millisecond is as often one as zero, in an id and in its difference to the id that came one,
    // two or a hundred requests later, and a later id is as often smaller. The bounds are six standard deviations.
    #[test]
    fn ids_tell_nothing_of_the_ids_between_them() {
        const N: usize = 4_000;
        let is_even = |count: usize| count.abs_diff(N / 2) < 6 * 32;
        let random = |id: AuditRecordId| u128::from_be_bytes(*id.as_bytes());
        let ids: Vec<u128> = (0..N + 100)
            .map(|_| random(AuditRecordId::at(MILLIS)))
            .collect();
        let random_bits = (0..62).chain(64..76);
        for distance in [1, 2, 100] {
            let pairs = || ids.iter().zip(&ids[distance..]).take(N);
            assert!(is_even(pairs().filter(|(id, later)| later < id).count()));
            for bit in random_bits.clone() {
                let ones = pairs().filter(|(id, _)| *id >> bit & 1 == 1).count();
                let changes = pairs()
                    .filter(|(id, later)| (*id ^ *later) >> bit & 1 == 1)
                    .count();
                assert!(is_even(ones), "bit {bit} is one in {ones} of {N} ids");
                assert!(
                    is_even(changes),
                    "bit {bit} changes {changes} times, {distance} ids apart"
                );
            }
        }
    }
}
