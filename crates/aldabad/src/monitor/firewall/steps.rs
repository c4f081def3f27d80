//! aldaba's own table of many doors comes to be in steps, so that knocks need not wait for all of it: at the start every port is shut,
//! then some doors get their sets and chains at a time, and one that is to open at once. To what has been added ports lead
//! when it is needed, and else when all are there (`aldaba_sys::nft`).

use std::collections::BTreeSet;
use std::time::Duration;

use aldaba_runner::ElementChange;
use aldaba_runner::lease::Place;
use aldaba_sys::clock;
use aldaba_sys::nft::{Nft, NftError, TableSpec};

use super::Firewall;
use crate::monitor::Monitor;

/// With fewer doors than this the whole table takes no more than a few milliseconds.
const MANY: usize = 128;
/// Doors added at a turn: what comes meanwhile waits for no longer than one opening takes.
const AT_A_TURN: usize = 8;
/// How long none are added after the worker has begun to serve: whoever has knocked meanwhile goes first.
const KNOCKS_FIRST: Duration = Duration::from_millis(50);

/// The doors that are only shut so far, by their numbers in the table.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Those that are still to be added.
    doors: BTreeSet<usize>,
    /// Those that have been, and to which no port leads yet.
    waiting: BTreeSet<usize>,
    /// When the next ones are.
    due: Duration,
}

impl Left {
    /// Begins the table, which is not there yet, in this way if that is worth it; whether it has.
    pub(super) fn begin(&mut self, nft: &mut Nft, table: &TableSpec) -> Result<bool, NftError> {
        if table.doors.len() < MANY {
            return Ok(false);
        }
        self.doors = nft.begin_own_table(table)?;
        Ok(true)
    }

    fn has(&self, door: usize) -> bool {
        self.doors.contains(&door) || self.waiting.contains(&door)
    }

    fn is_empty(&self) -> bool {
        self.doors.is_empty() && self.waiting.is_empty()
    }

    /// Adds these doors, as far as they are left. Where they are to open, or are the last ones, ports lead to all doors there are by then.
    /// What fails changes nothing.
    fn add(
        &mut self,
        nft: &mut Nft,
        table: &TableSpec,
        wanted: impl Iterator<Item = usize>,
        opens: bool,
    ) -> Result<(), NftError> {
        let mut left = self.doors.clone();
        let doors: Vec<usize> = wanted.filter(|door| left.remove(door)).collect();
        let opens = opens || left.is_empty();
        nft.add_doors(table, &doors, opens.then_some(&left))?;
        self.doors = left;
        self.waiting.extend(&doors);
        if opens {
            self.waiting.clear();
        }
        Ok(())
    }
}

impl Firewall {
    /// Whether doors are left that are only shut so far.
    pub(in crate::monitor) fn is_begun(&self) -> bool {
        !self.left.is_empty()
    }

    /// Adds some doors of those that are left.
    fn add_some(&mut self) -> Result<(), NftError> {
        let some: Vec<usize> = self.left.doors.iter().copied().take(AT_A_TURN).collect();
        let added = self.add_doors(some.into_iter(), false);
        if added.is_err() {
            // Somebody has changed the table. Whoever compares it makes it whole.
            self.left = Left::default();
        }
        added
    }

    /// Adds all that are left: the table is about to be compared, or to become another one.
    pub(super) fn add_all(&mut self) {
        if self.is_begun() {
            let all: Vec<usize> = self.left.doors.iter().copied().collect();
            // What this does not reach is found wanting and made then.
            let _ = self.add_doors(all.into_iter(), true);
        }
    }

    /// Adds the doors that these changes concern. What fails shows with the change itself, and the next turn's share finds it out.
    pub(super) fn add_doors_of(&mut self, changes: &[ElementChange]) {
        if !self.is_begun() {
            return;
        }
        let number = |change: &ElementChange| match &change.place {
            Place::Own { door } => self.table.number_of(door).filter(|door| self.left.has(*door)),
            Place::Named { .. } => None,
        };
        let wanted: Vec<usize> = changes.iter().filter_map(number).collect();
        if !wanted.is_empty() {
            let _ = self.add_doors(wanted.into_iter(), true);
        }
    }

    fn add_doors(&mut self, doors: impl Iterator<Item = usize>, opens: bool) -> Result<(), NftError> {
        self.open()?;
        let Some(nft) = &mut self.nft else { return Ok(()) };
        self.left.add(nft, &self.table, doors, opens)
    }
}

impl Monitor {
    /// The worker serves from now on: before that nobody has knocked.
    pub(in crate::monitor) const fn let_knocks_go_first(&mut self, now: Duration) {
        self.firewall.left.due = now.saturating_add(KNOCKS_FIRST);
    }

