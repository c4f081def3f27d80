//! What became of a knock, as the daemon tells it: facts only. The words for people are `aldabad why`'s.

use std::net::IpAddr;

use aldaba_gate::spa::KnockId;
use serde::{Deserialize, Serialize};

use super::Lease;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum About {
    /// Everything of this address.
    Address(IpAddr),
    /// One datagram, by its name.
    Id(#[serde(with = "id")] KnockId),
}

/// What is known of it; lists are oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Why {
    /// What was asked for.
    pub about: About,
    /// What came in.
    pub knocks: Vec<Knock>,
    /// What became of doors.
    pub doors: Vec<DoorEvent>,
    /// What is still open, or under way.
    pub leases: Vec<Lease>,
    /// What holds for all datagrams; absent when the policy has no `[spa]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<Datagrams>,
    /// Whether the steps of sequences are told to the monitor at all.
    pub steps_told: bool,
    /// Whether the worker has answered: without it refusals are missing.
    pub complete: bool,
}

/// Something that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Knock {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// Where it came from.
    pub from: IpAddr,
    /// A datagram's name.
    #[serde(default, with = "optional_id", skip_serializing_if = "Option::is_none")]
    pub id: Option<KnockId>,
    /// The device's name in the registry, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How often the same datagram came again; nothing was done then.
    #[serde(default)]
    pub again: u32,
    /// What was made of it.
    pub what: What,
}

/// What was made of a knock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum What {
    /// A datagram was accepted.
    Admitted {
        /// Which door.
        door: String,
        /// Open it, or close it.
        close: bool,
        /// For whom; of a close, where it came from.
        address: IpAddr,
        /// Microseconds its clock is ahead; negative when it is behind.
        clock_us: i64,
    },
    /// A datagram that opens nothing was accepted.
    Hello {
        /// Microseconds its clock is ahead; negative when it is behind.
        clock_us: i64,
    },
    /// A datagram was refused.
    Refused {
        /// The refusal's name (spec/spa.md, section 8).
        why: String,
        /// Of a wrong clock: microseconds it is ahead; negative when it is behind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_us: Option<i64>,
        /// Of a wrong clock: whether this time or a later one was accepted before.
        #[serde(default)]
        used: bool,
    },
    /// A datagram was accepted by the worker and refused by the monitor's own policy.
    NotAllowed {
        /// Why.
        why: String,
    },
    /// A sequence is complete.
    Sequence {
        /// Of which door.
        door: String,
        /// Open it, or close it.
        close: bool,
    },
    /// A step of a sequence.
    Step {
        /// Of which door.
        door: String,
        /// From 1.
        stage: u8,
    },
    /// An attempt ran out of time.
    Expired {
        /// At which door.
        door: String,
        /// How far it had come.
        stage: u8,
    },
}

/// Something that became of a door: an event of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DoorEvent {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// The door's name.
    pub door: String,
    /// For whom.
    pub address: IpAddr,
    /// Its name (docs/log.md).
    pub event: String,
    /// Its further fields, as the log has them.
    #[serde(default)]
    pub fields: String,
}

/// What holds for all datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Datagrams {
    /// The UDP port.
    pub port: u16,
    /// How many came there since the worker started.
    pub arrived: u64,
    /// How many of them nobody made who knows the gate: they have no name.
    pub foreign: u64,
    /// How long ago the last of those came, in milliseconds; from the address asked for, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_ago_ms: Option<u64>,
    /// For how many milliseconds nothing is known to be new, after a lost replay store.
    pub guard_left_ms: u64,
}

/// The name of a datagram, as the client and the log show it: 16 hexadecimal digits.
#[must_use]
pub fn parse_id(text: &str) -> Option<KnockId> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(text, 16).ok().filter(|_| digits)?;
    Some(KnockId(number.to_be_bytes()))
}

mod id {
    use aldaba_gate::spa::KnockId;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(id: &KnockId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<KnockId, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_id(&text).ok_or_else(|| de::Error::custom("a knock id has 16 hexadecimal digits"))
    }
}

mod optional_id {
    use aldaba_gate::spa::KnockId;
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(id: &Option<KnockId>, to: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => super::id::serialize(id, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<KnockId>, D::Error> {
        super::id::deserialize(from).map(Some)
    }
}
