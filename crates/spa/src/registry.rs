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
    /// The longest it may ask for, if shorter than the door's.
    pub max_lease: Option<Duration>,
    /// Which of its pre-shared keys counts.
    pub psk_generation: u32,
    /// Whether it may open doors for other addresses than its own.
    pub delegates: bool,
    /// Whether its requests must be bound.
    pub bound: bool,
}

impl Device {
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
        let id = *self.by_key.get(key)?;
        Some((id, self.device(id)?))
    }

    /// All of them.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }
}
