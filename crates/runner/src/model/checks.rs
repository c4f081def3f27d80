//! What must hold: after every effect, whenever nothing is left to do, after a shutdown, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::world::{Process, name, place};
use crate::effect::Part;
use crate::lease::{Held, LeaseId, State};
use crate::places::HOLD;

impl World {
    /// Holds between any two effects: dying here leaves no door open for ever.
    pub(super) fn check_always(&self) {
        for (id, seen) in &self.seen {
            let open = seen.owes_stop && !seen.closed;
            assert!(
                !open || self.journal.contains_key(id),
                "{id:?} is open and has no durable entry: {seen:?}"
            );
        }
        for ((set, address), expires) in &self.elements {
            let longest = self.now.saturating_add(Duration::from_secs(120));
            assert!(*expires <= longest, "{address} stays in {set} till {expires:?}");
        }
    }

    /// A record is about to go: nothing is left to close, or the kernel does.
    pub(super) fn check_removal(&self, id: LeaseId) {
        let seen = self.seen.get(&id);
        assert!(
            seen.is_none_or(|seen| seen.closed || !seen.owes_stop),
            "{id:?} is open, and its record goes: {seen:?}"
        );
        let Some(record) = self.journal.get(&id).map(|entry| &entry.record) else { return };
        let Some(place) = place(&record.held) else { return };
        let of = (name(place), record.address);
        let is_open = self.elements.contains_key(&of);
        assert!(
            !is_open || self.adrift.contains(&of) || self.is_held(&of),
            "{of:?} is open, and its record goes"
        );
    }

    /// A stop command is about to run.
    pub(super) fn check_stop(&mut self, id: LeaseId) {
        let now = self.now;
        let reopening = self.runner.lease(id).is_some_and(|lease| lease.reopen.is_some());
        assert!(self.seen.contains_key(&id), "{id:?} is stopped and was never started");
        let Some(seen) = self.seen.get_mut(&id) else { return };
        assert!(seen.start_ended, "{id:?} is stopped while its start command runs");
        assert!(seen.owes_stop, "{id:?} has nothing to stop");
        assert!(!seen.closed, "{id:?} is stopped a second time");
        assert!(!seen.stop_runs, "{id:?} has two stop commands at once");
        assert!(
            seen.hurried || reopening || now >= seen.not_before,
            "{id:?} is stopped at {now:?}, before its end: {seen:?}"
        );
        seen.stop_runs = true;
    }

    /// Holds whenever every effect has been performed.
    pub(super) fn check_at_rest(&self) {
        let limits = super::catalogue(0).limits;
        assert!(self.runner.waiting() <= limits.waiting, "too many wait");
        assert_eq!(self.runner.running(), self.processes.len(), "every command is known");
        if self.runner.running() == 0 {
            assert_eq!(self.runner.stops_waiting(), 0, "a stop command waits for nothing");
            assert_eq!(self.runner.waiting(), 0, "a start command waits for nothing");
        }
        self.check_processes();
        self.check_leases();
        self.check_owed();
        for of in self.elements.keys() {
            assert!(self.adrift.contains(of) || self.is_held(of), "{of:?} is open, and over");
        }
    }

    /// What is open has a lease, so that somebody closes it; without the journal the leases of before are still to come.
    fn check_owed(&self) {
        for (id, seen) in &self.seen {
            let is_known = self.blind.is_some() || self.runner.lease(*id).is_some();
            assert!(
                is_known || seen.closed || !seen.owes_stop,
                "{id:?} is open, and nobody has it: {seen:?}"
            );
        }
    }

    fn check_processes(&self) {
        let limits = super::catalogue(0).limits;
        // Those of an earlier daemon may come on top, where the journal is had late.
        let own = |process: &&Process| process.part == Part::Start && !process.outlived;
        let starts = self.processes.values().filter(own);
        assert!(starts.count() <= limits.running, "too many start commands run");
        let of_doors = self.stops_of_doors();
        for (door, stops) in &of_doors {
            assert!(*stops <= limits.running_per_door, "too many stop commands of {door} run");
        }
        let further = of_doors.values().map(|stops| stops.saturating_sub(1));
        assert!(further.sum::<usize>() <= limits.stops, "too many stop commands run");
    }

    fn stops_of_doors(&self) -> BTreeMap<Arc<str>, usize> {
        let mut of_doors: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let stops = self.processes.values().filter(|process| process.part == Part::Stop);
        for lease in stops.filter_map(|process| self.runner.lease(process.lease)) {
            let count = of_doors.entry(Arc::clone(lease.door())).or_default();
            *count = count.saturating_add(1);
        }
        of_doors
    }

