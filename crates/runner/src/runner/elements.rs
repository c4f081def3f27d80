//! Opening by an element with a kernel timeout: the kernel closes the door, with us or without.
//!
//! The journal's entry only tells the next start that the lease is there; nobody waits for it. Answers come in the order
//! of the effects. At the deadline the element is taken out all the same: the kernel's clock for it stands still while the
//! machine sleeps.

use std::sync::Arc;
use std::time::Duration;

use super::durations::{back_off, extended, length};
use super::open::lease;
use super::{Granted, Known, Runner};
use crate::door::NftSet;
use crate::effect::{ElementChange, Part};
use crate::event::{Reason, What, Why, bump};
use crate::lease::{Ask, Asked, Element, Held, LeaseId, Purpose, State};

/// A removal that fails is tried this often again; the kernel ends the element in any case.
const DELETE_RETRIES: u32 = 5;

impl Runner {
    pub(super) fn admit_element(&mut self, now: Duration, known: &Known, set: &NftSet, ask: &Ask) -> Granted {
        let source = ask.address;
        let Some(element) = Element::of(&known.name, set, source) else {
            return self.refuse(known, source, Reason::NothingForFamily);
        };
        if let Some(id) = self.table.holder(&element) {
            return match self.hand_over(id, known) {
                Ok(()) => self.renew_element(now, id, known, ask),
                Err(reason) => self.refuse(known, source, reason),
            };
        }
        if let Err(reason) = self.room(known, ask) {
            return self.refuse(known, source, reason);
        }
        let id = self.new_id();
        let length = length(&known.door, ask.wanted);
        let mut lease = lease(id, known, ask, now, length, Held::Element(element.place));
        lease.state = State::Setting;
        let deadline = lease.deadline;
        self.table.insert(lease);
        self.set_element(now, id, Asked { deadline, purpose: Purpose::Grant });
        Granted::Opening(id)
    }

    /// The lease that holds this door's element is this door's from now on: after a reload it may be one of a door that is gone.
    fn hand_over(&mut self, id: LeaseId, known: &Known) -> Result<(), Reason> {
        if self.table.lease(id).is_some_and(|lease| lease.door != known.name) {
            self.room_of_door(known)?;
            self.table.set_door(id, &known.name);
        }
        if let Some(lease) = self.table.lease_mut(id) {
            lease.style = known.door.style;
        }
        Ok(())
    }

    fn renew_element(&mut self, now: Duration, id: LeaseId, known: &Known, ask: &Ask) -> Granted {
        let length = length(&known.door, ask.wanted);
        self.table.set_owner(id, ask.owner);
        let Some(lease) = self.table.lease_mut(id) else {
            return Granted::Nothing;
        };
        if matches!(lease.state, State::Deleting { .. }) {
            lease.reopen = Some(length);
            return Granted::Renewed(id);
        }
        if lease.state != State::Setting {
            lease.state = State::Open;
        }
        (lease.closing, lease.reopen) = (None, None);
        let latest = lease.asked.back().map_or(lease.deadline, |asked| asked.deadline);
        let deadline = extended(latest, now, length, &known.door);
        lease.renewals = lease.renewals.saturating_add(1);
        bump(&mut self.counters.renewed);
        self.set_element(now, id, Asked { deadline, purpose: Purpose::Grant });
        Granted::Renewed(id)
    }

    pub(super) fn set_element(&mut self, now: Duration, id: LeaseId, asked: Asked) {
        let timeout = asked.deadline.saturating_sub(now);
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let Held::Element(place) = lease.held.clone() else {
            return;
        };
        let is_new = lease.state == State::Setting && lease.asked.is_empty();
        lease.asked.push_back(asked);
        let address = lease.address;
        self.change_element(ElementChange { lease: id, place, address, timeout: Some(timeout), is_new });
    }

