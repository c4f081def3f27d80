//! What a source does again at a door without anything ending in between: renewing what is open, knocking at a door that only
//! logs, completing a sequence of knockd.conf's. Each source and door has lines of its own, so that nobody fills the log that way,
//! and nobody's lines are spent by another.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use crate::budget::Budget;

/// Budgets there are. Two pairs of source and door may share one, and which do nobody outside can know.
const SLOTS: usize = 256;

/// The budgets of sources at doors, in a table of fixed size.
#[derive(Debug)]
pub(super) struct Repeats {
    slots: Vec<Budget>,
    keys: RandomState,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { slots: vec![Budget::default(); SLOTS], keys: RandomState::new() }
    }
}

impl Repeats {
    /// Whether one more line of this source at this door may be written now.
    pub(super) fn take(&mut self, now: Duration, door: &str, source: IpAddr) -> bool {
        let hash = usize::try_from(self.keys.hash_one((door, source)) >> 32).unwrap_or_default();
        let slot = &mut self.slots[hash % SLOTS];
        slot.has_room(now) && slot.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_and_door_has_lines_of_its_own() {
        let mut repeats = Repeats::default();
        let source = |last: u8| IpAddr::from([192, 0, 2, last]);
        let now = Duration::from_secs(100);
        let mut lines = |now, door, last| (0..1000).filter(|_| repeats.take(now, door, source(last))).count();
        assert_eq!(lines(now, "ssh", 1), 50);
        assert_eq!(lines(now, "ssh", 1), 0);
        // But for those in the same slot, which are few.
        let untouched = (2..52).filter(|last| lines(now, "ssh", *last) == 50).count();
        assert!(untouched >= 40, "{untouched} of 50 sources");
        assert_eq!(lines(now + Duration::from_secs(3), "ssh", 1), 3, "and one a second");
    }
}
