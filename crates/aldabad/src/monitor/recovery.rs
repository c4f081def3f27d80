//! When a capture that the worker cannot read any more is opened anew: at once, and where it stops again and again, later and
//! later. Each one costs a socket and a ring, and a worker that lies may say so as often as it likes. Pure.

use std::time::Duration;

/// The pause before the third; it doubles.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// One that was read for this long starts from the beginning.
const GOOD_SERVICE: Duration = Duration::from_secs(600);

/// How often one capture has stopped.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    stops: u32,
    last: Duration,
    due: Option<Duration>,
}

impl Recovery {
    /// It stopped; the pause before it is opened anew.
    pub(super) fn stopped(&mut self, now: Duration) -> Duration {
        if now.saturating_sub(self.last) >= GOOD_SERVICE {
            self.stops = 0;
        }
        self.stops = self.stops.saturating_add(1);
        self.last = now;
        let doubled =
            |stops: u32| SHORTEST_PAUSE.saturating_mul(1_u32.checked_shl(stops).unwrap_or(u32::MAX));
        let pause =
            self.stops.checked_sub(2).map_or(Duration::ZERO, |stops| doubled(stops).min(LONGEST_PAUSE));
        self.due = (pause > Duration::ZERO).then(|| now.saturating_add(pause));
        pause
    }

    /// How often it has stopped since it was read for long.
    pub(super) const fn stops(&self) -> u32 {
        self.stops
    }

    /// When its pause is over; `None`: it has none.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }

    /// Whether its pause is over now.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_and_then_later_and_later() {
        let mut recovery = Recovery::default();
        let mut now = Duration::from_secs(1000);
        let pauses: Vec<u64> = (0..10)
            .map(|_| {
                let pause = recovery.stopped(now);
                assert_eq!(recovery.poll_timeout(), (!pause.is_zero()).then_some(now + pause));
                assert!(!recovery.handle_timeout(now));
                now += pause;
                assert_eq!(recovery.handle_timeout(now), !pause.is_zero());
                assert_eq!((recovery.handle_timeout(now), recovery.poll_timeout()), (false, None));
                pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(recovery.stops(), 10);
        assert_eq!(recovery.stopped(now + GOOD_SERVICE), Duration::ZERO);
        assert_eq!(recovery.stopped(now + GOOD_SERVICE), SHORTEST_PAUSE);
    }

    #[test]
    fn a_worker_that_says_so_without_end_is_heard_once_a_minute() {
        let mut recovery = Recovery::default();
        for _ in 0..100 {
            recovery.stopped(Duration::from_secs(5));
        }
        assert_eq!(recovery.poll_timeout(), Some(Duration::from_secs(65)));
    }
}
