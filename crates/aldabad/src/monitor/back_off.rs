//! When the next worker or closer is started: soon after one that was good, later and later after several that were not. Pure: how
//! long one lived is an argument.

use std::time::Duration;

/// The first pause; it doubles.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// One that lived this long was a good one: the next pause is the shortest again.
const GOOD_SERVICE: Duration = Duration::from_secs(60);
/// So many that end one after the other are no accident.
const SEVERAL: u32 = 3;

/// The pause before the next one, and what led to it.
#[derive(Debug)]
pub(super) struct BackOff {
    pause: Duration,
    /// How many have ended, or could not be started, since one was good.
    ended: u32,
}

impl BackOff {
    pub(super) const fn new() -> Self {
        Self { pause: SHORTEST_PAUSE, ended: 0 }
    }

    /// One has ended that lived so long: the pause before the next.
    pub(super) fn ended(&mut self, lived: Duration) -> Duration {
        if lived >= GOOD_SERVICE {
            *self = Self::new();
        }
        self.failed()
    }

    /// One could not even be started: the pause before the next.
    pub(super) fn failed(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.ended = self.ended.saturating_add(1);
        pause
    }

    /// How many have ended one after the other, if those are several and the one that lives, for so long now, is not good yet.
    pub(super) fn in_a_row(&self, lives: Option<Duration>) -> Option<u32> {
        let is_good = lives.is_some_and(|lives| lives >= GOOD_SERVICE);
        (self.ended >= SEVERAL && !is_good).then_some(self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_grow_until_one_is_good() {
        let mut back_off = BackOff::new();
        let pauses: Vec<u128> = (0..9).map(|_| back_off.ended(seconds(1)).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(back_off.ended(seconds(60)).as_millis(), 100);
    }

    #[test]
    fn several_in_a_row_are_told_until_one_is_good() {
        let mut back_off = BackOff::new();
        back_off.ended(seconds(3600));
        back_off.ended(seconds(1));
        assert_eq!(back_off.in_a_row(Some(seconds(1))), None, "two may be an accident");
        back_off.failed();
        assert_eq!(back_off.in_a_row(None), Some(3));
        assert_eq!(back_off.in_a_row(Some(seconds(59))), Some(3));
        assert_eq!(back_off.in_a_row(Some(seconds(60))), None);
        back_off.ended(seconds(60));
        assert_eq!(back_off.in_a_row(Some(seconds(1))), None, "it is forgotten");
    }
}
