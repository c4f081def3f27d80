//! When to look at the firewall, and what to say where another program changes it again and again.

use std::time::Duration;

/// From a notice to the look: what belongs together has then come.
const SETTLE: Duration = Duration::from_millis(5);
/// Looks that follow one another closely are this far apart at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Without a look for this long, the next one has no pause before it.
const CALM: Duration = Duration::from_secs(2);
/// So many repairs are said one by one.
const ONE_BY_ONE: u32 = 5;
/// Without a repair for this long, a fight is over.
const PEACE: Duration = Duration::from_secs(10);
/// How often the sum is said while it lasts.
const SUM: Duration = Duration::from_secs(60);

/// When to look.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Duration>,
    last: Duration,
    pause: Duration,
}

impl Pace {
    /// Something has changed.
    pub(super) fn notice(&mut self, now: Duration) {
        if self.due.is_none() {
            let soon = now.saturating_add(SETTLE);
            self.due = Some(soon.max(self.last.saturating_add(self.pause)));
        }
    }

    /// When to look next, if anything has changed.
    pub(super) const fn due(&self) -> Option<Duration> {
        self.due
    }

    /// A look was taken.
    pub(super) fn looked(&mut self, now: Duration) {
        let calm = now.saturating_sub(self.last) > CALM;
        let longer = self.pause.saturating_mul(2).max(SETTLE);
        self.pause = if calm { Duration::ZERO } else { longer.min(LONGEST_PAUSE) };
        self.last = now;
        self.due = None;
    }
}

/// Repairs that follow one another.
#[derive(Debug, Default)]
pub(super) struct Fight {
    last: Duration,
    rounds: u32,
    unsaid: u64,
    said: Duration,
}

/// What to say of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// That it was made.
    This,
    /// That there is no end of them.
    Fight,
    /// How many there were since something was said.
    Sum(u64),
    Nothing,
}

impl Fight {
    /// Whether there is no end of them.
    pub(super) fn lasts(&self, now: Duration) -> bool {
        self.rounds > ONE_BY_ONE && now.saturating_sub(self.last) <= PEACE
    }

    /// One more repair.
    pub(super) fn round(&mut self, now: Duration) -> Say {
        if now.saturating_sub(self.last) > PEACE {
            *self = Self::default();
        }
        self.last = now;
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds <= ONE_BY_ONE {
            return Say::This;
        }
        self.unsaid = self.unsaid.saturating_add(1);
        if self.rounds == ONE_BY_ONE.saturating_add(1) {
            self.said = now;
            return Say::Fight;
        }
        if now.saturating_sub(self.said) < SUM {
            return Say::Nothing;
        }
        self.said = now;
        Say::Sum(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_look_is_soon_and_a_storm_is_looked_at_twice_a_second() {
        let mut pace = Pace::default();
        let (mut now, mut looks) = (ms(100_000), 0);
        pace.notice(now);
        assert_eq!(pace.due(), Some(ms(100_005)));
        while now < ms(110_000) {
            pace.notice(now);
            if pace.due().is_some_and(|due| due <= now) {
                pace.looked(now);
                looks += 1;
            }
            now += ms(1);
        }
        assert!((18..40).contains(&looks), "{looks}");
        now += ms(3000);
        pace.notice(now);
        pace.looked(now + SETTLE);
        pace.notice(now + ms(6));
        assert_eq!(pace.due(), Some(now + ms(11)), "after some calm it is quick again");
    }

    #[test]
    fn a_fight_is_named_once_and_summed_up_each_minute() {
        let mut fight = Fight::default();
        let said: Vec<Say> = (0..240).map(|round| fight.round(ms(100_000 + 500 * round))).collect();
        assert_eq!(said[..6], [Say::This, Say::This, Say::This, Say::This, Say::This, Say::Fight]);
        let sums: Vec<&Say> = said[6..].iter().filter(|say| **say != Say::Nothing).collect();
        assert_eq!(sums, [&Say::Sum(121)]);
        let last = ms(100_000 + 500 * 239);
        assert!(fight.lasts(last) && fight.lasts(last + PEACE) && !fight.lasts(last + PEACE + ms(1)));
        assert_eq!(fight.round(ms(400_000)), Say::This, "in peace again");
        assert!(!fight.lasts(ms(400_000)));
    }
}
