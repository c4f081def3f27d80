//! Which attempts a set of patterns still counts, as a short staircase instead of a list of all of them.

use super::plan::{Age, NEVER, Nanos};

/// For each pattern, attempts that began at `since` or later count until they are `timeout` old. Steps that another
/// step covers are left out, so with equal time limits or equal `since` one is left, whatever the number of patterns.
/// Most have one step or none, which allocates nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The one with the longest time limit.
    first: Stair,
    /// The others, longest first.
    more: Vec<Stair>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stair {
    timeout: Nanos,
    since: Nanos,
}

impl Default for Stair {
    /// One that counts nothing, so that all others cover it.
    fn default() -> Self {
        Self { timeout: 0, since: NEVER }
    }
}

impl Stair {
    /// Whether it counts all that the other counts.
    const fn covers(&self, other: &Self) -> bool {
        self.timeout >= other.timeout && self.since <= other.since
    }

    const fn counts(&self, age: Age) -> bool {
        let in_time = match age.elapsed {
            Some(elapsed) => elapsed < self.timeout,
            None => true,
        };
        in_time && self.since <= age.started
    }
}

impl Reach {
    pub(super) fn clear(&mut self) {
        self.first = Stair::default();
        self.more.clear();
    }

    pub(super) fn clone_from(&mut self, other: &Self) {
        self.first = other.first;
        self.more.clone_from(&other.more);
    }

    /// Adds a pattern. Sorted by time limit, longest first; a shorter one stays only where it counts older attempts.
    pub(super) fn add(&mut self, timeout: Nanos, since: Nanos) {
        if since >= NEVER {
            return;
        }
        let new = Stair { timeout, since };
        if self.first.covers(&new) || self.more.iter().any(|stair| stair.covers(&new)) {
            return;
        }
        self.more.retain(|stair| !new.covers(stair));
        if self.first.timeout > timeout {
            let place = self.more.partition_point(|stair| stair.timeout > timeout);
            self.more.insert(place, new);
        } else {
            if !new.covers(&self.first) {
                self.more.insert(0, self.first);
            }
            self.first = new;
        }
    }

    /// Whether some pattern counts an attempt of this age.
    pub(super) fn covers(&self, age: Age) -> bool {
        self.first.counts(age) || self.more.iter().any(|stair| stair.counts(age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stair_is_left_where_one_says_it_all() {
        let mut reach = Reach::default();
        for timeout in [5, 9, 3, 9] {
            reach.add(timeout, 0);
        }
        assert_eq!(reach, Reach { first: Stair { timeout: 9, since: 0 }, more: Vec::new() });
    }

    #[test]
    fn it_covers_what_some_pattern_covers() {
        let patterns = [(5, 30), (9, 40), (3, 10), (5, 20), (0, 0), (9, 35)];
        let mut reach = Reach::default();
        for (timeout, since) in patterns {
            reach.add(timeout, since);
        }
        for started in 0..50 {
            let ages = (0..12).map(|elapsed| Age { started, elapsed: Some(elapsed) });
            for age in ages.chain([Age::new(started)]) {
                let counted = |(timeout, since)| since <= started && age.elapsed.is_none_or(|e| e < timeout);
                assert_eq!(reach.covers(age), patterns.into_iter().any(counted), "{age:?}");
            }
        }
    }
}
