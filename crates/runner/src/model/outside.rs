//! The world's side of the effects: journal, processes and kernel sets, and how they fail.

use std::time::Duration;

use super::world::{Process, Seen, World, name};
use crate::door::Style;
use crate::effect::{Effect, JobId, Part, Signal};
use crate::lease::LeaseId;
use crate::record::{Entry, Record};
use crate::runner::Outcome;

impl World {
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::JournalPut(record) => self.put(record),
            Effect::JournalRemove(id) => self.take_away(id),
            Effect::Spawn { job, lease, part, style, .. } => self.spawn(job, lease, part, style),
            Effect::Signal { job, signal } => self.signal(job, signal),
            Effect::SetElement { lease, place, address, timeout } => {
                assert!(!timeout.is_zero(), "a timeout of zero is for ever to the kernel");
                if self.refused() || !self.has_set(&place) {
                    self.runner.element_failed(self.now, lease, "refused");
                    self.looks = true;
                } else {
                    let (of, till) = ((name(&place), address), self.now.saturating_add(timeout));
                    self.check_earned(&of, till);
                    self.elements.insert(of, till);
                    self.runner.element_done(self.now, lease);
                }
            }
            Effect::DeleteElement { lease, place, address } => {
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
        let entry = Entry { boot: Some([self.boot; 16]), wall_deadline: 0, record };
        self.journal.insert(entry.record.id, entry);
    }

    fn take_away(&mut self, id: LeaseId) {
        if !self.journal_fails(id) {
            self.journal.remove(&id);
        }
    }

    fn spawn(&mut self, job: JobId, id: LeaseId, part: Part, style: Style) {
        let lease = self.runner.lease(id).cloned();
        self.processes.insert(job, Process { lease: id, part, terminated: false });
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
}
