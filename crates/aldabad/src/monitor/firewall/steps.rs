//! aldaba's own table of many doors comes to be in steps, so that knocks need not wait for all of it: at the start every port is shut,
//! then some doors get their sets at each turn of the loop, and one that is to open at once (`aldaba_sys::nft`).

use std::collections::BTreeSet;
use std::time::Duration;

use aldaba_runner::ElementChange;
use aldaba_runner::lease::Place;
use aldaba_sys::nft::{Nft, NftError, TableSpec};

use super::Firewall;
use crate::monitor::Monitor;

/// With fewer doors than this the whole table takes no more than a few milliseconds.
const MANY: usize = 128;
/// Doors added at a turn: what comes meanwhile waits for no longer than one opening takes.
const AT_A_TURN: usize = 8;

/// The doors that are only shut so far, by their numbers in the table.
#[derive(Debug, Default)]
pub(super) struct Left(BTreeSet<usize>);

impl Left {
    /// Begins the table, which is not there yet, in this way if that is worth it; whether it has.
    pub(super) fn begin(&mut self, nft: &mut Nft, table: &TableSpec) -> Result<bool, NftError> {
        if table.doors.len() < MANY {
            return Ok(false);
        }
        self.0 = nft.begin_own_table(table)?.into_iter().collect();
        Ok(true)
    }

    /// Adds these doors, as far as they are left.
    fn add(
        &mut self,
        nft: &mut Nft,
        table: &TableSpec,
        wanted: impl Iterator<Item = usize>,
    ) -> Result<(), NftError> {
        let doors: Vec<usize> = wanted.filter(|door| self.0.remove(door)).collect();
        let added = if doors.is_empty() { Ok(()) } else { nft.add_doors(table, &doors) };
        if added.is_err() {
            // Somebody has changed the table. Whoever compares it makes it whole.
            self.0.clear();
        }
        added
    }
}

impl Firewall {
    /// Whether doors are left that are only shut so far.
    pub(in crate::monitor) fn is_begun(&self) -> bool {
        !self.left.0.is_empty()
    }

    /// Adds some doors of those that are left.
    fn add_some(&mut self) -> Result<(), NftError> {
        let some: Vec<usize> = self.left.0.iter().copied().take(AT_A_TURN).collect();
        self.add_doors(some.into_iter())
    }

    /// Adds all that are left: the table is about to be compared, or to become another one.
    pub(super) fn add_all(&mut self) {
        let all: Vec<usize> = self.left.0.iter().copied().collect();
        // What this does not reach is found wanting and made then.
        let _ = self.add_doors(all.into_iter());
    }

    /// Adds the doors that these changes concern. What fails shows with the change itself.
    pub(super) fn add_doors_of(&mut self, changes: &[ElementChange]) {
        if !self.is_begun() {
            return;
        }
        let number = |change: &ElementChange| match &change.place {
            Place::Own { door } => self.table.number_of(door),
            Place::Named { .. } => None,
        };
        let wanted: Vec<usize> = changes.iter().filter_map(number).collect();
        let _ = self.add_doors(wanted.into_iter());
    }

    fn add_doors(&mut self, doors: impl Iterator<Item = usize>) -> Result<(), NftError> {
        self.open()?;
        let Some(nft) = &mut self.nft else { return Ok(()) };
        self.left.add(nft, &self.table, doors)
    }
}

impl Monitor {
    /// Whether doors are to be added at each turn. A worker that is on its way goes first: before it serves, nobody knocks.
    pub(in crate::monitor) fn has_doors_left(&self) -> bool {
        self.firewall.is_begun() && self.workers.is_serving()
    }

    /// A turn's share of the doors that are left. Behind the last one the table is looked at as after every other change of it.
    pub(in crate::monitor) fn add_doors(&mut self, now: Duration) {
        if !self.has_doors_left() {
            return;
        }
        if self.firewall.add_some().is_err() {
            self.prepare_firewall(now);
        } else if !self.firewall.is_begun() {
            self.look_at_leases(now);
        }
    }
}
