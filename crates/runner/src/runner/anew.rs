//! A door that could not be closed is opened anew, by a knock that came meanwhile (spec/leases.md, "Opened anew").
//!
//! The lease goes on under its number, and its record stays: until the new start command has run, the stop command of the one
//! before is owed. Whatever keeps the start command from running ends in that stop command being tried again.

use std::sync::Arc;
use std::time::Duration;

use super::durations::{length, whole_seconds};
use super::open::{Wanted, render};
use super::{Known, Runner};
use crate::door::Action;
use crate::event::{Reason, What};
use crate::lease::{Held, LOUD_AFTER, LeaseId, NothingFound, State};

/// That nothing is left to close is believed of a stop command that fails after this time, and after it was loud.
const BELIEVED_AFTER: Duration = Duration::from_secs(60);

/// A start command whose lease is there already.
struct Anew {
    known: Arc<Known>,
    length: Duration,
    wanted: Wanted,
    time_limit: Option<Duration>,
}

impl Runner {
    /// Puts the start command in line, where a knock has asked for it and the same stop command closes what both have opened.
    /// Otherwise the knock goes on waiting for the door to close.
    pub(super) fn open_anew(&mut self, now: Duration, id: LeaseId, tries: u32) -> bool {
        let Some(anew) = self.anew(id) else { return false };
        // Those that wait come first.
        self.dispatch(now);
        if let Err(reason) = self.place_in_line(now, &anew.known) {
            self.refuse_anew(id, reason);
            return false;
        }
        let Some(lease) = self.table.lease_mut(id) else { return false };
        let Anew { known, length, wanted, time_limit } = anew;
        lease.state = State::Waiting { owed: Some(tries) };
        lease.start = Some(wanted.start);
        lease.held = Held::Command { stop: wanted.stop, time_limit };
        (lease.length, lease.seconds) = (length, whole_seconds(length));
        (lease.closing, lease.reopen, lease.uncertain) = (None, None, false);
        self.starts.push(&known.name, id);
        self.log_of(id, What::CannotClose { tries, after: None });
        true
    }

    fn anew(&self, id: LeaseId) -> Option<Anew> {
        let lease = self.table.lease(id).filter(|lease| lease.renewable)?;
        let known = self.door_named(&lease.door, lease.style)?;
        let length = length(&known.door, Some(lease.reopen?));
        let Action::Command(commands) = &known.door.action else { return None };
        let (wanted, time_limit) = (render(commands, lease.address, length).ok()?, commands.time_limit);
        // It may have the lease's length in it.
        let is_same = matches!(&lease.held, Held::Command { stop, .. } if *stop == wanted.stop);
        is_same.then_some(Anew { known, length, wanted, time_limit })
    }

    fn refuse_anew(&mut self, id: LeaseId, reason: Reason) {
        self.counters.refuse(reason);
        self.log_of(id, What::Refused { reason });
        if let Some(lease) = self.table.lease_mut(id) {
            lease.reopen = None;
        }
    }

    /// A stop command has closed what the last start command opened. What one before it did, if it is still there, gets a stop
    /// command too.
    pub(super) fn close_beneath(&mut self, now: Duration, id: LeaseId) -> bool {
        let Some(lease) = self.table.lease_mut(id) else { return false };
        let Some(beneath) = lease.beneath.checked_sub(1) else { return false };
        lease.beneath = beneath;
        lease.nothing_found = Some(NothingFound { since: now, times: 0 });
        lease.uncertain = true;
        lease.state = State::Retry { tries: 0 };
        self.make_due(id);
        true
    }

    /// A stop command has ended by itself and failed. Whether there is nothing left to close: another one has closed the door, and those
    /// after it have failed so often, at last loudly, and for so long that it is not what has kept them from it for a moment.
    pub(super) fn finds_nothing(&mut self, now: Duration, id: LeaseId) -> bool {
        let lease = self.table.lease_mut(id);
        let Some(found) = lease.and_then(|lease| lease.nothing_found.as_mut()) else { return false };
        found.times = found.times.saturating_add(1);
        found.times > LOUD_AFTER.saturating_add(1) && now.saturating_sub(found.since) >= BELIEVED_AFTER
    }

    /// The start command is not run after all: whether a stop command is owed, which is then tried again; at once where somebody
    /// has asked for the end meanwhile.
    pub(super) fn stays_owed(&mut self, now: Duration, id: LeaseId) -> bool {
        let Some(lease) = self.table.lease_mut(id) else { return false };
        let Some(tries) = lease.state.owed() else { return false };
        lease.start = None;
        let is_hurried = lease.closing.is_some();
        self.stop_again(now, id, tries);
        if is_hurried {
            self.make_due(id);
        }
        true
    }
}
