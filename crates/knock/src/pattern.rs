//! What the tracker is told and what it answers. Implements the words of spec/knock.md, "Attempts".

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::{FlagFilter, Protocol, Sequence, Step, TcpFlags};

/// Which of the two semantics a pattern follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// knockd's: only ports of some pattern exist; a second hit of one port ends the attempt.
    Compatible,
    /// Ours: a second connection to a port is tolerated, any other touched port ends the attempt.
    Strict,
}

/// Which destinations and interfaces a pattern listens to; the caller says which scopes a hit falls in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub u16);

/// A pattern's index in the list the tracker was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PatternId(pub u32);

/// A sequence to be followed, with its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The sequence; `None` while there is none, as when a one-time list is used up.
    pub sequence: Option<Sequence>,
    /// Which TCP packets count. UDP packets always do.
    pub flags: FlagFilter,
    /// An attempt must be complete less than this after its first hit.
    pub timeout: Duration,
    /// The semantics.
    pub mode: Mode,
    /// Where it listens.
    pub scope: ScopeId,
    /// After a success the pattern is deaf for this long, to every source.
    pub cooldown: Duration,
}

/// What the tracker looks at of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hit {
    /// Who sent it.
    pub source: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The destination port.
    pub port: u16,
    /// The TCP flags; without meaning for UDP.
    pub flags: TcpFlags,
    /// Identity of a TCP segment that occupies sequence space (connection and sequence number). An equal mark is a
    /// retransmission. `None` for UDP and for segments that are never sent again.
    pub mark: Option<NonZeroU64>,
}

impl Hit {
    /// The step this hit is.
    #[must_use]
    pub const fn step(&self) -> Step {
        Step { port: self.port, protocol: self.protocol }
    }
}

/// Who hears what happens. Of one hit first the expiries, then the rest, each in the order of the patterns.
pub trait Sink {
    /// Whether [`Sink::stage`] and [`Sink::expired`] are to be called at all; asked once a hit or sweep.
    fn wants_stages(&self) -> bool;
    /// A source has reached a stage, counted from 1; also the last one, just before [`Sink::complete`].
    fn stage(&mut self, source: IpAddr, pattern: PatternId, stage: u8);
    /// A source's attempt ran out of time at this stage.
    fn expired(&mut self, source: IpAddr, pattern: PatternId, stage: u8);
    /// A source has completed a sequence.
    fn complete(&mut self, source: IpAddr, pattern: PatternId);
}

/// What became of a hit; where it meant several things to several patterns, the one that comes last here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// No pattern in scope looks at it.
    Invisible,
    /// Seen, and of no consequence.
    Ignored,
    /// Strict: the last step once more, from another connection.
    Tolerated,
    /// A segment that has counted already.
    Retransmission,
    /// Compatible: ended an attempt.
    Broken,
    /// Strict: ended an attempt and began none.
    Cancelled,
    /// Began an attempt.
    Started,
    /// Took an attempt further.
    Advanced,
    /// Completed a sequence.
    Completed,
}

/// How much the tracker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Entries of the table; rounded up to a power of two, at least [`Limits::MIN_ENTRIES`].
    pub entries: usize,
}

impl Limits {
    /// One set of the table.
    pub const MIN_ENTRIES: usize = 8;
    /// More are refused: they would take 1.1 GiB.
    pub const MAX_ENTRIES: usize = 1 << 24;
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 1 << 16 }
    }
}

/// Attempts that were under way and in time and had to make room for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Displaced {
    /// All of them.
    pub all: u64,
    /// Those that had advanced: somebody floods who knows two ports of a sequence, or the table is far too small.
    pub advanced: u64,
}

/// What happens to attempts when the patterns change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// Attempts at patterns that stay as they are go on.
    Unchanged,
    /// All are forgotten.
    Nothing,
}

/// Why a tracker cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::enum_variant_names, reason = "each is a limit, and the word says so at the place of use")]
pub enum TrackerError {
    /// The caller has more places to listen at than a [`ScopeId`] can tell apart.
    #[error("too many different targets and sets of interfaces, at most 65536")]
    TooManyScopes,
    /// Too many combinations of scope, flag filter and mode.
    #[error("too many different combinations of target, interfaces, tcp flags and mode, at most 65535")]
    TooManyGroups,
    /// The sequences are too many and too long.
    #[error("too many sequences")]
    TooManyPatterns,
    /// [`Limits::MAX_ENTRIES`].
    #[error("too many attempts to keep room for, at most {}", Limits::MAX_ENTRIES)]
    TooManyEntries,
}
