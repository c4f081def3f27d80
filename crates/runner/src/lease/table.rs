//! All leases, found by number, by door and address, by element, by source, by owner, and by the time something is to be
//! done.
//!
//! Knows nothing of commands; it keeps the counts that the limits are about.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Element, Lease, LeaseId, Owner};

/// The leases and their indices.
#[derive(Debug, Clone, Default)]
pub struct LeaseTable {
    leases: BTreeMap<LeaseId, Lease>,
    pairs: BTreeSet<(Arc<str>, IpAddr, LeaseId)>,
    holders: BTreeMap<Element, LeaseId>,
    per_source: BTreeMap<IpAddr, usize>,
    per_door: BTreeMap<Arc<str>, usize>,
    of_owner: BTreeMap<Owner, BTreeSet<LeaseId>>,
    timers: BTreeSet<(Duration, LeaseId)>,
    timer_of: BTreeMap<LeaseId, Duration>,
}

impl LeaseTable {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub(crate) fn lease_mut(&mut self, id: LeaseId) -> Option<&mut Lease> {
        self.leases.get_mut(&id)
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// Their numbers, oldest first, so that they can be changed one by one.
    pub(crate) fn ids(&self) -> Vec<LeaseId> {
        self.leases.keys().copied().collect()
    }

    /// The leases of a door and an address, oldest first.
    pub(crate) fn of_pair(&self, door: &Arc<str>, address: IpAddr) -> Vec<LeaseId> {
        let from = (Arc::clone(door), address, LeaseId(0));
        let to = (Arc::clone(door), address, LeaseId(u64::MAX));
        self.pairs.range(from..=to).map(|(_, _, id)| *id).collect()
    }

    /// How many leases of this door the source holds.
    #[must_use]
    pub fn count_of_pair(&self, door: &Arc<str>, address: IpAddr) -> usize {
        let from = (Arc::clone(door), address, LeaseId(0));
        let to = (Arc::clone(door), address, LeaseId(u64::MAX));
        self.pairs.range(from..=to).count()
    }

    /// The lease that holds this element.
    pub(crate) fn holder(&self, element: &Element) -> Option<LeaseId> {
        self.holders.get(element).copied()
    }

    /// The lease by command that a further knock renews.
    pub(crate) fn renewable(&self, door: &Arc<str>, address: IpAddr) -> Option<LeaseId> {
        self.of_pair(door, address)
            .into_iter()
            .find(|id| self.lease(*id).is_some_and(|lease| lease.renewable))
    }

    /// How many leases this source holds.
    #[must_use]
    pub fn of_source(&self, address: IpAddr) -> usize {
        self.per_source.get(&address).copied().unwrap_or(0)
    }

    /// How many leases the door of this name holds.
    #[must_use]
    pub fn of_door(&self, door: &Arc<str>) -> usize {
        self.per_door.get(door).copied().unwrap_or(0)
    }

    /// How many leases this device holds.
    #[must_use]
    pub fn of_owner(&self, owner: Owner) -> usize {
        self.of_owner.get(&owner).map_or(0, BTreeSet::len)
    }

    /// The leases of this device and door, oldest first: what closing them costs depends on what the device holds alone.
    pub(crate) fn owned(&self, owner: Owner, door: &Arc<str>) -> Vec<LeaseId> {
        let ids = self.of_owner.get(&owner).into_iter().flatten().copied();
        ids.filter(|id| self.lease(*id).is_some_and(|lease| lease.door == *door)).collect()
    }

    /// Every device that holds leases, and how many.
    pub fn owners(&self) -> impl Iterator<Item = (Owner, usize)> {
        self.of_owner.iter().map(|(owner, held)| (*owner, held.len()))
    }

    /// The lease is another one's from now on.
    pub(crate) fn set_owner(&mut self, id: LeaseId, owner: Option<Owner>) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let before = std::mem::replace(&mut lease.owner, owner);
        self.disown(before, id);
        self.own(owner, id);
    }

    fn own(&mut self, owner: Option<Owner>, id: LeaseId) {
        if let Some(owner) = owner {
            self.of_owner.entry(owner).or_default().insert(id);
        }
    }

    /// A device without leases leaves the map: it must not grow with every device ever seen.
    fn disown(&mut self, owner: Option<Owner>, id: LeaseId) {
        let Some(owner) = owner else { return };
        let Some(held) = self.of_owner.get_mut(&owner) else { return };
        held.remove(&id);
        if held.is_empty() {
            self.of_owner.remove(&owner);
        }
    }

    /// The lease is another door's from now on.
    pub(crate) fn set_door(&mut self, id: LeaseId, door: &Arc<str>) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        let before = std::mem::replace(&mut lease.door, Arc::clone(door));
        self.pairs.remove(&(Arc::clone(&before), lease.address, id));
        self.pairs.insert((Arc::clone(door), lease.address, id));
        subtract(&mut self.per_door, &before);
        add(&mut self.per_door, Arc::clone(door));
    }

    pub(crate) fn insert(&mut self, lease: Lease) {
        self.remove(lease.id);
        self.holders.extend(lease.held.element(lease.address).map(|element| (element, lease.id)));
        self.pairs.insert((Arc::clone(&lease.door), lease.address, lease.id));
        add(&mut self.per_source, lease.address);
        add(&mut self.per_door, Arc::clone(&lease.door));
        self.own(lease.owner, lease.id);
        self.leases.insert(lease.id, lease);
    }

    pub(crate) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.set_timer(id, None);
        self.pairs.remove(&(Arc::clone(&lease.door), lease.address, id));
        if let Some(element) = lease.held.element(lease.address).filter(|of| self.holder(of) == Some(id)) {
            self.holders.remove(&element);
        }
        subtract(&mut self.per_source, &lease.address);
        subtract(&mut self.per_door, &lease.door);
        self.disown(lease.owner, id);
        Some(lease)
    }

    /// When the lease is to be looked at again.
    pub(crate) fn set_timer(&mut self, id: LeaseId, at: Option<Duration>) {
        if let Some(old) = self.timer_of.remove(&id) {
            self.timers.remove(&(old, id));
        }
        if let Some(at) = at {
            self.timers.insert((at, id));
            self.timer_of.insert(id, at);
        }
    }

    /// The earliest timer.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes one timer that is due.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<LeaseId> {
        let (at, id) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.set_timer(id, None);
        Some(id)
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let count = counts.entry(key).or_insert(0);
    *count = count.saturating_add(1);
}

/// A count of zero leaves the map: it must not grow with every source ever seen.
fn subtract<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
