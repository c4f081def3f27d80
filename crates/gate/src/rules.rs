//! What the gate is told of the policy, and what it answers.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_knock::{FlagFilter, Mode, Sequence, Step};
use aldaba_spa::{AddressRule, DeviceId, KnockId};

/// A door's number: its index in the policy, the same in the gate and in the catalogue of the privileged side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DoorId(pub u32);

/// All the gate needs to know of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The doors, in the order of the policy.
    pub doors: Vec<DoorRule>,
    /// Public services that neither count nor cancel for strict doors.
    pub ignore: Vec<Step>,
    /// How many attempts the tracker has room for.
    pub attempts: usize,
    /// Whether IPv6 is looked at.
    pub ipv6: bool,
    /// The UDP port where sealed datagrams are captured; `None`: nowhere.
    pub spa_port: Option<u16>,
}

/// How one door can be knocked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorRule {
    /// Its name, for events.
    pub name: String,
    /// Interfaces it listens on; empty: all the daemon captures on.
    pub interfaces: Vec<String>,
    /// The only destination that counts, in place of the host's own addresses.
    pub target: Option<IpAddr>,
    /// Its sequences.
    pub knocks: Vec<Knock>,
    /// Which datagrams open it; `None`: none do.
    pub spa: Option<AddressRule>,
    /// Whether a datagram opens it for a default gateway of this host too.
    pub for_gateway: bool,
}

/// One sequence of a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// What it does.
    pub action: KnockAction,
    /// Where the sequence comes from.
    pub source: SequenceSource,
    /// Which TCP packets count.
    pub flags: FlagFilter,
    /// From the first hit to the last.
    pub timeout: Duration,
    /// knockd's semantics or ours.
    pub mode: Mode,
    /// After a success, how long the sequence is deaf.
    pub cooldown: Duration,
}

/// What a completed sequence asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnockAction {
    /// Open the door for the source.
    Open,
    /// End the source's leases of the door.
    Close,
}

/// Where a sequence comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSource {
    /// It stands in the configuration.
    Fixed(Sequence),
    /// From a file of one-time sequences; the current one, or `None` when they are used up.
    OneTime(Option<Sequence>),
}

/// A decision to act on a door for one client address.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Which door.
    pub door: DoorId,
    /// What asked for it.
    pub by: By,
    /// Open or close.
    pub action: KnockAction,
    /// The client's address.
    pub source: IpAddr,
}

/// What asked for a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// One of its sequences, by index in [`DoorRule::knocks`].
    Sequence(u8),
    /// A device.
    Device {
        /// Which, by its number in the registry.
        device: DeviceId,
        /// Where its datagram came from.
        from: IpAddr,
        /// The datagram's name.
        id: KnockId,
        /// For how many seconds; 0: as long as the door is usually open.
        seconds: u16,
        /// Microseconds its clock is ahead; negative when it is behind.
        offset: i64,
    },
}
