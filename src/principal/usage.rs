//! When keys were last used (`C38`), and the log from which a store writes it.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::OrgId;
use crate::credential::KeyId;

/// The time of a key's last use, in Unix seconds; 0 before the first. Requests write it without a lock.
#[derive(Debug, Default)]
pub(crate) struct LastUsed(AtomicU64);

impl LastUsed {
    pub(crate) const fn at(unix_seconds: u64) -> Self {
        Self(AtomicU64::new(unix_seconds))
    }

    /// Records a use at `now`. Returns whether it is the first one of that second: the others only read, so that several
    /// cores can keep the cache line.
    pub(crate) fn stamp(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) < now && self.0.fetch_max(now, Ordering::Relaxed) < now
    }

    pub(crate) fn unix_seconds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

impl Clone for LastUsed {
    fn clone(&self) -> Self {
        Self(self.0.load(Ordering::Relaxed).into())
    }
}

/// The uses of keys that a store has not written yet: the newest use of each key.
///
/// A store attaches the log to its records ([`KeyRecord::with_usage_log`](crate::KeyRecord::with_usage_log)) and
/// [drains](Self::drain) it periodically. A record notes itself at most once a second, and each key takes one entry
/// however often it is used. Clones share one log.
#[derive(Clone, Default)]
pub struct UsageLog(Arc<Mutex<Uses>>);

/// Key ids are unique within an organization only.
type Uses = HashMap<(OrgId, KeyId), u64>;

/// The last use of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The organization of the key.
    pub org_id: OrgId,
    /// The id of the key.
    pub key_id: KeyId,
    /// The time of the last use, in Unix seconds.
    pub last_used_at: u64,
}

impl UsageLog {
    /// Creates an empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn note(&self, org_id: &OrgId, key_id: &KeyId, now: u64) {
        let mut uses = self.uses();
        let last_used_at = uses.entry((org_id.clone(), key_id.clone())).or_default();
        *last_used_at = now.max(*last_used_at);
    }

    /// Removes and returns the uses that were noted since the last call.
    #[must_use]
    pub fn drain(&self) -> Vec<Usage> {
        let uses = mem::take(&mut *self.uses()).into_iter();
        uses.map(|((org_id, key_id), last_used_at)| Usage {
            org_id,
            key_id,
            last_used_at,
        })
        .collect()
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UsageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UsageLog(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // C38
    #[test]
    fn last_used_keeps_the_newest_stamp() {
        let last_used = LastUsed::default();
        assert_eq!(last_used.unix_seconds(), None);
        assert!(last_used.stamp(20));
        assert!(!last_used.stamp(20));
        assert!(!last_used.stamp(10));
        assert_eq!(last_used.unix_seconds(), Some(20));
    }

    #[test]
    fn newest_use_of_a_key_is_drained_once() {
        let log = UsageLog::new();
        let note = |now| log.note(&"org_acme".into(), &"ak_a".into(), now);
        note(20);
        note(10);
        let drained = log.drain();
        assert_eq!(drained.len(), 1);
        assert_eq!(drained[0].last_used_at, 20);
        assert!(log.drain().is_empty());
    }

    // C6
    #[test]
    fn same_key_id_in_two_organizations_is_two_keys() {
        let log = UsageLog::new();
        log.note(&"org_a".into(), &"ak_x".into(), 10);
        log.note(&"org_b".into(), &"ak_x".into(), 20);
        let mut drained = log.drain();
        drained.sort_by_key(|usage| usage.last_used_at);
        let of: Vec<_> = drained.iter().map(|usage| usage.org_id.as_str()).collect();
        assert_eq!(of, ["org_a", "org_b"]);
    }
}
