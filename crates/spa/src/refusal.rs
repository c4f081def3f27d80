//! Why a datagram was refused: data for counters and `why`, never for the network. spec/spa.md, section 8.

use std::fmt;

/// What is wrong with a core that was sealed rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Malformed {
    /// No operation has this number.
    Operation,
    /// A flag that means nothing.
    Flags,
    /// A door where there is none, or none where there must be one.
    Door,
    /// A field that this operation does not use is not zero.
    UnusedField,
    /// The address is said to be set and is not.
    Address,
    /// A byte of the padding is not zero.
    Padding,
}

/// At which step a datagram was refused, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No datagram has this length.
    Length,
    /// No live lock made this tag.
    Tag,
    /// The same datagram was seen before.
    Repeated,
    /// The lock's budget of key agreements is spent.
    Budget,
    /// The ephemeral key is a point of small order.
    Ephemeral,
    /// The device key could not be opened: whoever sealed it knows the gate and not the server's key, or damaged it.
    SealedKey,
    /// The device is not in the registry.
    UnknownDevice,
    /// The device is in the registry, and no longer or not yet valid.
    InvalidDevice,
    /// The request could not be opened: not made by the device it names, or with another pre-shared key.
    Forged,
    /// The request means nothing.
    Malformed(Malformed),
    /// The device's clock differs by more than the window.
    Clock {
        /// Microseconds the device is ahead; negative when it is behind.
        offset: i64,
        /// Whether a request of this time or a later one was accepted before: an old capture, more likely than a slow clock.
        used: bool,
    },
    /// Used, or overtaken by a newer one.
    Old,
    /// This very time was used.
    Replay,
    /// The device knocks too often.
    Rate,
    /// The replay record could not be made durable, so nothing may be acted on.
    Store,
    /// The guard after a lost replay store is still up.
    Guard,
    /// No such door, or not for this device.
    Door,
    /// The device may not knock from this network.
    Network,
    /// The request was bound to another address than it came from: a relay, or address translation the client cannot see.
    Relayed,
    /// The door asks for a bound request.
    Unbound,
    /// An address no door may be opened for.
    Address,
}

impl Refusal {
    /// How many kinds [`Refusal::index`] tells apart.
    pub const COUNT: usize = 21;

    /// Each refusal that carries no numbers, in the order of the steps: all of them but [`Refusal::Clock`]. The channel between
    /// monitor and worker numbers them by it (spec/ipc.md).
    pub const PLAIN: [Self; 25] = [
        Self::Length,
        Self::Tag,
        Self::Repeated,
        Self::Budget,
        Self::Ephemeral,
        Self::SealedKey,
        Self::UnknownDevice,
        Self::InvalidDevice,
        Self::Forged,
        Self::Malformed(Malformed::Operation),
        Self::Malformed(Malformed::Flags),
        Self::Malformed(Malformed::Door),
        Self::Malformed(Malformed::UnusedField),
        Self::Malformed(Malformed::Address),
        Self::Malformed(Malformed::Padding),
        Self::Old,
        Self::Replay,
        Self::Guard,
        Self::Rate,
        Self::Store,
        Self::Door,
        Self::Network,
        Self::Relayed,
        Self::Unbound,
        Self::Address,
    ];

    /// A name for each kind, for counters; what [`Refusal::name`] says.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "length",
        "tag",
        "repeated",
        "budget",
        "ephemeral",
        "sealed-key",
        "unknown-device",
        "invalid-device",
        "forged",
        "malformed",
        "clock",
        "old",
        "replay",
        "guard",
        "rate",
        "store",
        "door",
        "network",
        "relayed",
        "unbound",
        "address",
    ];

    /// The kind as an index below [`Refusal::COUNT`], in the order of the steps.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Length => 0,
            Self::Tag => 1,
            Self::Repeated => 2,
            Self::Budget => 3,
            Self::Ephemeral => 4,
            Self::SealedKey => 5,
            Self::UnknownDevice => 6,
            Self::InvalidDevice => 7,
            Self::Forged => 8,
            Self::Malformed(_) => 9,
            Self::Clock { .. } => 10,
            Self::Old => 11,
            Self::Replay => 12,
            Self::Guard => 13,
            Self::Rate => 14,
            Self::Store => 15,
            Self::Door => 16,
            Self::Network => 17,
            Self::Relayed => 18,
            Self::Unbound => 19,
            Self::Address => 20,
        }
    }

    /// The step of spec/spa.md, section 8, at which it was refused.
    #[must_use]
    pub const fn step(self) -> u8 {
        match self {
            Self::Length => 1,
            Self::Tag => 2,
            Self::Repeated => 3,
            Self::Budget => 4,
            Self::Ephemeral => 6,
            Self::SealedKey => 7,
            Self::UnknownDevice | Self::InvalidDevice => 8,
            Self::Forged => 9,
            Self::Malformed(_) => 11,
            Self::Clock { .. } => 12,
            Self::Old | Self::Replay | Self::Guard => 13,
            Self::Rate => 14,
            Self::Store => 15,
            Self::Door | Self::Network | Self::Relayed | Self::Unbound | Self::Address => 16,
        }
    }

    /// A stable name, for logs and counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Tag => "tag",
            Self::Repeated => "repeated",
            Self::Budget => "budget",
            Self::Ephemeral => "ephemeral",
            Self::SealedKey => "sealed-key",
            Self::UnknownDevice => "unknown-device",
            Self::InvalidDevice => "invalid-device",
            Self::Forged => "forged",
            Self::Malformed(_) => "malformed",
            Self::Clock { .. } => "clock",
            Self::Old => "old",
            Self::Replay => "replay",
            Self::Rate => "rate",
            Self::Store => "store",
            Self::Guard => "guard",
            Self::Door => "door",
            Self::Network => "network",
            Self::Relayed => "relayed",
            Self::Unbound => "unbound",
            Self::Address => "address",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_leads_to_the_name() {
        let clock = Refusal::Clock { offset: 1, used: false };
        let mut seen = [0; Refusal::COUNT];
        for refusal in Refusal::PLAIN.into_iter().chain([clock]) {
            assert_eq!(refusal.name(), Refusal::NAMES[refusal.index()]);
            seen[refusal.index()] += 1;
        }
        // Each kind once, but for the six of malformed requests.
        let malformed = Refusal::Malformed(Malformed::Flags).index();
        for (index, times) in seen.into_iter().enumerate() {
            assert_eq!(times, if index == malformed { 6 } else { 1 }, "{}", Refusal::NAMES[index]);
        }
        assert!(Refusal::PLAIN.is_sorted_by_key(|refusal| refusal.index()), "in the order of the steps");
    }
}
