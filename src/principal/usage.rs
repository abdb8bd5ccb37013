//! When keys were last used, and how a store that writes behind hears of it.

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{credential::KeyId, principal::OrgId};

/// When a key was last used: written by each request that it opens, without a lock (`C38`).
#[derive(Debug, Default)]
pub(crate) struct LastUsed(AtomicU64);

impl LastUsed {
    pub(crate) const fn at(unix_seconds: u64) -> Self {
        Self(AtomicU64::new(unix_seconds))
    }

    /// Whether this was the first stamp of the second. Later ones write nothing: a line of memory that is only read stays
    /// in every core's cache.
    #[inline]
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

/// The uses of keys that a store has yet to write, the newest of each key.
///
/// A store gives it to its records ([`KeyRecord::with_usage_log`](crate::KeyRecord::with_usage_log)) and
/// [drains](Self::drain) it now and then. A key notes itself once a second at most, and holds one place however often it
/// is used. Clones are one log.
///
/// ```
/// use coverbase_auth::{KeyRecord, key_store::UsageLog};
///
/// let log = UsageLog::new();
/// let record = KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme").with_usage_log(log.clone());
/// assert!(log.drain().is_empty(), "it has not been used");
/// # let _ = record;
/// ```
#[derive(Clone, Default)]
pub struct UsageLog(Arc<Mutex<Uses>>);

/// A key's id is its own within its organization.
type Uses = HashMap<(OrgId, KeyId), u64>;

/// One key's last use.
///
/// ```
/// use coverbase_auth::key_store::Usage;
///
/// fn statement(usage: &Usage) -> String {
///     let Usage { org_id, key_id, last_used_at, .. } = usage;
///     format!("UPDATE keys SET last_used_at = {last_used_at} WHERE org_id = '{org_id}' AND key_id = '{key_id}'")
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Whose key.
    pub org_id: OrgId,
    /// Which key.
    pub key_id: KeyId,
    /// In Unix seconds.
    pub last_used_at: u64,
}

impl UsageLog {
    /// A log without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn note(&self, org_id: &OrgId, key_id: &KeyId, now: u64) {
        let mut uses = self.uses();
        let last_used_at = uses.entry((org_id.clone(), key_id.clone())).or_default();
        *last_used_at = now.max(*last_used_at);
    }

    /// What has been noted since the last time.
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
        f.debug_struct("UsageLog")
            .field("keys", &self.uses().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // C38: the newest stamp wins, whatever the order of writing.
    #[test]
    fn last_used_never_goes_back() {
        let last_used = LastUsed::default();
        assert_eq!(last_used.unix_seconds(), None);
        assert!(last_used.stamp(20));
        assert!(!last_used.stamp(20));
        assert!(!last_used.stamp(10));
        assert_eq!(last_used.unix_seconds(), Some(20));
    }

    #[test]
    fn the_newest_use_of_a_key_is_drained_once() {
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
    fn one_id_in_two_organizations_is_two_keys() {
        let log = UsageLog::new();
        log.note(&"org_a".into(), &"ak_x".into(), 10);
        log.note(&"org_b".into(), &"ak_x".into(), 20);
        let mut drained = log.drain();
        drained.sort_by_key(|usage| usage.last_used_at);
        let of: Vec<_> = drained.iter().map(|usage| usage.org_id.as_str()).collect();
        assert_eq!(of, ["org_a", "org_b"]);
    }
}
