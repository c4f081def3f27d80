//! What a client needs to know of a server. spec/keys.md, section 4.
//!
//! Not here: where a client keeps it, and which of its addresses it tries first.

mod host;
mod opened;
mod sealed;
mod wire;

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

pub use host::{Host, HostError};
pub use opened::OpenedTextError;
pub(crate) use sealed::is_claimed_by;
pub use sealed::{
    BundleTextError, NotReplaced, OneTimeCode, OpenError, OpenedBundle, SealedBundle, ZeroCode,
};

use crate::{
    Audience, AudienceError, DoorTag, KeyError, Lock, MAX_LOCKS, Psk, PublicKey, SealError, SecretKey,
    Timestamp,
};

/// What a client needs to know of a server. It holds secrets: [`Bundle::seal`] it for its device, or keep it private.
#[derive(Clone)]
pub struct Bundle {
    /// When it was made: a later one replaces it.
    pub issued: Timestamp,
    /// Where the server is; 1 to [`Bundle::MAX_HOSTS`], none twice.
    pub hosts: Vec<Host>,
    /// The UDP port it takes datagrams at.
    pub port: NonZeroU16,
    /// How far ahead a client's clock may be: whole seconds, [`Bundle::FUTURE`].
    pub future: Duration,
    /// Its locks, in the order a client tries their dates; 1 to [`MAX_LOCKS`], none twice.
    pub locks: Vec<BundleLock>,
    /// The pre-shared key of its gate, for all the locks.
    pub gate_psk: Psk,
    /// The pre-shared key of this device.
    pub device_psk: Psk,
    /// The doors this device may open, the one that is meant when none is named first; at most [`Bundle::MAX_DOORS`].
    pub doors: Vec<BundleDoor>,
}

/// A lock without the gate's key, and its dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleLock {
    /// The server's public key.
    pub server: PublicKey,
    /// For whom.
    pub audience: Audience,
    /// From when a client uses it; `None` for always.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub not_after: Option<Timestamp>,
}

/// A door by its name, and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleDoor {
    /// 1 to 64 printable ASCII characters without blanks.
    pub name: String,
    /// The ports to wait for and to connect to: a hint, in the order of their use; at most [`BundleDoor::MAX_PORTS`].
    pub ports: Vec<Port>,
}

