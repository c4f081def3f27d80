//! How many lines of a kind may be said: a burst, then a steady trickle, and an honest count of the rest.

use std::time::Duration;

/// Lines said at once before the limit bites.
const BURST: u32 = 50;
/// After that, one line in this time.
const REFILL: Duration = Duration::from_secs(1);

/// A budget of lines.
#[derive(Debug, Clone)]
pub struct Budget {
    burst: u32,
    each_second: u32,
    tokens: u32,
    refilled: Duration,
    left_out: u64,
    /// When it was last said how many were left out.
    counted: Option<Duration>,
    /// All that was ever left out.
    total: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(BURST, 1)
    }
}

impl Budget {
    /// So many lines at once, and then so many a second.
    #[must_use]
    pub const fn new(burst: u32, each_second: u32) -> Self {
        Self {
            burst,
            each_second,
            tokens: burst,
            refilled: Duration::ZERO,
            left_out: 0,
            counted: None,
            total: 0,
        }
    }

    /// Whether a line may be said now; if not it is counted as left out.
    pub fn take(&mut self, now: Duration) -> bool {
        self.refill(now);
        if self.tokens == 0 {
            self.leave_out(1);
            return false;
        }
        self.tokens -= 1;
        true
    }

    /// Whether [`Budget::take`] would say yes; costs nothing.
    pub fn has_room(&mut self, now: Duration) -> bool {
        self.refill(now);
        self.tokens > 0
    }

    /// Counts what was not even put together.
    pub fn leave_out(&mut self, lines: u64) {
        self.left_out = self.left_out.saturating_add(lines);
        self.total = self.total.saturating_add(lines);
    }

    /// How many were left out since the beginning.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many were left out since the last time this was asked with room to say so, which is once a second at most.
    pub fn poll_left_out(&mut self, now: Duration) -> Option<u64> {
        self.refill(now);
        let was_just_said = self.counted.is_some_and(|at| now < at.saturating_add(REFILL));
        let due = self.left_out > 0 && self.tokens > 0 && !was_just_said;
        due.then(|| {
            self.tokens -= 1;
            self.counted = Some(now);
            std::mem::take(&mut self.left_out)
        })
    }

    /// When there will be something to say about what was left out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let last = self.counted.map_or(self.refilled, |at| at.max(self.refilled));
        (self.left_out > 0).then(|| last.saturating_add(REFILL))
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled).as_secs();
        if passed > 0 {
            let new = passed.saturating_mul(self.each_second.into());
            let tokens = u64::from(self.tokens).saturating_add(new).min(u64::from(self.burst));
            self.tokens = u32::try_from(tokens).unwrap_or(self.burst);
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_then_one_a_second_with_the_number_left_out() {
        let mut budget = Budget::default();
        let said = (0..1000).filter(|_| budget.take(at(500))).count();
        assert_eq!(said, 50);
        assert_eq!(budget.poll_left_out(at(500)), None, "no room to say it");
        assert_eq!(budget.poll_left_out(at(1600)), Some(950));
        assert!(!budget.take(at(1700)), "the one line of this second was the count");
        assert!(budget.take(at(2700)));
        assert_eq!(budget.poll_left_out(at(10_000)), Some(1));
        assert_eq!(budget.poll_left_out(at(20_000)), None);
    }

    #[test]
    fn the_number_is_said_once_a_second_also_where_there_is_room() {
        let mut budget = Budget::default();
        let said = |budget: &mut Budget, millis| {
            budget.leave_out(1);
            budget.poll_left_out(at(millis)).is_some()
        };
        let lines = (0..5000).filter(|millis| said(&mut budget, 10_000 + millis)).count();
        assert_eq!(lines, 5);
        let due = budget.poll_timeout().expect("something is left");
        assert!(budget.poll_left_out(due).is_some(), "what was asked for at its time");
    }

    #[test]
    fn a_quiet_minute_fills_it_again() {
        let mut budget = Budget::default();
        while budget.take(at(1000)) {}
        assert_eq!((0..100).filter(|_| budget.take(at(61_000))).count(), 50);
    }
}
