//! The last word on what the worker has admitted (spec/spa.md, section 8, step 17): pure, from the monitor's own policy,
//! registry and leases. The worker is believed nothing that they do not allow.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_config::Policy;
use aldaba_gate::spa::{Device, DoorTag, KnockId, Refusal, Registry, Timestamp, opened};
use aldaba_gate::{DoorId, DoorRule, KnockAction};
use aldaba_runner::{Owner, Runner};

use crate::ipc::Place;

/// Live leases of a device whose line does not say how many its user may hold.
const LEASES_PER_DEVICE: usize = 8;

/// A request of a device as the worker tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) place: Place,
    pub(super) action: KnockAction,
    pub(super) address: IpAddr,
    pub(super) from: IpAddr,
    pub(super) device: [u8; 32],
    pub(super) id: KnockId,
    pub(super) seconds: u16,
}

/// What the monitor's own policy makes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) owner: Owner,
    /// For whom, if it opens; for a close as it was told.
    pub(super) address: IpAddr,
    /// For how long, if it opens.
    pub(super) wanted: Duration,
}

/// All a request is judged by.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a Policy,
    pub(super) registry: &'a Registry,
    pub(super) runner: &'a Runner,
    pub(super) wall: Timestamp,
    /// This host's own addresses.
    pub(super) is_own: &'a dyn Fn(IpAddr) -> bool,
    /// The address to open for means everybody on a link.
    pub(super) is_broadcast: bool,
    /// This host's default gateways; `None`: the kernel does not say.
    pub(super) gateways: Option<&'a BTreeSet<IpAddr>>,
}

impl Judge<'_> {
    /// What becomes of a request for this door, or the word for why nothing does.
    pub(super) fn judge(&self, door: DoorId, told: &Told) -> Result<Allowed, &'static str> {
        let index = usize::try_from(door.0).map_err(|_| "no-such-door")?;
        let rule: &DoorRule = self.policy.gate.doors.get(index).ok_or("no-such-door")?;
        let entry = self.policy.catalogue.doors.get(index).ok_or("no-such-door")?;
        let (_, device) = self.registry.find(&told.device).ok_or("no-such-device")?;
        let source_rule = rule.spa.ok_or("no-such-door")?;
        let tag = DoorTag::of(&rule.name).ok_or("no-such-door")?;
        if !device.may_open(tag) || !device.is_valid(self.wall) || !device.may_come_from(told.from) {
            return Err("not-allowed");
        }
        let owner = Owner(told.device);
        // An address that is opened is opened in the form in which it was judged.
        let mut address = told.address;
        if told.action == KnockAction::Open {
            address = opened(told.from, Some(told.address), source_rule, device.delegates)
                .map_err(Refusal::name)?;
            self.is_a_client(address, rule)?;
            self.room_for(device, door, address)?;
        }
        let asked = (told.seconds != 0).then(|| Duration::from_secs(told.seconds.into()));
        Ok(Allowed { owner, address, wanted: device.lease_for(asked, entry.lease, self.wall) })
    }

    /// Behind a proxy that rewrites sources everybody comes from this host or from its gateway: opened for one, the door
    /// would be open for all.
    fn is_a_client(&self, address: IpAddr, rule: &DoorRule) -> Result<(), &'static str> {
        if (self.is_own)(address) {
            return Err("own-address");
        }
        if self.is_broadcast {
            return Err("broadcast");
        }
        if rule.for_gateway {
            return Ok(());
        }
        let gateways = self.gateways.ok_or("gateways-unknown")?;
        if gateways.contains(&address) { Err("gateway") } else { Ok(()) }
    }

    /// Few leases for each device, or for all devices of its user what its line says, so that no key fills the firewall.
    fn room_for(&self, device: &Device, door: DoorId, address: IpAddr) -> Result<(), &'static str> {
        let renewed = self
            .runner
            .renewed_by(aldaba_runner::DoorId(door.0), address)
            .and_then(aldaba_runner::Lease::owner);
        match device.max_leases {
            None => {
                let owner = Owner(*device.key.as_bytes());
                let again = renewed == Some(owner);
                let room = again || self.runner.held_by(owner) < LEASES_PER_DEVICE;
                room.then_some(()).ok_or("too-many-of-device")
            }
            Some(most) => {
                let is_theirs = |owner: Owner| self.user_of(owner) == Some(device.user());
                let again = renewed.is_some_and(is_theirs);
                // Bounded by the leases there are, not by the lines of the registry.
                let theirs = self.runner.owners().filter(|(owner, _)| is_theirs(*owner));
                let held = theirs.fold(0_usize, |sum, (_, held)| sum.saturating_add(held));
                (again || held < usize::from(most)).then_some(()).ok_or("too-many-of-user")
            }
        }
    }

    fn user_of(&self, owner: Owner) -> Option<&str> {
        self.registry.find(&owner.0).map(|(_, device)| device.user())
    }
}

#[cfg(test)]
mod tests;
