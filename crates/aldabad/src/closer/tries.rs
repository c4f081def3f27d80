//! Attempts that failed, and when the next one has its time. Pure.

use std::time::Duration;

/// How often something failed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tries {
    pub(super) count: u32,
    next: Duration,
}

impl Tries {
    /// One more has failed; the pause before the next follows from how many did.
    pub(super) fn failed(&mut self, now: Duration, pause: impl FnOnce(u32) -> Duration) -> Duration {
        self.count = self.count.saturating_add(1);
        let pause = pause(self.count);
        self.next = now.saturating_add(pause);
        pause
    }

    /// When the next one has its time.
    pub(super) const fn next(&self) -> Duration {
        self.next
    }

    /// How long until the next one; zero: now.
    pub(super) const fn left(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }
}

/// 1 s, 2 s, 4 s and so on, up to the longest.
pub(super) fn growing(tries: u32, longest: Duration) -> Duration {
    Duration::from_secs(2_u64.saturating_pow(tries.saturating_sub(1))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_nowhere() {
        let pauses = |longest| (1..9).map(|tries| growing(tries, longest).as_secs()).collect::<Vec<_>>();
        assert_eq!(pauses(Duration::from_secs(30)), [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pauses(Duration::from_secs(60)), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(growing(u32::MAX, Duration::from_secs(30)), Duration::from_secs(30));
    }

    #[test]
    fn the_next_one_has_its_time() {
        let mut tries = Tries::default();
        let (now, second) = (Duration::from_secs(100), Duration::from_secs(1));
        assert!(tries.left(now).is_zero());
        assert_eq!(tries.failed(now, |count| growing(count, now)), second);
        assert_eq!((tries.count, tries.left(now)), (1, second));
        assert!(tries.left(now + second).is_zero());
    }
}
