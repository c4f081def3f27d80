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

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_opened_door_is_closed_once_or_has_a_deadline_ahead(operations in operations()) {
        model::run_operations(operations);
    }
}
