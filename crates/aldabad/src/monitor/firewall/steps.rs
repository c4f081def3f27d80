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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::Path;

    use aldaba_runner::LeaseId;
    use aldaba_sys::namespace;
    use aldaba_sys::nft::DoorSpec;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    /// With a firewall whose table has so many doors, in a network namespace of its own.
    fn with_doors(doors: usize, test: impl FnOnce(Firewall) + Send + 'static) {
        let thread = std::thread::spawn(move || {
            if let Err(error) = namespace::enter_on_this_thread() {
                assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this test must run: {error}");
                println!("SKIPPED: no network namespace of our own: {error}");
                return;
            }
            let mut firewall = Firewall::new(Path::new("/nowhere/aldaba.toml"), "aldaba", Vec::new());
            let door = |port: u16| DoorSpec::new(&format!("d{port}"), [(false, port, port)]);
            firewall.table.doors =
                (0..doors).map(|number| door(u16::try_from(number).unwrap() + 1)).collect();
            firewall.open().unwrap();
            test(firewall);
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn begin(firewall: &mut Firewall) -> bool {
        firewall.left.begin(firewall.nft.as_mut().unwrap(), &firewall.table).unwrap()
    }

    /// How many doors have their sets.
    fn stand(firewall: &mut Firewall) -> usize {
        let (nft, table) = (firewall.nft.as_mut().unwrap(), &firewall.table);
        // One for each family.
        nft.set_ids(&table.all_sets().collect::<Vec<_>>()).unwrap().len() / 2
    }

    fn opening(door: &str) -> ElementChange {
        let place = Place::Own { door: door.into() };
        let timeout = Some(Duration::from_secs(30));
        ElementChange { lease: LeaseId(1), place, address: CLIENT, timeout, is_new: true }
    }

    #[test]
    fn some_doors_are_added_at_a_turn_and_one_that_opens_at_once() {
        with_doors(MANY, |mut firewall| {
            assert!(begin(&mut firewall) && firewall.is_begun());
            assert_eq!((stand(&mut firewall), firewall.left.0.len()), (0, MANY));
            firewall.add_some().unwrap();
            assert_eq!((stand(&mut firewall), firewall.left.0.len()), (AT_A_TURN, MANY - AT_A_TURN));
            // The last one; one that is there already; one of no door's.
            firewall.add_doors_of(&[opening(&format!("d{MANY}")), opening("d1"), opening("none")]);
            assert_eq!((stand(&mut firewall), firewall.left.0.len()), (AT_A_TURN + 1, MANY - AT_A_TURN - 1));
            assert!(!firewall.left.0.contains(&(MANY - 1)));
            firewall.add_all();
            assert_eq!((stand(&mut firewall), firewall.is_begun()), (MANY, false));
            let whole = firewall.nft.as_mut().unwrap().own_table(&firewall.table).unwrap();
            assert!(whole.is_some_and(|found| found.is(&firewall.table)));
        });
    }

    #[test]
    fn few_doors_are_not_worth_it() {
        with_doors(MANY - 1, |mut firewall| {
            assert!(!begin(&mut firewall) && !firewall.is_begun());
            assert!(firewall.nft.as_mut().unwrap().own_table(&firewall.table).unwrap().is_none());
        });
    }

    #[test]
    fn where_somebody_has_taken_the_table_away_nothing_is_left_to_be_added() {
        with_doors(MANY, |mut firewall| {
            assert!(begin(&mut firewall));
            firewall.nft.as_mut().unwrap().remove_own_table("aldaba").unwrap();
            assert!(firewall.add_some().is_err() && !firewall.is_begun());
        });
    }
}