    /// When the next doors are to be added. A worker that is on its way goes first.
    pub(in crate::monitor) fn doors_timeout(&self) -> Option<Duration> {
        (self.firewall.is_begun() && self.workers.is_serving()).then_some(self.firewall.left.due)
    }

    /// A turn's share of the doors that are left, and as long as that took nothing: on one processor the worker has its turn, and commands.
    /// Behind the last one the table is looked at as after every other change of it.
    pub(in crate::monitor) fn add_doors(&mut self, now: Duration) {
        if self.doors_timeout().is_none_or(|due| now < due) {
            return;
        }
        let begun = clock::boottime();
        if self.firewall.add_some().is_err() {
            self.prepare_firewall(now);
        } else if !self.firewall.is_begun() {
            self.look_at_leases(now);
        }
        let ended = clock::boottime();
        self.firewall.left.due = ended.saturating_add(ended.saturating_sub(begun));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::Path;

    use aldaba_runner::LeaseId;
    use aldaba_sys::namespace;
    use aldaba_sys::nft::{DoorSpec, Fate, Probe, Standing};

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

    /// How many of the firewall's doors are to be added, and to how many of the others no port leads.
    fn left(firewall: &Firewall) -> (usize, usize) {
        (firewall.left.doors.len(), firewall.left.waiting.len())
    }

    /// Of these doors' ports those that let a client in who is in the door's set.
    fn let_in<const N: usize>(firewall: &mut Firewall, ports: [u16; N]) -> Vec<u16> {
        let ruleset = firewall.nft.as_mut().unwrap().ruleset().unwrap();
        let is_let_in = |port: &u16| {
            let set = &firewall.table.set_of(&format!("d{port}"), CLIENT).unwrap();
            let probe = Probe { ipv6: false, udp: false, port: *port, place: None };
            ruleset.judge_of(probe, Standing { set, inside: true }).fate == Fate::Accepted
        };
        ports.into_iter().filter(is_let_in).collect()
    }

    #[test]
    fn some_doors_are_added_at_a_turn_and_one_that_opens_at_once() {
        with_doors(MANY, |mut firewall| {
            assert!(begin(&mut firewall) && firewall.is_begun());
            assert_eq!((stand(&mut firewall), left(&firewall)), (0, (MANY, 0)));
            firewall.add_some().unwrap();
            assert_eq!((stand(&mut firewall), left(&firewall)), (8, (120, 8)));
            assert!(let_in(&mut firewall, [1, 9, 128]).is_empty(), "they wait");
            // The last one, and with it those that wait; one of no door's.
            firewall.add_doors_of(&[opening("d128"), opening("none")]);
            assert_eq!((stand(&mut firewall), left(&firewall)), (9, (119, 0)));
            assert_eq!(let_in(&mut firewall, [1, 9, 127, 128]), [1, 128]);
            // One that is there already; and then one that is there and waits.
            firewall.add_some().unwrap();
            firewall.add_doors_of(&[opening("d1")]);
            assert_eq!((stand(&mut firewall), left(&firewall)), (17, (111, 8)));
            firewall.add_doors_of(&[opening("d9")]);
            assert_eq!((stand(&mut firewall), left(&firewall)), (17, (111, 0)));
            assert_eq!(let_in(&mut firewall, [1, 9, 17, 128]), [1, 9, 128]);
            firewall.add_all();
            assert_eq!((stand(&mut firewall), firewall.is_begun()), (128, false));
            let whole = firewall.nft.as_mut().unwrap().own_table(&firewall.table).unwrap();
            assert!(whole.is_some_and(|found| found.is(&firewall.table)));
        });
    }

    #[test]
    fn with_the_last_step_ports_lead_to_all_doors() {
        with_doors(MANY, |mut firewall| {
            assert!(begin(&mut firewall));
            for _ in 1..MANY / AT_A_TURN {
                firewall.add_some().unwrap();
            }
            assert!(firewall.is_begun() && let_in(&mut firewall, [1, 128]).is_empty());
            firewall.add_some().unwrap();
            assert!(!firewall.is_begun());
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
            firewall.add_some().unwrap();
            firewall.nft.as_mut().unwrap().remove_own_table("aldaba").unwrap();
            firewall.add_doors_of(&[opening("d9")]);
            assert_eq!(left(&firewall), (MANY - AT_A_TURN, AT_A_TURN), "the next turn is to see it");
            assert!(firewall.add_some().is_err() && !firewall.is_begun());
        });
    }
}
