//! What became of the frames: plain counters, so that a refusal costs an addition and nothing else.

use aldaba_packet::Refused;
use aldaba_spa::Refusal;

/// Why a well-formed segment was not shown to any sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It carries a VLAN tag: it belongs to another interface.
    Tagged,
    /// It arrived on an interface the gate was not told of.
    UnknownInterface,
    /// Its source can be nobody who knocks: unspecified, loopback from outside, multicast, reserved.
    ImpossibleSource,
    /// IPv6, and the policy looks at IPv4 only.
    Ipv6Off,
    /// Its destination is no address of this host and no door's target.
    NotForUs,
}

impl Dropped {
    /// How many kinds [`Dropped::index`] tells apart.
    pub const COUNT: usize = 5;

    /// A name for each kind, for counters.
    pub const NAMES: [&'static str; Self::COUNT] =
        ["tagged", "unknown-interface", "impossible-source", "ipv6-off", "not-for-us"];

    /// The kind as an index below [`Dropped::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Tagged => 0,
            Self::UnknownInterface => 1,
            Self::ImpossibleSource => 2,
            Self::Ipv6Off => 3,
            Self::NotForUs => 4,
        }
    }
}

/// Frames by outcome, since the gate was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames looked at.
    pub frames: u64,
    /// Frames that were no TCP or UDP segment, or malformed.
    pub refused: u64,
    /// The same by kind ([`Refused::index`]).
    pub refused_by: [u64; Refused::COUNT],
    /// Segments that no door's scope covers.
    pub dropped: u64,
    /// The same by kind ([`Dropped::index`]).
    pub dropped_by: [u64; Dropped::COUNT],
    /// Segments that were shown to the sequences and that no sequence looks at.
    pub invisible: u64,
    /// Hits that began an attempt.
    pub started: u64,
    /// Hits that took an attempt further.
    pub advanced: u64,
    /// Sequences completed.
    pub completed: u64,
    /// Attempts ended by a wrong hit.
    pub broken: u64,
    /// Datagrams to the port of single packet authorization.
    pub datagrams: u64,
    /// Those of them that were admitted.
    pub admitted: u64,
    /// Those of them that nobody made who knows the gate.
    pub foreign: u64,
    /// Refused ones by kind ([`Refusal::index`]), the foreign ones among them.
    pub rejected_by: [u64; Refusal::COUNT],
    /// Anything else: retransmissions, packets a door's flag filter passes over.
    pub ignored: u64,
}

/// One more of this kind.
pub(crate) fn bump(counters: &mut [u64], kind: usize) {
    if let Some(counter) = counters.get_mut(kind) {
        *counter = counter.saturating_add(1);
    }
}
