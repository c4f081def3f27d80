//! Does what the runner asks for, in its order (spec/leases.md, "Effects").

use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::{
    Change, Effect, ElementChange, Held, JobId, Lease, LeaseId, Moment, Outcome, Part, Rendered,
};
use aldaba_sys::clock;

use super::commands::{Ended, Started};
use super::{Monitor, RETRY};
use crate::fault::{self, Point};
use crate::keeper::Unwritten;
use crate::log::Level;
use crate::wording;

impl Monitor {
    /// Performs everything the runner asks for now.
    pub(super) fn perform(&mut self, now: Duration) {
        while let Some(effect) = self.runner.poll_effect() {
            self.perform_one(now, effect);
        }
        self.speech.say_held();
        self.settle_older(now);
    }

    fn perform_one(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::Log(event) => {
                self.history.note_event(now, &event);
                self.hands.note(&event, &self.runner);
                self.speech.event(now, &event);
                self.trials.hear(&event);
            }
            Effect::Journal(changes) => self.change_journal(now, &changes),
            Effect::Spawn { job, lease, part, style, command, time_limit, .. } => {
                let limit = time_limit.map(|limit| now.saturating_add(limit));
                if let Err(error) = self.start_command(job, lease, part, style, &command, limit) {
                    let errno = error.raw_os_error().unwrap_or_default();
                    self.runner.command_finished(now, job, Outcome::NotStarted(errno));
                }
            }
            Effect::Signal { jobs, signal } => self.commands.signal(&jobs, signal),
            Effect::Elements(changes) => self.change_elements(now, &changes),
        }
    }

    fn change_elements(&mut self, now: Duration, changes: &[ElementChange]) {
        let results = self.firewall.change(changes);
        for (change, result) in changes.iter().zip(results) {
            let Err(error) = result else {
                self.runner.element_done(now, change.lease);
                continue;
            };
            let lost = self.runner.lease(change.lease).is_some_and(Lease::is_lost);
            self.runner.element_failed(now, change.lease, &error);
            if change.timeout.is_some() {
                // Somebody may have taken the table away: it is needed more than ever. Where that is known, it has been looked at.
                self.retry = Some(if lost { now.saturating_add(RETRY) } else { now });
            }
        }
    }

    /// Who comes after this monitor must know that the command runs: its process notes itself before it is the command.
    fn start_command(
        &mut self,
        job: JobId,
        lease: LeaseId,
        part: Part,
        style: Style,
        command: &Rendered,
        limit: Option<Duration>,
    ) -> std::io::Result<()> {
        self.limit_command(part, lease);
        let owes_stop = self.runner.lease(lease).is_some_and(Lease::owes_stop);
        let keeper = self.keeper.as_mut().filter(|_| part == Part::Stop || owes_stop);
        let Some(keeper) = keeper else {
            return self.commands.start(job, part, style, command, limit, None).map(drop);
        };
        let note = keeper.note(part, lease);
        match self.commands.start(job, part, style, command, limit, note.as_ref()) {
            Ok(Started { pid, began }) if part == Part::Start => {
                keeper.start_runs(lease, pid);
                self.standby.closer().iter().for_each(|closer| closer.tell_start(lease, pid, began));
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                keeper.forget_note(part, lease);
                Err(error)
            }
        }
    }

    /// Makes leases durable. Only those with a stop command need that: the kernel ends the others by itself.
    fn change_journal(&mut self, now: Duration, changes: &[Change]) {
        let at = Moment { now, boot: clock::boot_id(), wall: fault::wall() };
        let unwritten = match &mut self.keeper {
            Some(keeper) => keeper.change(changes, &at),
            None => return self.without_journal(now, changes),
        };
        if unwritten.is_empty() {
            self.health.clear("journal");
        }
        for Unwritten { leases, error } in unwritten {
            self.journal_failed(now, &leases, &error.to_string());
        }
        if changes.iter().any(needs_closer) {
            self.guard_leases();
        }
    }

    fn without_journal(&mut self, now: Duration, changes: &[Change]) {
        let refused: Vec<LeaseId> =
            changes.iter().filter(|change| needs_closer(change)).map(Change::lease).collect();
        if !refused.is_empty() {
            self.journal_failed(now, &refused, "there is no state folder");
        }
    }

    fn journal_failed(&mut self, now: Duration, leases: &[LeaseId], error: &str) {
        self.health.note_grave(now, "journal", error);
        self.speech.tell(Level::Error, format!("journal-error error={}", wording::quoted(error)));
        for lease in leases {
            self.runner.journal_failed(now, *lease);
        }
    }

    /// A command has ended.
    pub(super) fn command_ended(&mut self, now: Duration, ended: &Ended) {
        fault::pass(Point::ended(ended.part));
        if let Some(keeper) = &mut self.keeper {
            match ended.part {
                Part::Start => keeper.forget_start(ended.pid),
                Part::Stop => keeper.stops().forget_process(ended.pid),
            }
        }
        let failed = !ended.outcome.is_success();
        if failed && !ended.output.is_empty() {
            let part = wording::part_name(ended.part);
            let line =
                format!("command-output part={part} text={}", wording::quoted(ended.output.trim_end()));
            self.speech.tell(Level::Warning, line);
        }
        self.runner.command_finished(now, ended.job, ended.outcome);
    }
}

/// Whether somebody must stand by who runs a stop command.
const fn needs_closer(change: &Change) -> bool {
    matches!(change, Change::Put(record) if matches!(record.held, Held::Command { .. }))
}
