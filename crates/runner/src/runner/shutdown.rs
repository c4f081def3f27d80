//! Going down: closing what is open, or leaving it to the next start (spec/leases.md, "Shutdown").

use std::time::Duration;

use super::{OnShutdown, Runner};
use crate::door::Style;
use crate::effect::Part;
use crate::event::{Reason, Why};
use crate::lease::{Held, Lease, LeaseId, State};

/// A stop command due within this time runs when it is due; the others run at once.
const SOON: Duration = Duration::from_secs(2);

/// With `Keep`, commands that run get this long to end, so that the next start need not guess how they ended.
const KEEP_WAITS: Duration = Duration::from_millis(500);

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    how: OnShutdown,
    /// What has not happened by then is left to the next start.
    pub(super) until: Duration,
}

impl Runner {
    /// Begins to go down: no grants from here on. Go on as always until [`is_drained`](Self::is_drained).
    pub fn shutdown(&mut self, now: Duration, how: OnShutdown) {
        let time = match how {
            OnShutdown::Close { grace } => grace,
            OnShutdown::Keep => KEEP_WAITS,
        };
        let until = now.saturating_add(time);
        self.shutdown = Some(Shutdown { how, until });
        for id in self.table.ids() {
            self.leave(now, id, how);
        }
        self.dispatch(now);
    }

    fn leave(&mut self, now: Duration, id: LeaseId, how: OnShutdown) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        lease.reopen = None;
        if matches!(lease.state, State::Waiting { .. }) {
            let door = lease.door.clone();
            self.starts.remove(&door, id);
            self.lose_turn(now, id, Reason::ShuttingDown);
        }
        let Some(lease) = self.table.lease(id) else { return };
        let soon = lease.state == State::Open && lease.deadline <= now.saturating_add(SOON);
        if how != OnShutdown::Keep && !soon {
            self.close_one(now, id, Why::Shutdown);
        }
    }

    /// Whether open doors are left as they are.
    pub(crate) fn keeps(&self) -> bool {
        self.shutdown.as_ref().is_some_and(|shutdown| shutdown.how == OnShutdown::Keep)
    }

    /// Whether the daemon may exit: it goes down, every effect was taken, and nothing is left to wait for or the time for
    /// it is over. What is still open then is in the journal or has a kernel timeout.
    #[must_use]
    pub fn is_drained(&self, now: Duration) -> bool {
        let Some(shutdown) = &self.shutdown else {
            return false;
        };
        if !self.effects.is_empty() {
            return false;
        }
        let over = now >= shutdown.until;
        match shutdown.how {
            OnShutdown::Keep => over || !self.jobs.iter().any(|job| self.waits_for(job.lease, job.part)),
            OnShutdown::Close { .. } => {
                let running = self.jobs.iter().any(|job| self.waits_for(job.lease, job.part));
                over || !(running || self.table.iter().any(owes))
            }
        }
    }

    /// A start command from knockd.conf that has no stop command outlives the daemon, as it always did.
    fn waits_for(&self, lease: LeaseId, part: Part) -> bool {
        let lease = self.table.lease(lease);
        part == Part::Stop
            || lease.is_some_and(|lease| lease.style == Style::Native || lease.record().is_some())
    }
}

/// Whether a shutdown that closes has something to do for this lease yet.
fn owes(lease: &Lease) -> bool {
    match (&lease.held, lease.state) {
        (Held::Command { stop: None, .. }, _) | (_, State::CannotClose { .. }) => false,
        (Held::Command { .. }, _) => true,
        (Held::Element(_), state) => state != State::Open,
    }
}
