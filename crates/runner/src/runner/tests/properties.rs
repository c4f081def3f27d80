//! Random operations against the world model: grants, closes, endings, failures, reloads, crashes between any two
//! effects, reboots, shutdowns.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{self, Operation};

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Four bytes are enough for any one operation, and shrinking then drops whole operations.
    let one = any::<[u8; 4]>().prop_map(|bytes| Operation::read(&bytes).next());
    vec(one, 0..80).prop_map(|all| all.into_iter().flatten().collect())
}

/// Lives of a lease, with a crash after every number of effects: between any two of them, before the first and after the last.
#[test]
fn r1_a_crash_between_any_two_effects_of_a_life_leaves_nothing_open() {
    let grant = |door| Operation::Grant { door, source: 0, wanted: 0 };
    let ended = |outcome| Operation::Finish { job: 0, outcome };
    let (good, bad, end) = (ended(0), ended(1), Operation::PassToTimeout);
    for door in 0..8 {
        let close = Operation::Close { door, source: 0 };
        let lives = [
            vec![grant(door), good, end, good],
            vec![grant(door), bad, good, end, good],
            vec![grant(door), good, grant(door), end, bad, end, good],
            vec![grant(door), close, good, good],
            vec![grant(door), good, close, bad, end, grant(door), good, good, end, good],
            vec![grant(door), good, Operation::Reload(3), end, good],
            vec![Operation::FailJournal(1), grant(door), good, grant(door), good, end, good],
            vec![Operation::RefuseElements(1), grant(door), grant(door), Operation::Reassert, close, end],
        ];
        for (life, reboot) in lives.iter().flat_map(|life| [(life, false), (life, true)]) {
            for after in 0..40 {
                let crash = Operation::Crash { after, reboot };
                model::run_operations(std::iter::once(crash).chain(life.iter().copied()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_opened_door_is_closed_once_or_has_a_deadline_ahead(operations in operations()) {
        model::run_operations(operations);
    }
}