    /// Holds at every moment: a door of which no stop command runs does not wait for those of other doors.
    pub(super) fn check_turns(&mut self) {
        let running = self.stops_of_doors();
        let waiting = self.runner.leases().filter(|lease| matches!(lease.state(), State::Due { .. }));
        let doors: BTreeSet<Arc<str>> = waiting.map(|lease| Arc::clone(lease.door())).collect();
        if self.runner.keeps() {
            return;
        }
        // The machine may sleep while they wait.
        let now = self.now.saturating_sub(self.slept);
        self.unserved.retain(|door, _| doors.contains(door) && !running.contains_key(door));
        for door in doors.iter().filter(|door| !running.contains_key(*door)) {
            let since = *self.unserved.entry(Arc::clone(door)).or_insert(now);
            assert!(
                now.saturating_sub(since) <= self.longest_wait(),
                "{door} waits since {since:?} for other doors: {:?}",
                self.processes
            );
        }
    }

    /// Places come free for one share of a door in each span, and all doors have two lines at most.
    fn longest_wait(&self) -> Duration {
        let doors: BTreeSet<&Arc<str>> = self.runner.leases().map(crate::Lease::door).collect();
        let turns = doors.len().saturating_mul(2).div_ceil(super::catalogue(0).limits.running_per_door);
        HOLD.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
    }

    fn check_leases(&self) {
        let (mut renewable, mut elements) = (BTreeSet::new(), BTreeSet::new());
        for lease in self.runner.leases() {
            let element = lease.held.element(lease.address);
            assert!(element.is_none_or(|element| elements.insert(element)), "two leases hold one element");
            let pair = (lease.door().clone(), lease.address());
            assert!(!lease.renewable || renewable.insert(pair), "two leases for one door and address");
            if lease.state() == State::Open {
                self.check_open(lease);
            }
            let listed = self.journal.get(&lease.id());
            if lease.owes_stop() && !self.behind.contains(&lease.id()) {
                let listed = listed.map(|entry| entry.record.deadline);
                assert!(listed.is_some(), "{lease:?} is not in the journal");
                let open = lease.state() == State::Open;
                assert!(!open || listed == Some(lease.deadline()), "{lease:?}: journal has {listed:?}");
            }
        }
    }

    /// No device holds anything open for longer than it may.
    pub(super) fn check_shortened(&self, seconds: u8) {
        let latest = self.now.saturating_add(Duration::from_secs(u64::from(seconds.max(1))));
        for lease in self.runner.leases().filter(|lease| lease.owner().is_some()) {
            if lease.state() != State::Open {
                continue;
            }
            assert!(lease.deadline() <= latest, "{lease:?} lasts beyond {latest:?}");
            // One that is lost is set anew, with what it has left, as soon as the kernel takes it.
            if let Some(place) = place(lease.held()).filter(|_| !lease.is_lost()) {
                let expires = self.elements.get(&(name(place), lease.address()));
                assert!(
                    expires.is_none_or(|expires| *expires <= latest.saturating_add(self.slept)),
                    "{lease:?} stays in the kernel till {expires:?}"
                );
            }
        }
    }

    fn check_open(&self, lease: &crate::Lease) {
        let timeout = self.runner.poll_timeout();
        assert!(timeout.is_some_and(|at| at <= lease.deadline()), "nobody wakes for {lease:?}");
        if lease.deadline() <= self.now {
            // A knock came when it could not be closed, and the kernel has refused that, too: it is closed next.
            assert!(place(lease.held()).is_some(), "{lease:?} is overdue at {:?}", self.now);
            return;
        }
        if let Some(place) = place(lease.held()).filter(|place| !lease.is_lost() && self.has_set(place)) {
            let expires = self.elements.get(&(name(place), lease.address()));
            assert!(expires.is_some_and(|expires| *expires > self.now), "{lease:?} is not in the kernel");
        }
    }

    /// The kernel is asked for an element: only a knock may make it stay for longer than the knocks before it.
    pub(super) fn check_earned(&mut self, of: &(String, IpAddr), till: Duration) {
        let earned = self.earned.get(of).copied();
        if self.knocking {
            self.earned.insert(of.clone(), earned.map_or(till, |earned| earned.max(till)));
        } else {
            assert!(
                earned.is_some_and(|earned| till <= earned),
                "{of:?} stays till {till:?}, for {earned:?}"
            );
        }
    }

    /// After a shutdown: kept leases are all in the journal; closed ones are gone, if their commands ended in time.
    pub(super) fn check_shutdown(&self, keep: bool, patient: bool) {
        self.check_always();
        if keep || !patient {
            return;
        }
        for lease in self.runner.leases() {
            let by_command = matches!(lease.held(), Held::Command { .. });
            let stuck = matches!(lease.state(), State::CannotClose { .. });
            assert!(!by_command || stuck, "{lease:?} is left open by a patient shutdown");
        }
    }

    /// When all time has passed nothing is open.
    pub(super) fn check_end(&self) {
        assert_eq!(self.runner.leases().count(), 0, "leases are left: {:?}", self.runner);
        assert!(self.elements.is_empty(), "elements are left: {:?}", self.elements);
        assert!(self.journal.is_empty(), "records are left: {:?}", self.journal);
        for (id, seen) in &self.seen {
            assert!(seen.closed || !seen.owes_stop, "{id:?} was never closed: {seen:?}");
        }
    }
}
