//! Which attempts a set of patterns still counts, as a short staircase instead of a list of all of them.

use super::plan::{Age, Nanos};

/// For each pattern, attempts that began at `since` or later count until they are `timeout` old. Steps that another
/// step covers are left out, so with equal time limits or equal `since` one is left, whatever the number of patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach(Vec<Stair>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stair {
    timeout: Nanos,
    since: Nanos,
}

impl Reach {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn clone_from(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }

    /// Adds a pattern. Sorted by time limit, longest first; a shorter one stays only where it counts older attempts.
    pub(super) fn add(&mut self, timeout: Nanos, since: Nanos) {
        if self.0.iter().any(|stair| stair.timeout >= timeout && stair.since <= since) {
            return;
        }
        self.0.retain(|stair| stair.timeout > timeout || stair.since < since);
        let place = self.0.partition_point(|stair| stair.timeout > timeout);
        self.0.insert(place, Stair { timeout, since });
    }

    /// Whether some pattern counts an attempt of this age.
    pub(super) fn covers(&self, age: Age) -> bool {
        let in_time = |stair: &&Stair| age.elapsed.is_none_or(|elapsed| elapsed < stair.timeout);
        self.0.iter().take_while(in_time).any(|stair| stair.since <= age.started)
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
        assert_eq!(reach.0, [Stair { timeout: 9, since: 0 }]);
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
