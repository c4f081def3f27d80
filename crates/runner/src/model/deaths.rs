//! How the world's daemon ends and begins anew: killed, with the machine or without, or told to end.

use std::collections::BTreeSet;
use std::time::Duration;

use super::catalogue;
use super::world::{Process, Seen, World};
use crate::effect::Part;
use crate::lease::{Held, Lease, LeaseId, State};
use crate::record::{Moment, Recovered, recover};
use crate::runner::{Loss, OnShutdown, Runner};

/// How everything dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// With the machine.
    Reboot,
    /// With all processes.
    All,
    /// But not the start commands.
    StartsLive,
}

impl World {
    pub(super) fn crash(&mut self, death: Death, blind: bool) {
        let starts = std::mem::take(&mut self.processes).into_values();
        let starts = starts.filter(|process| process.part == Part::Start).map(|process| process.lease);
        let unseen = self.blind.take().into_iter().flatten();
        let running: BTreeSet<LeaseId> =
            starts.chain(unseen).filter(|_| death == Death::StartsLive).collect();
        for (id, seen) in &mut self.seen {
            // A stop command may have done its work and not been recorded: it runs again. How often it is to run is not either.
            (seen.stop_runs, seen.beneath, seen.nothing_found) = (false, 0, None);
            seen.start_ended |= !running.contains(id);
            seen.hurried = true;
        }
        if death == Death::Reboot {
            self.boot = self.boot.wrapping_add(1);
            self.now = Duration::from_secs(10);
            self.elements.clear();
            self.earned.clear();
        }
        self.start_again(running, blind);
    }

    fn start_again(&mut self, running: BTreeSet<LeaseId>, blind: bool) {
        // A new life may use the numbers of leases that are over.
        let journal = &self.journal;
        self.seen.retain(|id, seen| journal.contains_key(id) || (seen.owes_stop && !seen.closed));
        for (id, entry) in &self.journal {
            // Closed or never started, but its record is still there: its stop command runs (once more).
            if matches!(entry.record.held, Held::Command { .. }) {
                let seen = self.seen.entry(*id).or_insert_with(|| Seen::recovered(entry.record.style));
                (seen.closed, seen.owes_stop) = (false, true);
            }
        }
        self.behind.clear();
        self.unserved.clear();
        self.life = self.life.saturating_add(1);
        self.runner = Runner::new(catalogue(self.variant));
        if blind {
            self.runner.count_from(u64::from(self.life).saturating_mul(1 << 20));
            self.blind = Some(running);
        } else {
            self.take_over(&running);
        }
        self.adrift = self.elements.keys().filter(|of| !self.is_held(of)).cloned().collect();
        self.look_first();
    }

    /// The journal can be had: what an earlier life has left is taken over.
    pub(super) fn open_journal(&mut self) {
        let Some(running) = self.blind.take() else { return };
        self.take_over(&running);
        self.adrift = self.elements.keys().filter(|of| !self.is_held(of)).cloned().collect();
        self.look_first();
    }

    fn take_over(&mut self, running: &BTreeSet<LeaseId>) {
        let moment = Moment { now: self.now, boot: Some([self.boot; 16]), wall: Duration::ZERO };
        let mut recovered = recover(self.journal.values().cloned().collect(), &moment);
        let outlives = |lease: &&mut Recovered| running.contains(&lease.record.id);
        recovered.iter_mut().filter(outlives).for_each(Recovered::start_runs);
        self.runner.recover(self.now, recovered);
        for lease in self.runner.leases().filter(|lease| running.contains(&lease.id())) {
            if let State::Starting { job, .. } = lease.state() {
                let process =
                    Process { lease: lease.id(), part: Part::Start, terminated: false, outlived: true };
                self.processes.insert(job, process);
            }
        }
    }

    pub(super) fn restart(&mut self, keep: bool, patient: bool) {
        if self.dies_after.is_some() {
            return;
        }
        let grace = Duration::from_secs(5);
        let how = if keep { OnShutdown::Keep } else { OnShutdown::Close { grace } };
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
        self.crash(if patient { Death::All } else { Death::StartsLive }, false);
    }

    /// The first look at the firewall, of which nothing is known: what is there gets the time of its lease.
    fn look_first(&mut self) {
        self.notice_losses(if self.variant & 128 == 0 { Loss::Restore } else { Loss::Report });
        let ids: Vec<LeaseId> = self.runner.leases().map(Lease::id).collect();
        for id in ids {
            self.runner.element_lost(self.now, id, Loss::Restore);
        }
        self.reassert();
    }
}
