//! The only module that reads the operating system's clocks.

use std::{
    fmt,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A source of time. Expiry follows the wall clock, and caches age by the monotonic clock.
///
/// The default everywhere is [`SystemClock`]; tests set the time of a clock of their own.
///
/// ```
/// use coverbase_auth::Clock;
///
/// #[derive(Debug)]
/// struct Noon;
///
/// impl Clock for Noon {
///     fn unix_seconds(&self) -> u64 {
///         1_700_049_600
///     }
/// }
/// assert_eq!(Noon.unix_millis(), 1_700_049_600_000);
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the seconds since 1970-01-01T00:00:00Z, without leap seconds.
    fn unix_seconds(&self) -> u64;

    /// Returns the milliseconds since 1970-01-01T00:00:00Z, for the ids of audit records. The default implementation has
    /// a resolution of one second.
    fn unix_millis(&self) -> u64 {
        self.unix_seconds().saturating_mul(1000)
    }

    /// Returns the milliseconds since an arbitrary moment. This time never jumps when the wall clock is set. The default
    /// implementation reads the operating system's monotonic clock.
    fn monotonic_millis(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        millis(START.elapsed())
    }
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> u64 {
        since_1970().as_secs()
    }

    fn unix_millis(&self) -> u64 {
        millis(since_1970())
    }
}

/// Returns zero for a time before 1970: then no key has expired, and no token is valid yet.
#[expect(clippy::disallowed_methods, reason = "other modules use `Clock`")]
fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_agrees_in_all_units_and_moves() {
        let (seconds, millis) = (SystemClock.unix_seconds(), SystemClock.unix_millis());
        assert!(seconds > 1_700_000_000);
        assert!(millis / 1000 >= seconds);

        let began = SystemClock.monotonic_millis();
        std::thread::sleep(Duration::from_millis(2));
        assert!(SystemClock.monotonic_millis() > began);
    }
}
