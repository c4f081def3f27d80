//! Random operations against the world model: grants, closes, endings, failures, reloads, crashes between any two
//! effects, reboots, shutdowns.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn every_opened_door_is_closed_once_or_has_a_deadline_ahead(data in vec(any::<u8>(), 0..300)) {
        model::run(&data);
    }
}
