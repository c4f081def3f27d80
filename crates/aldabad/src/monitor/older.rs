//! What stop commands may that close what an earlier policy has opened: what that policy let them, until they have. A policy
//! that lets commands do less must keep no door open (spec/leases.md, "What commands may").

use std::time::Duration;

use aldaba_config::Capabilities;
use aldaba_runner::record::Entry;
use aldaba_runner::{Held, Lease, LeaseId, Part};

use super::Monitor;
use crate::log::Level;
use crate::rights::Rights;
use crate::wording::quoted;

/// Leases with a stop command that are older than what the policy in force lets commands do. Numbers of leases rise.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Older {
    newest: Option<LeaseId>,
    may: u64,
}

impl Older {
    /// All leases up to this one may need these for their stop command.
    fn add(&mut self, newest: LeaseId, may: Capabilities) {
        self.newest = self.newest.max(Some(newest));
        self.may |= may.0;
    }

    fn has(&self, lease: LeaseId) -> bool {
        Some(lease) <= self.newest
    }

    /// With what commands may in any case.
    const fn or(&self, now: Capabilities) -> Capabilities {
        Capabilities(self.may | now.0)
    }
}

impl Monitor {
    /// What commands may follows the policy in force.
    pub(super) fn limit_commands(&mut self) {
        let before = std::mem::replace(&mut self.may, self.policy.current().policy.command_capabilities());
        if before.0 & !self.may.0 != 0
            && let Some(newest) = self.runner.leases().filter(|lease| lease.owes_stop()).map(Lease::id).max()
        {
            self.older.add(newest, before);
        }
        self.note_what_commands_may();
    }

    /// Leases that an earlier run has left: their stop commands may what it has noted, or nobody knows.
    pub(super) fn owe_to(&mut self, entries: &[Entry], noted: Capabilities) {
        let by_command = entries.iter().filter(|entry| matches!(entry.record.held, Held::Command { .. }));
        if let Some(newest) = by_command.map(|entry| entry.record.id).max() {
            self.older.add(newest, noted);
        }
    }

    /// What this command may.
    pub(super) fn limit_command(&mut self, part: Part, lease: LeaseId) {
        let is_older = part == Part::Stop && self.older.has(lease);
        let may = if is_older { self.older.or(self.may) } else { self.may };
        self.commands.set_capabilities(Rights::limit(may));
    }

    /// Once the last of them is closed, the daemon gives up what it had for them alone.
    pub(super) fn settle_older(&mut self, now: Duration) {
        let is_settled = self.older.newest.is_none() && !self.rights.has_more_for_leases();
        // Without the journal nobody knows whether there are any.
        if is_settled || self.keeper.is_none() {
            return;
        }
        if self.runner.leases().take_while(|lease| self.older.has(lease.id())).any(Lease::owes_stop) {
            return;
        }
        self.older = Older::default();
        self.note_what_commands_may();
        match self.rights.settle() {
            Ok(()) => self.say_unreadable(now),
            Err(error) => {
                let line = format!("capabilities-kept error={}", quoted(&error.to_string()));
                self.speech.tell(Level::Error, line);
            }
        }
    }

    fn note_what_commands_may(&self) {
        let may = Rights::limit(self.older.or(self.may));
        self.keeper.iter().for_each(|keeper| keeper.allow(may));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_earlier_goes_with_the_leases_of_then() {
        let mut older = Older::default();
        assert!(!older.has(LeaseId(0)) && older.or(Capabilities(1)) == Capabilities(1));
        older.add(LeaseId(7), Capabilities(2));
        older.add(LeaseId(5), Capabilities(4));
        assert!(older.has(LeaseId(7)) && !older.has(LeaseId(8)));
        assert_eq!(older.or(Capabilities(1)), Capabilities(7));
        older.add(LeaseId(9), Capabilities::ALL);
        assert_eq!(older.or(Capabilities(1)), Capabilities::ALL);
    }
}
