//! Each set of the administrator's belongs to one door (spec/leases.md, "Element leases").

use std::collections::HashMap;

use aldaba_runner::door::{Action, Door, NftAction, NftSet};

use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{DoorPlaces, Findings};

/// An element is there or not, whichever door put it in: two doors would end each other's leases.
pub(in super::super) fn one_door_for_each_set(
    doors: &[Door],
    places: &[DoorPlaces],
    findings: &mut Findings,
) {
    let mut seen: HashMap<_, (usize, &Door, &Place)> = HashMap::new();
    for (index, (door, places)) in doors.iter().zip(places).enumerate() {
        let Action::Nftables(NftAction { set: NftSet::Named { family, table, set_v4, set_v6 } }) =
            &door.action
        else {
            continue;
        };
        for (set, place) in [(set_v4, &places.sets.v4), (set_v6, &places.sets.v6)] {
            let (Some(set), Some(place)) = (set, place) else { continue };
            let before = seen.insert((family, table, set), (index, door, place));
            if let Some((_, other, before)) = before.filter(|(before, _, _)| *before != index) {
                findings.add(two_doors(&other.name, before, &door.name, place));
            }
        }
    }
}

fn two_doors(first: &str, before: &Place, second: &str, place: &Place) -> Diagnostic {
    Diagnostic::error("same-set", place, format!("doors {first:?} and {second:?} open the same set"))
        .also(before, "the other is here")
        .help("one would end what the other opened: give each a set of its own, and a rule for it")
        .help("or make them one door, which may have a sequence and spa = true")
}
