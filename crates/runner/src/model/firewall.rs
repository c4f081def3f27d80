//! The world's firewall: what others do to it, and the monitor's looks at it.

use std::net::IpAddr;

use super::catalogue;
use super::world::{OWN, World, name, place};
use crate::lease::{Held, Lease, LeaseId, Place};
use crate::runner::Loss;

impl World {
    /// The sets of doors that are gone go with them.
    pub(super) fn reload(&mut self, variant: u8) {
        let had_own = self.has_own_set();
        self.variant = variant;
        if !self.has_own_set() {
            self.elements.retain(|(set, _), _| !set.starts_with(OWN));
        }
        self.runner.reload(self.now, catalogue(variant));
        self.settle();
        if self.has_own_set() && !had_own {
            self.notice_losses(Loss::Restore);
            self.reassert();
        }
    }

    fn has_own_set(&self) -> bool {
        catalogue(self.variant).doors.iter().any(|door| door.name == "own")
    }

    /// Whether the kernel has this set: aldaba's own are those of the doors there are.
    pub(super) fn has_set(&self, place: &Place) -> bool {
        !matches!(place, Place::Own { .. }) || self.has_own_set()
    }

    pub(super) fn reassert(&mut self) {
        let has_own_set = self.has_own_set();
        let has_set =
            |lease: &Lease| has_own_set || !matches!(lease.held(), Held::Element(Place::Own { .. }));
        self.runner.reassert(self.now, has_set);
    }

    /// The monitor looks at the firewall: which open leases have no element?
    pub(super) fn notice_losses(&mut self, loss: Loss) {
        let is_missing = |lease: &&Lease| {
            let place = place(lease.held()).filter(|place| self.has_set(place));
            let of = place.map(|place| (name(place), lease.address()));
            !lease.is_lost() && of.is_some_and(|of| !self.elements.contains_key(&of))
        };
        let missing: Vec<LeaseId> = self.runner.leases().filter(is_missing).map(Lease::id).collect();
        for id in missing {
            self.runner.element_lost(self.now, id, loss);
        }
    }

    /// Somebody takes one element out by hand.
    pub(super) fn remove_one(&mut self, which: u8) {
        let at = usize::from(which).checked_rem(self.elements.len()).unwrap_or(0);
        let Some(of) = self.elements.keys().nth(at).cloned() else { return };
        self.elements.remove(&of);
        let holds = |lease: &&Lease| {
            let place = place(lease.held()).map(|place| (name(place), lease.address()));
            !lease.is_lost() && place.as_ref() == Some(&of)
        };
        let held: Vec<LeaseId> = self.runner.leases().filter(holds).map(Lease::id).collect();
        for id in held {
            self.runner.element_lost(self.now, id, Loss::Removed);
        }
    }

    /// Whether a lease holds this element.
    pub(super) fn is_held(&self, of: &(String, IpAddr)) -> bool {
        let holds =
            |lease: &Lease| place(lease.held()).is_some_and(|at| lease.address() == of.1 && name(at) == of.0);
        self.runner.leases().any(holds)
    }
}