    pub(super) fn delete_element(&mut self, id: LeaseId) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let Held::Element(place) = lease.held.clone() else {
            return;
        };
        let tries = match lease.state {
            State::Retry { tries } | State::CannotClose { tries } => tries,
            _ => 0,
        };
        lease.state = State::Deleting { tries };
        let address = lease.address;
        self.table.set_timer(id, None);
        self.change_element(ElementChange { lease: id, place, address, timeout: None, is_new: false });
    }

    /// The kernel did what it was asked for this lease.
    pub fn element_done(&mut self, now: Duration, id: LeaseId) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let Some(Asked { deadline, purpose }) = lease.asked.pop_front() else {
            if matches!(lease.state, State::Deleting { .. }) {
                self.closed(now, id);
                self.dispatch(now);
            }
            return;
        };
        let longer = deadline > lease.deadline;
        lease.deadline = deadline;
        let first = lease.state == State::Setting;
        if matches!(lease.state, State::Deleting { .. }) {
            return;
        }
        lease.state = State::Open;
        lease.lost = false;
        let closing = lease.closing.is_some();
        if purpose != Purpose::Again {
            self.save(id);
        }
        self.table.set_timer(id, Some(deadline));
        let for_ = deadline.saturating_sub(now);
        if first {
            bump(&mut self.counters.opened);
            self.log_of(id, What::Opened { for_ });
        } else if longer {
            self.log_of(id, What::Renewed { for_ });
        } else if purpose == Purpose::Shorten {
            self.log_of(id, What::Shortened { for_ });
        }
        if closing {
            self.delete_element(id);
        }
    }

    /// The kernel refused what it was asked for this lease; `fault` is for the log.
    pub fn element_failed(&mut self, now: Duration, id: LeaseId, fault: &str) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let asked = lease.asked.pop_front();
        let (setting, purpose) = (asked.is_some(), asked.map(|asked| asked.purpose));
        let part = if setting { Part::Start } else { Part::Stop };
        let (state, deadline, more) = (lease.state, lease.deadline, !lease.asked.is_empty());
        if purpose != Some(Purpose::Again) {
            self.log_of(id, What::ElementFailed { part, fault: fault.to_owned() });
        }
        match state {
            State::Setting if setting && !more => {
                self.counters.refuse(Reason::ElementFailed);
                self.drop_lease(id);
            }
            // It would stay for longer than it may.
            State::Open if purpose == Some(Purpose::Shorten) => self.close_one(now, id, Why::Asked),
            // The element keeps the timeout it had: sys replaces it in one transaction or not at all. One that was lost stays so.
            State::Open if setting => self.table.set_timer(id, Some(deadline)),
            State::Deleting { tries } if !setting => self.delete_failed(now, id, tries.saturating_add(1)),
            _ => {}
        }
    }

    fn delete_failed(&mut self, now: Duration, id: LeaseId, tries: u32) {
        bump(&mut self.counters.stops_failed);
        self.set_state(id, State::Retry { tries });
        if let Some((known, ask)) = self.wanted_again(id) {
            // The element is still there.
            self.renew_element(now, id, &known, &ask);
            return;
        }
        let Some(deadline) = self.table.lease(id).map(|lease| lease.deadline) else { return };
        let is_over = deadline <= now;
        if tries > DELETE_RETRIES && is_over {
            // Nothing more can be done, and the kernel has ended it, or ends it later by as long as the machine slept.
            self.closed(now, id);
        } else if tries > DELETE_RETRIES {
            self.set_state(id, State::CannotClose { tries });
            self.table.set_timer(id, Some(deadline));
            self.log_of(id, What::CannotClose { tries, after: None });
        } else {
            let after = back_off(tries);
            let again = now.saturating_add(after);
            self.table.set_timer(id, Some(if is_over { again } else { again.min(deadline) }));
            self.log_of(id, What::StopRetry { tries, after });
        }
    }

    fn set_state(&mut self, id: LeaseId, state: State) {
        if let Some(lease) = self.table.lease_mut(id) {
            lease.state = state;
        }
    }

    /// The knock that came while the element was being taken out, if its door still leads to it.
    fn wanted_again(&self, id: LeaseId) -> Option<(Arc<Known>, Ask)> {
        let lease = self.table.lease(id)?;
        let wanted = Some(lease.reopen?);
        let known = self.door_named(&lease.door, lease.style)?;
        let ask = Ask { address: lease.address, wanted, owner: lease.owner, spares_source: true };
        (self.renewed_at(&known, lease.address) == Some(id)).then_some((known, ask))
    }

    /// The deadline came, or the time to try the removal again.
    pub(super) fn element_due(&mut self, id: LeaseId) {
        // While a renewal is under way, its answer sets the timer.
        if self.table.lease(id).is_some_and(|lease| lease.asked.is_empty()) {
            self.delete_element(id);
        }
    }
}
