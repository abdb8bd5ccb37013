//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Twice as long each time, up to two seconds; by chance up to half of it less, so that a fleet does not come back as one.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(FIRST)
    }

    pub(super) fn delay(&mut self) -> Duration {
        let longest = self.0;
        self.0 = LONGEST.min(longest * 2);
        // Without random numbers the fleet comes back as one.
        let random = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        longest.mul_f64(0.5 + random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound() {
        let mut backoff = Backoff::new();
        let delays: Vec<_> = (0..20).map(|_| backoff.delay()).collect();
        assert!(delays[0] >= FIRST / 2 && delays[0] <= FIRST);
        assert!(delays[19] >= LONGEST / 2 && delays[19] <= LONGEST);
        let at_the_bound = &delays[10..];
        assert!(at_the_bound.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
