//! A table of many doors made in steps: first every port is shut, then one door after the other gets its sets and chains, and at the
//! end ports lead there.
//!
//! The kernel compares the name of each new set with those of all others in the table, and looks the set of each new rule up in the same
//! way: with a thousand doors that takes a sixth of a second, with four thousand more than two, in which whoever has asked for it does
//! nothing else. Their chains take a tenth of that. So a table that is not there yet may be begun without both, of those doors that share
//! no port with others: the map drops what comes to their ports. From that moment on all ports are guarded, and nobody is let in. What is
//! left is added as time allows, in whatever order; nothing leads there until the guard is written anew, with another map and in one
//! transaction. When nothing is left, the table is the same as one that was made whole.

use std::collections::{BTreeSet, HashSet};

use super::map::Map;
use super::table::{CHAIN, DoorSpec, Rules, TableSpec};
use super::{Batch, DELETE_RULE, Family, Nft, NftError, silence};

impl Nft {
    /// Begins aldaba's own table where there is none: its ports are shut. Returns the numbers of the doors that are left to be added.
    pub fn begin_own_table(&mut self, spec: &TableSpec) -> Result<BTreeSet<usize>, NftError> {
        let left = spec.alone();
        let begun = spec.without(&left);
        self.transaction(|batch| begun.write(batch, &[]))?;
        Ok(left)
    }

    /// Adds doors of these numbers, which are left of what was begun, in one transaction. With the doors that are left behind these, ports
    /// lead in the same transaction to all that have been added; without, the ports of these stay shut.
    pub fn add_doors(
        &mut self,
        spec: &TableSpec,
        doors: &[usize],
        left: Option<&BTreeSet<usize>>,
    ) -> Result<(), NftError> {
        let doors = doors.iter().filter_map(|number| spec.doors.get(*number));
        let begun = left.map(|left| spec.without(left));
        Ok(self.transaction(|batch| {
            doors.for_each(|door| spec.write_door(batch, door));
            if let Some(begun) = &begun {
                begun.write_guard_anew(batch);
            }
        })?)
    }
}

impl TableSpec {
    /// The doors that share no port with others.
    fn alone(&self) -> BTreeSet<usize> {
        let maps = self.maps();
        let shared = maps.iter().flat_map(Map::doors).filter(|doors| doors.len() > 1);
        let shared: HashSet<&str> = shared.flatten().map(|door| &*door.name).collect();
        let alone = self.doors.iter().zip(0..).filter(|(door, _)| !shared.contains(&*door.name));
        alone.map(|(_, number)| number).collect()
    }

    /// The same with these doors only shut.
    fn without(&self, left: &BTreeSet<usize>) -> Self {
        let mut begun = self.clone();
        for (door, number) in begun.doors.iter_mut().zip(0..) {
            door.later = left.contains(&number);
        }
        begun
    }

    /// A door's sets, and its chains with their rules.
    fn write_door(&self, batch: &mut Batch, door: &DoorSpec) {
        for (set, kind) in door.sets() {
            self.write_set(batch, &set, kind);
        }
        // Alone at its ports it has the same chains whatever other doors there are.
        let doors = std::slice::from_ref(door);
        let mut rules = Rules::default();
        for map in Map::of(doors, door.cuts) {
            map.write_chains(batch, &self.name);
            map.write_rules(&mut rules);
        }
        self.append(batch, &rules);
    }

    /// The chains that the kernel itself asks, with other maps in the place of those there are.
    fn write_guard_anew(&self, batch: &mut Batch) {
        for chain in [Some(CHAIN), self.spa.is_some().then_some(silence::CHAIN)].into_iter().flatten() {
            batch.message(DELETE_RULE, 0, Family::Inet);
            batch.builder.put_text(1, &self.name);
            batch.builder.put_text(2, chain);
        }
        self.write_guard(batch, &self.maps());
    }
}
