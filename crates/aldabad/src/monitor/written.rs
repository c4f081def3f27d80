//! The policy in force as it is written down for a start that finds errors in the configuration (`crate::last_in_force`).

use aldaba_sys::clock;

use super::Monitor;
use crate::last_in_force;

/// What it is called when that does not work.
const FAULT: &str = "in-force-file";

impl Monitor {
    /// Writes down what has come into force: not what is on trial, and not what was read from there.
    pub(crate) fn write_down(&mut self) {
        let current = self.policy.current();
        if self.face.is_knockd() || self.trials.is_on() || current.stands_in_for.is_some() {
            return;
        }
        // Nor where the state folder cannot be had, which is said until a reload finds it.
        if self.health.is_noted("state") {
            self.health.clear(FAULT);
            return;
        }
        let config = self.policy.source().path();
        match last_in_force::write(&self.state_folder, config, &current.policy) {
            Ok(()) => self.health.clear(FAULT),
            Err(error) => {
                let (now, path) = (clock::boottime(), self.state_folder.join(last_in_force::NAME));
                let error = format!("{}: {error}", path.display());
                // Said once, however often it is tried.
                if self.health.is_noted(FAULT) {
                    self.try_again(now);
                } else {
                    self.degraded(now, FAULT, &error);
                }
                self.health.note(now, FAULT, &error);
            }
        }
    }

    /// The same when it did not work the last time.
    pub(super) fn write_down_again(&mut self) {
        if self.health.is_noted(FAULT) {
            self.write_down();
        }
    }
}
