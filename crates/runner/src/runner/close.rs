//! Closing: by time, by a knock, by the administrator; and what becomes of leases at a reload.

use std::sync::Arc;
use std::time::Duration;

use super::{Known, Runner, event_of};
use crate::door::Style;
use crate::effect::Effect;
use crate::event::{Reason, What, Why, bump};
use crate::lease::{Ask, Held, LeaseId, State};

impl Runner {
    /// Closes these leases because somebody asked for it; tells how many there were.
    pub(super) fn close_all(&mut self, now: Duration, ids: &[LeaseId]) -> usize {
        for id in ids {
            self.close_one(now, *id, Why::Asked);
        }
        self.dispatch(now);
        ids.len()
    }

    pub(super) fn close_one(&mut self, now: Duration, id: LeaseId, why: Why) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        lease.reopen = None;
        let by_command = matches!(lease.held, Held::Command { .. });
        match lease.state {
            State::Waiting { .. } => self.withdraw(id, why),
            State::Starting { .. } | State::Setting => lease.closing = Some(why),
            State::Open | State::Retry { .. } | State::CannotClose { .. } if !by_command => {
                lease.closing = Some(why);
                self.delete_element(id);
            }
            State::Open => {
                lease.closing = Some(why);
                if why == Why::Asked {
                    // Should the daemon die now, the next start closes it at once and not at its old deadline.
                    lease.deadline = lease.deadline.min(now);
                    self.save(id);
                }
                self.make_due(id);
            }
            State::Retry { .. } | State::CannotClose { .. } => self.make_due(id),
            State::Due { .. } | State::Stopping { .. } | State::Deleting { .. } => {}
        }
    }

    /// Its start command has not had its turn. Nothing has happened outside for this lease, then there is nothing to close; or
    /// a stop command is owed.
    fn withdraw(&mut self, id: LeaseId, why: Why) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        self.starts.remove(&lease.door, id);
        if let Some(tries) = lease.state.owed() {
            lease.closing = Some(why);
            lease.state = State::Retry { tries };
            return self.make_due(id);
        }
        let Some(lease) = self.table.remove(id) else { return };
        self.effects.push_back(Effect::Log(event_of(&lease, What::Closed { why: Why::Withdrawn })));
    }

    /// A lease's timer ran out.
    pub(super) fn lease_due(&mut self, id: LeaseId) {
        let Some(lease) = self.table.lease(id) else { return };
        if matches!(lease.held, Held::Element(_)) {
            self.element_due(id);
        } else if matches!(lease.state, State::Open | State::Retry { .. } | State::CannotClose { .. }) {
            self.make_due(id);
        }
    }

    /// The door is closed: the lease ends, and begins anew where a knock came in between.
    pub(super) fn closed(&mut self, now: Duration, id: LeaseId) {
        let Some(lease) = self.drop_lease(id) else { return };
        let why = lease.closing.unwrap_or(Why::Expired);
        bump(&mut self.counters.closed);
        self.effects.push_back(Effect::Log(event_of(&lease, What::Closed { why })));
        if let Some(wanted) = lease.reopen
            && let Some(known) = self.door_named(&lease.door, lease.style)
        {
            // Those that wait come first.
            self.dispatch(now);
            let (address, owner) = (lease.address, lease.owner);
            let ask = Ask { address, wanted: Some(wanted), owner, spares_source: true };
            self.admit(now, &known, &ask);
        }
    }

    /// After a reload: the door is still there and unchanged, or the lease goes on without it.
    pub(super) fn follow_reload(&mut self, now: Duration, id: LeaseId, old: &[Arc<Known>]) {
        let Some(lease) = self.table.lease(id) else { return };
        let new = self.door_named(&lease.door, lease.style);
        let same_as = |known: &&Arc<Known>| known.name == lease.door && known.door.style == lease.style;
        let before = old.iter().find(same_as);
        let unchanged = match (before, &new) {
            (Some(before), Some(new)) => before.door.action == new.door.action,
            _ => false,
        };
        let (is_native, waits) = (lease.style == Style::Native, matches!(lease.state, State::Waiting { .. }));
        if new.is_none() && waits {
            let door = Arc::clone(&lease.door);
            self.starts.remove(&door, id);
            self.lose_turn(now, id, Reason::NoSuchDoor);
        }
        if !unchanged && is_native {
            self.detach(id);
        }
    }

    /// The lease ends by itself; no knock renews it or opens it again.
    pub(super) fn detach(&mut self, id: LeaseId) {
        if let Some(lease) = self.table.lease_mut(id) {
            lease.renewable = false;
        }
    }
}
