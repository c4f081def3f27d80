//! The world's side of the effects: journal, processes and kernel sets, and how they fail.

use std::time::Duration;

use super::world::{Process, Seen, World, name};
use crate::door::Style;
use crate::effect::{Change, Effect, ElementChange, JobId, Part, Signal};
use crate::lease::{Held, LeaseId};
use crate::record::Entry;
use crate::runner::Outcome;

impl World {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Journal(changes) => self.change_journal(changes),
            Effect::Spawn { job, lease, part, style, .. } => self.spawn(job, lease, part, style),
            Effect::Signal { jobs, signal } => jobs.into_iter().for_each(|job| self.signal(job, signal)),
            Effect::Elements(changes) => changes.into_iter().for_each(|change| self.change_element(change)),
            Effect::Log(_) => {}
        }
    }

    fn change_element(&mut self, ElementChange { lease, place, address, timeout, .. }: ElementChange) {
        assert!(timeout != Some(Duration::ZERO), "a timeout of zero is for ever to the kernel");
        let of = (name(&place), address);
        if self.refused() || (timeout.is_some() && !self.has_set(&place)) {
            // What is given up at last is the kernel's.
            self.adrift.insert(of);
            self.looks |= timeout.is_some();
            self.runner.element_failed(self.now, lease, "refused");
            return;
        }
        self.adrift.remove(&of);
        if let Some(timeout) = timeout {
            let till = self.now.saturating_add(timeout);
            self.check_earned(&of, till);
            self.elements.insert(of, till);
        } else {
            self.elements.remove(&of);
        }
        self.runner.element_done(self.now, lease);
    }

    fn refused(&mut self) -> bool {
        let refused = self.refuse_elements > 0;
        self.refuse_elements = self.refuse_elements.saturating_sub(1);
        refused
    }

    /// Those of leases by element have a file of their own: either transaction may fail.
    fn change_journal(&mut self, changes: Vec<Change>) {
        let of_element = |change: &Change| match change {
            Change::Put(record) => matches!(record.held, Held::Element(_)),
            Change::Remove(id) => self.is_of_element(*id),
        };
        let (elements, commands): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(of_element);
        if self.blind.is_some() {
            return self.without_journal(&commands);
        }
        self.transaction(commands);
        self.transaction(elements);
    }

    /// Those by element have no record then, and one that is not there cannot be removed.
    fn without_journal(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| matches!(change, Change::Put(_))) {
            self.behind.insert(change.lease());
            self.runner.journal_failed(self.now, change.lease());
        }
    }

    fn is_of_element(&self, id: LeaseId) -> bool {
        self.journal.get(&id).is_some_and(|entry| matches!(entry.record.held, Held::Element(_)))
    }

    fn transaction(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let fails = self.fail_journal > 0;
        self.fail_journal = self.fail_journal.saturating_sub(1);
        for change in changes {
            let id = change.lease();
            if fails {
                self.behind.insert(id);
                self.runner.journal_failed(self.now, id);
                continue;
            }
            self.behind.remove(&id);
            match change {
                Change::Put(record) => {
                    let entry = Entry { boot: Some([self.boot; 16]), wall_deadline: 0, record };
                    self.journal.insert(id, entry);
                }
                Change::Remove(_) => {
                    self.check_removal(id);
                    self.journal.remove(&id);
                }
            }
        }
    }

    fn spawn(&mut self, job: JobId, id: LeaseId, part: Part, style: Style) {
        let lease = self.runner.lease(id).cloned();
        self.processes.insert(job, Process { lease: id, part, terminated: false, outlived: false });
        if part == Part::Stop {
            self.check_stop(id);
            return;
        }
        let owes_stop = lease.is_some_and(|lease| lease.owes_stop());
        let before = self.seen.get(&id).filter(|seen| seen.owes_stop && !seen.closed);
        let (opened_before, beneath) = (before.is_some(), before.map_or(0, |seen| seen.beneath));
        assert!(before.is_none_or(Seen::has_failed_to_close), "{id:?} is opened twice: {before:?}");
        let seen = Seen { owes_stop, opened_before, beneath, ..Seen::started(style, self.now) };
        let over = self.seen.insert(id, seen);
        assert!(over.is_none() || opened_before, "a start command ran twice for {id:?}");
    }

    /// A process that is told to end does, except one in three, which waits for the second signal.
    fn signal(&mut self, job: JobId, signal: Signal) {
        let Some(process) = self.processes.get_mut(&job) else {
            return;
        };
        assert_eq!(process.terminated, signal == Signal::Kill, "TERM comes first, KILL second");
        process.terminated = true;
        if signal == Signal::Kill || !job.0.is_multiple_of(3) {
            self.finish(job, Outcome::Signalled(if signal == Signal::Kill { 9 } else { 15 }));
        }
    }

    pub(super) fn finish_one(&mut self, job: u8, outcome: u8) {
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
        if process.outlived {
            return self.start_gone(job, process.lease);
        }
        let (now, lease) = (self.now, self.runner.lease(process.lease).cloned());
        if let Some(seen) = self.seen.get_mut(&process.lease) {
            match process.part {
                Part::Start if !outcome.ran() => {
                    seen.owes_stop = seen.opened_before;
                    seen.start_ended = true;
                }
                Part::Start => {
                    seen.start_ended = true;
                    seen.beneath = seen.beneath.saturating_add(u32::from(seen.opened_before));
                    seen.nothing_found = None;
                    seen.hurried |= seen.style == Style::Native && !outcome.is_success();
                    if seen.style == Style::Knockd {
                        let length = lease.as_ref().map_or(Duration::ZERO, |lease| lease.length);
                        seen.not_before = now.saturating_add(length);
                    }
                }
                Part::Stop => {
                    seen.stop_runs = false;
                    seen.stop_failed = outcome.ran() && !outcome.is_success();
                    let found_nothing =
                        matches!(outcome, Outcome::Exited(code) if ![126, 127].contains(&code));
                    let by_itself = found_nothing && !process.terminated;
                    seen.stop_ended(now, outcome, by_itself);
                }
            }
        }
        self.runner.command_finished(now, job, outcome);
    }

    /// One that has outlived its daemon has ended; nobody sees how.
    fn start_gone(&mut self, job: JobId, lease: LeaseId) {
        if let Some(seen) = self.seen.get_mut(&lease) {
            seen.start_ended = true;
        }
        self.runner.start_gone(self.now, job);
    }
}

impl Seen {
    /// A stop command has ended. Where another one has closed the door before, what fails is believed to find nothing when it
    /// has failed by itself seven times, the last of them a minute after that.
    fn stop_ended(&mut self, now: Duration, outcome: Outcome, by_itself: bool) {
        if outcome.is_success() && self.beneath > 0 {
            self.beneath = self.beneath.saturating_sub(1);
            self.nothing_found = Some((now, 0));
            return;
        }
        let mut is_believed = self.style == Style::Knockd && outcome.ran();
        if let Some((since, times)) = self.nothing_found.as_mut().filter(|_| by_itself) {
            *times = times.saturating_add(1);
            is_believed |= *times >= 7 && now >= since.saturating_add(Duration::from_secs(60));
        }
        self.closed |= outcome.is_success() || is_believed;
    }
}
