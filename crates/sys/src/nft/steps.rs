//! A table of many doors made in steps: first every port is shut, then one door after the other gets its sets.
//!
//! The kernel compares the name of each new set with those of all others in the table, and looks the set of each new rule up in the same
//! way: with a thousand doors that takes a sixth of a second, with four thousand more than two, in which whoever has asked for it does
//! nothing else. So a table that is not there yet may be begun without the sets of those doors that share no port with others, and without
//! the rules that ask these sets: from that moment on all ports are guarded, and nobody is let in. What is left is added as time allows, in
//! whatever order. When nothing is left, the table is the same as one that was made whole.

use std::collections::HashSet;

use super::expression::Rule;
use super::map::Map;
use super::table::{DoorSpec, TableSpec};
use super::{Batch, Family, NEW_RULE, Nft, NftError};
use crate::netlink::{Builder, CREATE};

impl Nft {
    /// Begins aldaba's own table where there is none: its ports are shut. Returns the numbers of the doors that are left to be added.
    pub fn begin_own_table(&mut self, spec: &TableSpec) -> Result<Vec<usize>, NftError> {
        let (shut, left) = spec.shut();
        self.transaction(|batch| shut.write(batch, &[]))?;
        Ok(left)
    }

    /// Adds doors of these numbers, which are left of what was begun, in one transaction.
    pub fn add_doors(&mut self, spec: &TableSpec, doors: &[usize]) -> Result<(), NftError> {
        let doors = doors.iter().filter_map(|number| spec.doors.get(*number));
        Ok(self.transaction(|batch| doors.for_each(|door| spec.write_door(batch, door)))?)
    }
}

impl TableSpec {
    /// The same with all doors shut that share no port with others, and which these are.
    fn shut(&self) -> (Self, Vec<usize>) {
        let maps = self.maps();
        let shared = maps.iter().flat_map(Map::doors).filter(|doors| doors.len() > 1);
        let shared: HashSet<&str> = shared.flatten().map(|door| &*door.name).collect();
        let (mut shut, mut left) = (self.clone(), Vec::new());
        for (number, door) in shut.doors.iter_mut().enumerate() {
            if !shared.contains(&*door.name) {
                door.later = true;
                left.push(number);
            }
        }
        (shut, left)
    }

    /// A door's sets, and the rules that ask them before the one that drops.
    fn write_door(&self, batch: &mut Batch, door: &DoorSpec) {
        for (set, kind) in door.sets() {
            self.write_set(batch, &set, kind);
        }
        // Alone at its ports it has the same chains whatever other doors there are.
        let doors = std::slice::from_ref(door);
        let maps = [false, true].map(|udp| Map::of(doors, door.cuts, udp));
        for chain in maps.iter().flatten().flat_map(Map::chains) {
            // Each becomes the first of its chain.
            for ipv6 in [true, false] {
                let mut rule = Builder::default();
                Rule(&mut rule).source_in(&door.set(ipv6), ipv6).accept();
                batch.message(NEW_RULE, CREATE, Family::Inet);
                batch.builder.put_text(1, &self.name);
                batch.builder.put_text(2, &chain);
                batch.builder.nest(4, |list| list.put_bare(&rule.into_attributes()));
            }
        }
    }
}
