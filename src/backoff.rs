//! The delays between attempts to reach a server. Imports nothing of this crate.

use std::time::Duration;

/// Delays that double from the first to the longest. Each is shortened by a random part of up to one half, so that the
/// instances of a fleet do not retry at the same moment.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// Returns the delay before the next attempt.
    pub(crate) fn delay(&mut self) -> Duration {
        let delay = self.next.min(self.longest);
        self.next = delay.saturating_mul(2);
        // Without random numbers the delays are whole.
        let random = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        delay.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    #[test]
    fn delays_double_up_to_the_longest_with_jitter() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let delays: Vec<_> = (0..20).map(|_| backoff.delay()).collect();
        let mut whole = FIRST;
        for delay in &delays {
            assert!((whole / 2..=whole).contains(delay), "{delays:?}");
            whole = LONGEST.min(whole * 2);
        }
        assert!(delays[10..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn longest_delay_bounds_the_first() {
        let mut backoff = Backoff::new(Duration::MAX, LONGEST);
        assert!((0..3).all(|_| backoff.delay() <= LONGEST));
    }
}
