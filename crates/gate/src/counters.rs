//! What became of the frames: plain counters, so that a refusal costs an addition and nothing else.

/// Why a well-formed segment was not shown to any sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It carries a VLAN tag: it belongs to another interface.
    Tagged,
    /// It arrived on an interface the gate was not told of.
    UnknownInterface,
    /// Its source can be nobody who knocks: unspecified, loopback from outside, multicast, broadcast.
    ImpossibleSource,
    /// IPv6, and the policy looks at IPv4 only.
    Ipv6Off,
    /// Its destination is no address of this host and no door's target.
    NotForUs,
}

/// Frames by outcome, since the gate was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames looked at.
    pub frames: u64,
    /// Frames that were no TCP or UDP segment, or malformed.
    pub refused: u64,
    /// Segments that no door's scope covers.
    pub dropped: u64,
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
    /// Anything else: retransmissions, packets a door's flag filter passes over.
    pub ignored: u64,
}
