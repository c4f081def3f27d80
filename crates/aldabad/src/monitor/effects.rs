//! Does what the runner asks for, in its order (spec/leases.md, "Effects").

use std::time::Duration;

use aldaba_runner::{Effect, Held, Lease, LeaseId, Moment, Outcome, Part, Record};
use aldaba_sys::clock;

use super::commands::Ended;
use super::{Monitor, RETRY};
use crate::closer::{CloserHandle, LogTarget};
use crate::fault::{self, Point};
use crate::log::Level;
use crate::wording;

impl Monitor {
    /// Performs everything the runner asks for now.
    pub(super) fn perform(&mut self, now: Duration) {
        while let Some(effect) = self.runner.poll_effect() {
            self.perform_one(now, effect);
        }
    }

    fn perform_one(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::Log(event) => {
                self.history.note_event(now, &event);
                self.hands.note(&event, &self.runner);
                self.speech.event(now, &event);
                self.trials.hear(&event);
            }
            Effect::JournalPut(record) => self.put(now, &record),
            Effect::JournalRemove(lease) => {
                let Some(keeper) = &mut self.keeper else { return };
                match keeper.remove(lease) {
                    Ok(()) => self.health.clear("journal"),
                    Err(error) => {
                        self.health.note(now, "journal", &error.to_string());
                        self.runner.journal_failed(now, lease);
                    }
                }
            }
            Effect::Spawn { job, lease, part, style, command, time_limit, .. } => {
                let limit = time_limit.map(|limit| now.saturating_add(limit));
                match self.commands.start(job, part, style, &command, limit) {
                    Ok(pid) if part == Part::Start => self.note_start(lease, pid),
                    Ok(_) => {}
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or_default();
                        self.runner.command_finished(now, job, Outcome::NotStarted(errno));
                    }
                }
            }
            Effect::Signal { job, signal } => self.commands.signal(job, signal),
            Effect::SetElement { lease, place, address, timeout } => {
                let lost = self.runner.lease(lease).is_some_and(Lease::is_lost);
                match self.firewall.set(&place, address, timeout) {
                    Ok(()) => self.runner.element_done(now, lease),
                    Err(error) => {
                        self.runner.element_failed(now, lease, &error);
                        // Somebody may have taken the table away: it is needed more than ever. Where that is known, it has been
                        // looked at.
                        self.retry = Some(if lost { now.saturating_add(RETRY) } else { now });
                    }
                }
            }
            Effect::DeleteElement { lease, place, address } => match self.firewall.delete(&place, address) {
                Ok(()) => self.runner.element_done(now, lease),
                Err(error) => self.runner.element_failed(now, lease, &error),
            },
        }
    }

    /// Who comes after this monitor must know that the command runs.
    fn note_start(&mut self, lease: LeaseId, pid: u32) {
        if !self.runner.lease(lease).is_some_and(Lease::owes_stop) {
            return;
        }
        self.keeper.iter_mut().for_each(|keeper| keeper.note_start(lease, pid));
        self.closer.iter().for_each(|closer| closer.tell_start(lease, pid));
    }

    /// Makes a lease durable. Only one with a stop command needs that: the kernel ends the others by itself.
    fn put(&mut self, now: Duration, record: &Record) {
        let needs_closer = matches!(record.held, Held::Command { .. });
        let at = Moment { now, boot: clock::boot_id(), wall: clock::wall() };
        let put = match &mut self.keeper {
            Some(keeper) => keeper.put(record, &at).map_err(|error| error.to_string()),
            None if needs_closer => Err("there is no state folder".to_owned()),
            None => Ok(()),
        };
        match put {
            Ok(()) => {
                self.health.clear("journal");
                if needs_closer {
                    self.guard_leases();
                }
            }
            Err(error) => {
                self.health.note(now, "journal", &error);
                self.speech.tell(Level::Error, format!("journal-error error={}", wording::quoted(&error)));
                self.runner.journal_failed(now, record.id);
            }
        }
    }

    /// From the first lease with a stop command on, a closer stands by.
    pub(super) fn guard_leases(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        if self.closer.is_some() || self.stopping.is_some() {
            return;
        }
        let log = LogTarget {
            knockd: self.face.is_knockd(),
            syslog: self.speech.log().uses_syslog(),
            file: self.speech.log().file().map(ToOwned::to_owned),
        };
        let capabilities = self.rights.of_commands_at_most();
        match CloserHandle::start(self.workers.program(), keeper.folder(), &log, capabilities) {
            Ok(closer) => {
                self.health.clear("closer");
                self.closer = Some(closer);
            }
            Err(error) => {
                self.health.note(clock::boottime(), "closer", &error.to_string());
                let line = format!("degraded what=closer error={}", wording::quoted(&error.to_string()));
                self.speech.tell(Level::Error, line);
            }
        }
    }

    /// A command has ended.
    pub(super) fn command_ended(&mut self, now: Duration, ended: &Ended) {
        fault::pass(Point::ended(ended.part));
        if ended.part == Part::Start {
            self.keeper.iter_mut().for_each(|keeper| keeper.forget_start(ended.pid));
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
