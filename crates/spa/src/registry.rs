//! The devices that may knock. spec/spa.md, section 11.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::seen::Keyed;
use crate::{DoorTag, PublicKey, Timestamp};

/// A device's number: its index in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u32);

/// Which doors a device may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doors {
    /// Every door that takes datagrams.
    All,
    /// These.
    Only(BTreeSet<DoorTag>),
}

/// A line of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its public key.
    pub key: PublicKey,
    /// Its owner, and the device's name behind a slash if it has one: for logs.
    pub name: String,
    /// Which doors.
    pub doors: Doors,
    /// From which networks; empty for all.
    pub from: Vec<IpNet>,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// For how long a door opens when the request does not say, in place of the door's own time.
    pub lease: Option<Duration>,
    /// The longest it may ask for, if shorter than the door's.
    pub max_lease: Option<Duration>,
    /// How many leases its user may hold at a time, over all devices of the user.
    pub max_leases: Option<u16>,
    /// Which of its pre-shared keys counts.
    pub psk_generation: u32,
    /// Whether it may open doors for other addresses than its own.
    pub delegates: bool,
    /// Whether its requests must be bound.
    pub bound: bool,
}

impl Device {
    /// A device that may do whatever doors allow.
    #[must_use]
    pub const fn new(key: PublicKey, name: String) -> Self {
        Self {
            key,
            name,
            doors: Doors::All,
            from: Vec::new(),
            expires: None,
            lease: None,
            max_lease: None,
            max_leases: None,
            psk_generation: 0,
            delegates: false,
            bound: false,
        }
    }

    /// Whether it may knock at this time at all.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|until| now < until)
    }

    /// Whether it may knock from here.
    #[must_use]
    pub fn may_come_from(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&source))
    }

    /// For how long it may have a door whose own time is `usual`, from `now` on; it asked for `asked`. The door's longest
    /// time is not looked at here.
    #[must_use]
    pub fn lease_for(&self, asked: Option<Duration>, usual: Duration, now: Timestamp) -> Duration {
        let wanted = asked.or(self.lease).unwrap_or(usual);
        let wanted = self.max_lease.map_or(wanted, |longest| wanted.min(longest));
        self.expires.map_or(wanted, |until| wanted.min(until.since(now)))
    }

    /// For how long at most it may hold anything, from `now` on; `None`: nothing of its own limits that.
    #[must_use]
    pub fn longest(&self, now: Timestamp) -> Option<Duration> {
        let left = self.expires.map(|until| until.since(now));
        [self.max_lease, left].into_iter().flatten().min()
    }

    /// Whether it may open this door.
    #[must_use]
    pub fn may_open(&self, door: DoorTag) -> bool {
        match &self.doors {
            Doors::All => true,
            Doors::Only(doors) => doors.contains(&door),
        }
    }

    /// Who owns it: the name up to the slash.
    #[must_use]
    pub fn user(&self) -> &str {
        self.name.split('/').next().unwrap_or(&self.name)
    }
}

/// Two lines have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("devices {} and {} have the same key", .first.0, .second.0)]
pub struct SameKey {
    /// The line above.
    pub first: DeviceId,
    /// The line below.
    pub second: DeviceId,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} devices)", self.devices.len())
    }
}

/// The devices, found by key at a cost that does not depend on their number.
pub struct Registry {
    devices: Vec<Device>,
    by_key: HashMap<PublicKey, DeviceId, Keyed>,
}

impl Registry {
    /// A registry of these. `key` makes the table's hash unpredictable.
    pub fn new(devices: Vec<Device>, key: [u8; 16]) -> Result<Self, SameKey> {
        let mut by_key = HashMap::with_capacity_and_hasher(devices.len(), Keyed(key));
        for (second, device) in (0..).map(DeviceId).zip(&devices) {
            if let Some(first) = by_key.insert(device.key, second) {
                return Err(SameKey { first, second });
            }
        }
        Ok(Self { devices, by_key })
    }

    /// A device by its number.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(usize::try_from(id.0).ok()?)
    }

    /// A device by 32 bytes that claim to be its key.
    #[must_use]
    pub fn find(&self, key: &[u8; 32]) -> Option<(DeviceId, &Device)> {
        #[cfg(test)]
        crate::work::lookup();
        let id = *self.by_key.get(key)?;
        Some((id, self.device(id)?))
    }

    /// All of them.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }
}
