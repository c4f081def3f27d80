//! Journal, processes, kernel sets and time around a runner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Operation, catalogue};
use crate::door::Style;
use crate::effect::{Effect, JobId, Part, Signal};
use crate::lease::{Held, LeaseId, Place, State};
use crate::record::{Entry, Moment, Record, recover};
use crate::runner::{DoorId, OnShutdown, Outcome, Runner};

/// What the world has seen of a command lease.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) style: Style,
    /// The end its stop command may not come before.
    pub(super) not_before: Duration,
    pub(super) start_ended: bool,
    pub(super) owes_stop: bool,
    pub(super) stop_runs: bool,
    pub(super) closed: bool,
    /// Somebody asked for an early end.
    pub(super) hurried: bool,
}

/// A process of the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) lease: LeaseId,
    pub(super) part: Part,
    terminated: bool,
}

/// The runner and everything around it.
#[derive(Debug)]
pub struct World {
    pub(super) runner: Runner,
    pub(super) now: Duration,
    pub(super) journal: BTreeMap<LeaseId, Entry>,
    pub(super) processes: BTreeMap<JobId, Process>,
    pub(super) elements: BTreeMap<(String, IpAddr), Duration>,
    pub(super) seen: BTreeMap<LeaseId, Seen>,
    /// Records whose last write or removal failed: the journal may differ from the table there.
    pub(super) behind: BTreeSet<LeaseId>,
    pub(super) ending: bool,
    boot: u8,
    variant: u8,
    refuse_elements: u8,
    fail_journal: u8,
    /// Effects performed before everything dies.
    dies_after: Option<(u8, bool)>,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self {
            runner: Runner::new(catalogue(0)),
            now: Duration::from_secs(100),
            journal: BTreeMap::new(),
            processes: BTreeMap::new(),
            elements: BTreeMap::new(),
            seen: BTreeMap::new(),
            behind: BTreeSet::new(),
            ending: false,
            boot: 0,
            variant: 0,
            refuse_elements: 0,
            fail_journal: 0,
            dies_after: None,
        }
    }

    /// Lets one thing happen, with all that follows from it.
    pub fn apply(&mut self, operation: Operation) {
        let now = self.now;
        match operation {
            Operation::Grant { door, source, wanted } => {
                let doors = u32::try_from(catalogue(self.variant).doors.len()).unwrap_or(1);
                let door = DoorId(u32::from(door).checked_rem(doors).unwrap_or(0));
                let wanted = (wanted > 0).then(|| Duration::from_secs(u64::from(wanted)));
                self.runner.grant(now, door, address(source), wanted);
            }
            Operation::Close { door, source } => {
                self.hurry(address(source));
                self.runner
                    .close(now, DoorId(u32::from(door % 8)), address(source));
            }
            Operation::CloseSource(source) => {
                self.hurry(address(source));
                self.runner.close_source(now, address(source));
            }
            Operation::Pass(quarters) => {
                self.pass(Duration::from_millis(250).saturating_mul(u32::from(quarters)));
            }
            Operation::PassToTimeout => self.pass_to_timeout(),
            Operation::Finish { job, outcome } => self.finish_one(job, outcome),
            Operation::RefuseElements(times) => self.refuse_elements = times,
            Operation::FailJournal(times) => self.fail_journal = times,
            Operation::Reload(variant) => {
                self.variant = variant;
                self.runner.reload(now, catalogue(variant));
            }
            Operation::Crash { after, reboot } => self.dies_after = Some((after, reboot)),
            Operation::Restart { keep, patient } => self.restart(keep, patient),
            Operation::Reassert => {
                self.elements.clear();
                self.runner.reassert(now);
            }
        }
        self.settle();
        if self.dies_after.is_none() {
            self.check_at_rest();
        }
    }

    /// Performs effects one by one, checking after each, till there are none or everything dies.
    fn settle(&mut self) {
        loop {
            if let Some((left, reboot)) = self.dies_after {
                if left == 0 {
                    self.dies_after = None;
                    self.crash(reboot);
                    continue;
                }
                self.dies_after = Some((left.saturating_sub(1), reboot));
            }
            let Some(effect) = self.runner.poll_effect() else {
                return;
            };
            self.perform(effect);
            self.check_always();
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::JournalPut(record) => self.put(record),
            Effect::JournalRemove(id) => self.take_away(id),
            Effect::Spawn {
                job,
                lease,
                part,
                style,
                ..
            } => self.spawn(job, lease, part, style),
            Effect::Signal { job, signal } => self.signal(job, signal),
            Effect::SetElement {
                lease,
                place,
                address,
                timeout,
            } => {
                assert!(!timeout.is_zero(), "a timeout of zero is for ever to the kernel");
                if self.refused() {
                    self.runner.element_failed(self.now, lease, "refused");
                } else {
                    self.elements
                        .insert((name(&place), address), self.now.saturating_add(timeout));
                    self.runner.element_done(self.now, lease);
                }
            }
            Effect::DeleteElement {
                lease,
                place,
                address,
            } => {
                if self.refused() {
                    self.runner.element_failed(self.now, lease, "refused");
                } else {
                    self.elements.remove(&(name(&place), address));
                    self.runner.element_done(self.now, lease);
                }
            }
            Effect::Log(_) => {}
        }
    }

    fn refused(&mut self) -> bool {
        let refused = self.refuse_elements > 0;
        self.refuse_elements = self.refuse_elements.saturating_sub(1);
        refused
    }

    fn journal_fails(&mut self, id: LeaseId) -> bool {
        let fails = self.fail_journal > 0;
        self.fail_journal = self.fail_journal.saturating_sub(1);
        if fails {
            self.behind.insert(id);
            self.runner.journal_failed(self.now, id);
        } else {
            self.behind.remove(&id);
        }
        fails
    }

    fn put(&mut self, record: Record) {
        if self.journal_fails(record.id) {
            return;
        }
        let entry = Entry {
            boot: Some([self.boot; 16]),
            wall_deadline: 0,
            record,
        };
        self.journal.insert(entry.record.id, entry);
    }

    fn take_away(&mut self, id: LeaseId) {
        if !self.journal_fails(id) {
            self.journal.remove(&id);
        }
    }

    fn spawn(&mut self, job: JobId, id: LeaseId, part: Part, style: Style) {
        let lease = self.runner.lease(id).cloned();
        self.processes.insert(
            job,
            Process {
                lease: id,
                part,
                terminated: false,
            },
        );
        if part == Part::Stop {
            self.check_stop(id);
            return;
        }
        let owes_stop = lease.is_some_and(|lease| lease.owes_stop());
        let seen = Seen {
            style,
            not_before: self.now,
            start_ended: false,
            owes_stop,
            stop_runs: false,
            closed: false,
            hurried: false,
        };
        let before = self.seen.insert(id, seen);
        assert!(before.is_none(), "a start command ran twice for {id:?}");
    }

    /// A process that is told to end does, except one in three, which waits for the second signal.
    fn signal(&mut self, job: JobId, signal: Signal) {
        let Some(process) = self.processes.get_mut(&job) else {
            return;
        };
        assert_eq!(
            process.terminated,
            signal == Signal::Kill,
            "TERM comes first, KILL second"
        );
        process.terminated = true;
        if signal == Signal::Kill || !job.0.is_multiple_of(3) {
            self.finish(
                job,
                Outcome::Signalled(if signal == Signal::Kill { 9 } else { 15 }),
            );
        }
    }

    fn finish_one(&mut self, job: u8, outcome: u8) {
        let at = usize::from(job).checked_rem(self.processes.len()).unwrap_or(0);
        let Some(job) = self.processes.keys().nth(at).copied() else {
            return;
        };
        let outcome = match outcome {
            254 => Outcome::Signalled(9),
            255 => Outcome::NotStarted(11),
            0..=127 => Outcome::Exited(0),
            status => Outcome::Exited(i32::from(status)),
        };
        self.finish(job, outcome);
    }

    pub(super) fn finish(&mut self, job: JobId, outcome: Outcome) {
        let Some(process) = self.processes.remove(&job) else {
            return;
        };
        let (now, lease) = (self.now, self.runner.lease(process.lease).cloned());
        if let Some(seen) = self.seen.get_mut(&process.lease) {
            match process.part {
                Part::Start if !outcome.ran() => seen.owes_stop = false,
                Part::Start => {
                    seen.start_ended = true;
                    seen.hurried |= seen.style == Style::Native && !outcome.is_success();
                    if seen.style == Style::Knockd {
                        let length = lease.as_ref().map_or(Duration::ZERO, |lease| lease.length);
                        seen.not_before = now.saturating_add(length);
                    }
                }
                Part::Stop => {
                    seen.stop_runs = false;
                    let content = seen.style == Style::Knockd || lease.as_ref().is_some_and(|l| l.lenient);
                    let reopened = lease.as_ref().is_some_and(|lease| lease.reopen.is_some());
                    seen.closed |= outcome.is_success() || (outcome.ran() && content) || reopened;
                }
            }
        }
        self.runner.command_finished(now, job, outcome);
    }

    /// Clients' close knocks and reopening make leases end early; which lease it is does not matter here.
    fn hurry(&mut self, source: IpAddr) {
        let of_source = |entry: &&Entry| entry.record.address == source;
        let ids: Vec<LeaseId> = self
            .journal
            .values()
            .filter(of_source)
            .map(|entry| entry.record.id)
            .collect();
        for id in ids {
            if let Some(seen) = self.seen.get_mut(&id) {
                seen.hurried = true;
            }
        }
    }

    pub(super) fn hurry_all(&mut self) {
        for seen in self.seen.values_mut() {
            seen.hurried = true;
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let then = self.now.saturating_add(time);
        // The monitor wakes at every timeout on the way.
        for _ in 0..1000 {
            let Some(at) = self.runner.poll_timeout().filter(|at| *at <= then) else {
                break;
            };
            self.now = self.now.max(at);
            self.runner.handle_timeout(self.now);
            self.settle();
            if self.runner.is_drained(self.now) {
                break;
            }
            let Some(next) = self.runner.poll_timeout() else {
                break;
            };
            assert!(
                next > self.now || self.dies_after.is_some(),
                "the timeout stands still"
            );
        }
        self.now = self.now.max(then);
        self.elements.retain(|_, expires| *expires > then);
    }

    fn pass_to_timeout(&mut self) {
        if let Some(at) = self.runner.poll_timeout() {
            self.pass(at.saturating_sub(self.now));
        }
    }

    fn crash(&mut self, reboot: bool) {
        self.processes.clear();
        for seen in self.seen.values_mut() {
            // A stop command may have done its work and not been recorded: it runs again.
            seen.stop_runs = false;
            seen.start_ended = true;
            seen.hurried = true;
        }
        if reboot {
            self.boot = self.boot.wrapping_add(1);
            self.now = Duration::from_secs(10);
            self.elements.clear();
        }
        self.start_again();
    }

    fn start_again(&mut self) {
        // A new life may use the numbers of leases that are over.
        let journal = &self.journal;
        self.seen.retain(|id, seen| journal.contains_key(id) || (seen.owes_stop && !seen.closed));
        for id in self.journal.keys() {
            // Closed or never started, but its record is still there: its stop command runs (once more).
            if let Some(seen) = self.seen.get_mut(id) {
                seen.closed = false;
                seen.owes_stop = true;
            }
        }
        self.behind.clear();
        let moment = Moment {
            now: self.now,
            boot: Some([self.boot; 16]),
            wall: Duration::ZERO,
        };
        let recovered = recover(self.journal.values().cloned().collect(), &moment);
        self.runner = Runner::new(catalogue(self.variant));
        self.runner.recover(self.now, recovered);
    }

    fn restart(&mut self, keep: bool, patient: bool) {
        if self.dies_after.is_some() {
            return;
        }
        let grace = Duration::from_secs(5);
        let how = if keep {
            OnShutdown::Keep
        } else {
            OnShutdown::Close { grace }
        };
        if !keep {
            self.hurry_all();
        }
        self.runner.shutdown(self.now, how);
        self.settle();
        for _ in 0..1000 {
            if patient {
                self.finish_all();
            }
            if self.runner.is_drained(self.now) {
                break;
            }
            self.pass_to_timeout();
        }
        assert!(self.runner.is_drained(self.now), "a shutdown never ends");
        self.check_shutdown(keep, patient);
        self.crash(false);
    }

    fn finish_all(&mut self) {
        while let Some(job) = self.processes.keys().next().copied() {
            self.finish(job, Outcome::Exited(0));
            self.settle();
        }
    }

    /// Nothing fails any more, and all time passes: everything must be closed.
    pub fn let_everything_end(&mut self) {
        (self.refuse_elements, self.fail_journal, self.dies_after) = (0, 0, None);
        self.ending = true;
        self.settle();
        for _ in 0..2000 {
            self.finish_all();
            let stuck = |state| matches!(state, State::CannotClose { .. });
            let stuck = self
                .runner
                .leases()
                .find(|lease| stuck(lease.state()))
                .map(|lease| lease.id());
            if let Some(id) = stuck {
                self.hurry_all();
                self.runner.close_lease(self.now, id);
                self.settle();
            } else if self.runner.poll_timeout().is_none() {
                break;
            } else {
                self.pass_to_timeout();
            }
        }
        // An element that nobody remembers is the kernel's.
        self.pass(Duration::from_secs(200));
        self.check_end();
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn name(place: &Place) -> String {
    match place {
        Place::Own { door } => format!("own {door}"),
        Place::Named { table, set, .. } => format!("{table} {set}"),
    }
}

pub(super) fn place(held: &Held) -> Option<&Place> {
    match held {
        Held::Element(place) => Some(place),
        Held::Command { .. } => None,
    }
}

/// Three IPv4 clients and two IPv6 ones.
fn address(source: u8) -> IpAddr {
    match source {
        0..=2 => Ipv4Addr::new(192, 0, 2, source).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(source)).into(),
    }
}