/// A port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// TCP or UDP.
    pub transport: Transport,
    /// Its number.
    pub number: NonZeroU16,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why there is no such bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Of a layout that this version does not know.
    #[error("the bundle has layout {0}, which this version does not know: update aldaba")]
    Version(u8),
    /// Bytes are missing, are too many, or stand for nothing.
    #[error("the bundle does not follow its layout")]
    Layout,
    /// None, or too many.
    #[error("a bundle has 1 to {} addresses or names of its server, each once", Bundle::MAX_HOSTS)]
    Hosts,
    /// One of them is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Outside of what a server can have.
    #[error("a server takes datagrams from 5 to 600 seconds ahead of its clock, in whole seconds")]
    Future,
    /// None, or too many.
    #[error("a bundle has 1 to {MAX_LOCKS} locks, each once")]
    Locks,
    /// It ends before it begins, or a date stands where none is written otherwise.
    #[error("a lock of the bundle ends before it begins")]
    Dates,
    /// A server's key.
    #[error("a key of the server is not usable: {0}")]
    Key(#[from] KeyError),
    /// An audience.
    #[error(transparent)]
    Audience(#[from] AudienceError),
    /// Too many, or two that a server could not tell apart.
    #[error("a bundle has at most {} doors, each once", Bundle::MAX_DOORS)]
    Doors,
    /// The name of a door.
    #[error("a door's name is 1 to {} printable ASCII characters without blanks", BundleDoor::MAX_NAME)]
    DoorName,
    /// The ports of a door.
    #[error("a door of a bundle has at most {} ports, each once", BundleDoor::MAX_PORTS)]
    Ports,
}

impl Bundle {
    /// The most addresses and names.
    pub const MAX_HOSTS: usize = 8;
    /// The most doors.
    pub const MAX_DOORS: usize = 64;
    /// The seconds `future` can have.
    pub const FUTURE: std::ops::RangeInclusive<u64> = 5..=600;

    /// The lock to seal for: the first one that is valid now. Never another one because nothing answered.
    #[must_use]
    pub fn lock_at(&self, now: Timestamp) -> Option<Lock> {
        let lock = self.locks.iter().find(|lock| lock.is_valid(now))?;
        Some(Lock { server: lock.server, gate_psk: self.gate_psk.clone(), audience: lock.audience.clone() })
    }

    /// When its last lock ends, if all do: without a newer bundle this device is locked out then.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        let ends: Option<Vec<Timestamp>> = self.locks.iter().map(|lock| lock.not_after).collect();
        ends?.into_iter().max()
    }

    /// Seals it for a device; `random` is fresh for every call. With a code, only who has that too can open it, and the
    /// code proves who sealed it; without one the receiver compares the sender's key.
    pub fn seal(
        &self,
        server: &SecretKey,
        device: &PublicKey,
        code: Option<&OneTimeCode>,
        random: &[u8; 32],
    ) -> Result<SealedBundle, BundleSealError> {
        let plaintext = self.encode()?;
        Ok(sealed::seal(&plaintext, server, device, code, random)?)
    }

    /// What encoding and decoding have in common: nothing passes one that does not pass the other.
    fn check(&self) -> Result<(), BundleError> {
        self.hosts.iter().try_for_each(Host::check)?;
        if !(1..=Self::MAX_HOSTS).contains(&self.hosts.len()) || !all_differ(self.hosts.iter()) {
            return Err(BundleError::Hosts);
        }
        if !Self::FUTURE.contains(&self.future.as_secs()) || self.future.subsec_nanos() != 0 {
            return Err(BundleError::Future);
        }
        self.locks.iter().try_for_each(BundleLock::check)?;
        let locks = self.locks.iter().map(|lock| (lock.server, &lock.audience));
        if !(1..=MAX_LOCKS).contains(&self.locks.len()) || !all_differ(locks) {
            return Err(BundleError::Locks);
        }
        self.doors.iter().try_for_each(BundleDoor::check)?;
        if self.doors.len() > Self::MAX_DOORS
            || !all_differ(self.doors.iter().map(|door| DoorTag::of(&door.name)))
        {
            return Err(BundleError::Doors);
        }
        Ok(())
    }
}

/// Why a bundle was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleSealError {
    /// There is no such bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The keys do not agree.
    #[error("the device's key is not usable")]
    Device(#[from] SealError),
}

fn all_differ<T: Ord>(items: impl ExactSizeIterator<Item = T>) -> bool {
    let count = items.len();
    items.collect::<BTreeSet<T>>().len() == count
}

impl BundleLock {
    /// Whether a client whose clock says `now` may use it.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|from| now >= from) && self.not_after.is_none_or(|until| now <= until)
    }

    fn check(&self) -> Result<(), BundleError> {
        let (from, until) = (self.not_before.unwrap_or(wire::ALWAYS), self.not_after.unwrap_or(wire::NEVER));
        // What stands for no date is none.
        let one_spelling = self.not_before != Some(wire::ALWAYS) && self.not_after != Some(wire::NEVER);
        if from <= until && one_spelling { Ok(()) } else { Err(BundleError::Dates) }
    }
}

impl BundleDoor {
    /// The longest name.
    pub const MAX_NAME: usize = 64;
    /// The most ports.
    pub const MAX_PORTS: usize = 8;

    fn check(&self) -> Result<(), BundleError> {
        let printable = self.name.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=Self::MAX_NAME).contains(&self.name.len()) || !printable || DoorTag::of(&self.name).is_none()
        {
            return Err(BundleError::DoorName);
        }
        if self.ports.len() > Self::MAX_PORTS || !all_differ(self.ports.iter()) {
            return Err(BundleError::Ports);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
