//! The one place that asks for the time.

use std::{fmt, time::Duration};

/// Tells the time, in whole seconds since the Unix epoch.
///
/// Everything that expires is compared with it. [`SystemClock`] is the default; a test sets its own.
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
/// assert_eq!(Noon.unix_seconds() % 86_400, 43_200);
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
    fn unix_seconds(&self) -> u64;

    /// Milliseconds since then, for the ids of audit records. By default they are whole seconds.
    fn unix_millis(&self) -> u64 {
        self.unix_seconds().saturating_mul(1000)
    }

    /// Milliseconds since some moment before: what a cache ages by, since it never jumps when somebody sets the time.
    ///
    /// By default the operating system's monotonic clock, on Linux the coarse one, which is a tick (4 ms, mostly) behind.
    fn monotonic_millis(&self) -> u64 {
        monotonic_millis()
    }
}

/// The operating system's clock.
///
/// On Linux it is read from the kernel's coarse clock, which ticks every few milliseconds: a tenth of the price of
/// [`std::time::SystemTime`], and no less exact in whole seconds than an NTP-disciplined clock is anyway.
///
/// ```
/// use coverbase_auth::{Clock, SystemClock};
///
/// assert!(SystemClock.unix_seconds() > 1_700_000_000);
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing in it to configure"
)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn unix_seconds(&self) -> u64 {
        since_1970().as_secs()
    }

    #[inline]
    fn unix_millis(&self) -> u64 {
        let since = since_1970();
        since.as_secs() * 1000 + u64::from(since.subsec_millis())
    }
}

/// Before 1970 counts as 1970: nothing has expired then, and nothing is valid yet.
#[cfg(target_os = "linux")]
#[inline]
fn since_1970() -> Duration {
    use nix::time::{ClockId, clock_gettime};

    let since = clock_gettime(ClockId::CLOCK_REALTIME_COARSE).ok();
    let since = since.filter(|since| since.tv_sec() >= 0);
    since.map_or(Duration::ZERO, Duration::from)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn since_1970() -> Duration {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default()
}

#[cfg(target_os = "linux")]
#[inline]
fn monotonic_millis() -> u64 {
    use nix::time::{ClockId, clock_gettime};

    let elapsed = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE);
    // Without a clock everything is as old as can be.
    elapsed.map_or(u64::MAX, |elapsed| {
        let millis = elapsed.tv_sec() * 1_000 + elapsed.tv_nsec() / 1_000_000;
        u64::try_from(millis).unwrap_or(u64::MAX)
    })
}

#[cfg(not(target_os = "linux"))]
fn monotonic_millis() -> u64 {
    use std::{sync::OnceLock, time::Instant};

    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
