//! The policy in force as it is written down for a start that finds errors in the configuration (`crate::last_in_force`).

use std::io;
use std::time::Duration;

use aldaba_sys::clock;

use super::Monitor;
use crate::keeper::Keeper;
use crate::{last_in_force, own_table};

/// What it is called when that does not work.
const FAULT: &str = "in-force-file";

impl Monitor {
    /// Writes down what has come into force: not what is on trial, not what was read from there, and nothing without a door
    /// (a knockd.conf may be empty): nobody could start with it.
    pub(crate) fn write_down(&mut self) {
        let current = self.policy.current();
        let of_use = current.stands_in_for.is_none() && !current.policy.gate.doors.is_empty();
        if of_use && !(self.face.is_knockd() || self.trials.is_on()) {
            self.unwritten = true;
            self.write_down_again();
        }
    }

    /// The same when that is still to be done.
    pub(super) fn write_down_again(&mut self) {
        let now = clock::boottime();
        if !self.unwritten {
            return;
        }
        if self.trials.is_on() {
            // What is in force now is not what it is about.
            return self.try_again(now);
        }
        if self.health.is_noted("state") {
            // There is no place for it, which is said, and tried again before this is.
            return self.health.clear(FAULT);
        }
        match self.write_into_folder() {
            Ok(()) => {
                self.unwritten = false;
                self.health.clear(FAULT);
            }
            Err(error) => self.not_written(now, &error),
        }
    }

    fn write_into_folder(&self) -> io::Result<()> {
        // A policy without leases starts also beside the daemon that has the folder, whose policy stays.
        if self.keeper.is_none() && Keeper::has_journal(&self.state_folder) {
            return Err(io::Error::other(
                "another daemon has this folder; give this one its own with --state-dir",
            ));
        }
        let (source, policy) = (self.policy.source(), &self.policy.current().policy);
        own_table::note(&self.state_folder, self.firewall.mark())?;
        last_in_force::write(&self.state_folder, source.path(), policy)
    }

    /// Said once, however often it is tried.
    fn not_written(&mut self, now: Duration, error: &io::Error) {
        let error = format!("{}: {error}", self.state_folder.join(last_in_force::NAME).display());
        if self.health.is_noted(FAULT) {
            self.try_again(now);
        } else {
            self.degraded(now, FAULT, &error);
        }
        self.health.note(now, FAULT, &error);
    }
}
