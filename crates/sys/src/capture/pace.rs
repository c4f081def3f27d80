//! A brief rest when hot.
//!
//! Being woken costs more than reading a frame. Woken again and again within a millisecond, the worker sleeps a
//! little before it looks again, so that frames gather and it is woken once for many. An idle worker never rests: a
//! lone knock is seen at once.

use std::time::Duration;

/// So many wake-ups in a row make hot.
const STREAK: u32 = 16;
/// They are in a row when no more than this passes between two.
const GAP: Duration = Duration::from_millis(1);
/// How long to rest.
const REST: Duration = Duration::from_micros(250);

/// Says when to rest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    last: Duration,
    streak: u32,
}

impl Pace {
    /// Not hot.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: Duration::ZERO, streak: 0 }
    }

    /// To be called when everything there was has been read after a wake-up for frames; how long to
    /// [`rest`](crate::clock::rest) now, before waiting again.
    pub fn woken(&mut self, now: Duration) -> Option<Duration> {
        self.streak = if now.saturating_sub(self.last) < GAP { self.streak.saturating_add(1) } else { 0 };
        self.last = now;
        (self.streak >= STREAK).then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `wakes` wake-ups, this far apart, were followed by a rest.
    fn rests(pace: &mut Pace, from: Duration, apart: Duration, wakes: u32) -> u32 {
        (0..wakes).map(|n| u32::from(pace.woken(from + apart * n).is_some())).sum()
    }

    #[test]
    fn rests_from_the_sixteenth_wake_up_in_a_row_on() {
        let start = Duration::from_secs(100);
        // The first is not in a row with anything.
        assert_eq!(rests(&mut Pace::new(), start, Duration::from_micros(900), 16), 0);
        assert_eq!(rests(&mut Pace::new(), start, Duration::from_micros(900), 17), 1);
        assert_eq!(rests(&mut Pace::new(), start, Duration::from_micros(900), 116), 100);
    }

    #[test]
    fn never_rests_when_idle() {
        assert_eq!(rests(&mut Pace::new(), Duration::from_secs(9), Duration::from_millis(1), 10_000), 0);
    }

    #[test]
    fn a_pause_cools_it() {
        let mut pace = Pace::new();
        assert!(rests(&mut pace, Duration::from_secs(1), Duration::from_micros(10), 100) > 0);
        assert_eq!(rests(&mut pace, Duration::from_secs(2), Duration::from_micros(10), 16), 0);
    }

    #[test]
    fn the_rest_itself_does_not_cool_it() {
        assert!(REST < GAP);
    }
}
