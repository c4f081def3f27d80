//! The catalogue: every door the privileged side knows, and what opening it means (docs/architecture.md, "Two faces").
//!
//! These are plain values made by the configuration; nothing here runs anything.

use std::fmt;
use std::time::Duration;

/// Which kind of file a door stands in; it decides how its commands and leases behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// A door of aldaba.toml: one lease per door and address, renewed by a further knock.
    Native,
    /// A door of knockd.conf: one lease per start, commands as knockd runs them.
    Knockd,
}

/// All doors, in the order of the policy: the index is the door's number everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// The doors.
    pub doors: Vec<Door>,
    /// How much may happen at once.
    pub limits: Limits,
}

/// Bounds on commands and leases; past them an opening is refused and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Commands running at once.
    pub running: usize,
    /// Commands of one door running at once.
    pub running_per_door: usize,
    /// Stop commands running at once, of all doors together; beyond that the first of each door, up to twice as many in all.
    pub stops: usize,
    /// Commands waiting for their turn.
    pub waiting: usize,
    /// Live leases of one source address; of them no more than [`Limits::leases_of_pair`] at one door.
    pub leases_per_source: usize,
    /// Live leases of one door.
    pub leases_per_door: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: 48,
            running_per_door: 16,
            stops: 256,
            waiting: 256,
            leases_per_source: 256,
            leases_per_door: 4096,
        }
    }
}

impl Limits {
    /// Live leases of one source at one door: a quarter of what the source may have, at least one. Whoever knows the sequence of a
    /// door can forge any source, and must not shut that source out of other doors.
    #[must_use]
    pub const fn leases_of_pair(&self) -> usize {
        self.leases_per_source.div_ceil(4)
    }
}

/// One door as the privileged side knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// Its name in the configuration, for logs and the journal.
    pub name: String,
    /// Whose rules its commands and leases follow.
    pub style: Style,
    /// How long it stays open when the client asks for nothing (knockd.conf: `cmd_timeout`).
    pub lease: Duration,
    /// The longest it may stay open.
    pub max_lease: Duration,
    /// What opening it does.
    pub action: Action,
}

/// What opening and closing a door does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing but the log line.
    LogOnly,
    /// A start command and, at the end of the lease, a stop command.
    Command(Commands),
    /// An element with a kernel timeout in an nftables set.
    Nftables(NftAction),
}

/// The commands of a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// Runs when the door opens.
    pub start: PerFamily,
    /// Runs when the lease ends.
    pub stop: PerFamily,
    /// Ends a command that runs longer (TERM, then KILL of the tree); `None`: never.
    pub time_limit: Option<Duration>,
    /// A negative `cmd_timeout` of knockd.conf: the stop command is named but never runs.
    pub never_stop: bool,
}

/// A template for each address family; `None` runs nothing for that family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PerFamily {
    /// For IPv4 clients.
    pub v4: Option<Template>,
    /// For IPv6 clients.
    pub v6: Option<Template>,
}

/// A command with places for the client's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// Program and arguments, started without a shell. `{ip}`, `{prefix}` (32 or 128) and `{seconds}` are replaced.
    Argv(Vec<String>),
    /// A line for `/bin/sh -c`, from knockd.conf only. `%IP%` is replaced.
    Shell(String),
}

/// An element in an nftables set; the kernel ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NftAction {
    /// Which set.
    pub set: NftSet,
}

/// The set a door's elements go into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NftSet {
    /// aldaba's own table guards these ports: members pass, established connections pass or do not, the rest drops.
    Own {
        /// The ports the door guards.
        ports: Vec<PortRange>,
        /// What becomes of connections when the lease ends.
        established: Established,
    },
    /// A set of the administrator's own ruleset.
    Named {
        /// The table's family.
        family: NftFamily,
        /// The table's name.
        table: String,
        /// Set for IPv4 addresses.
        set_v4: Option<String>,
        /// Set for IPv6 addresses.
        set_v6: Option<String>,
    },
}

/// What becomes of a client's connections when its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Established {
    /// They stay.
    Stay,
    /// Nothing more of the client's gets in: the kernel sees to that, by the end of the element.
    Cut,
}

/// A range of ports of one protocol, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port, not below the first.
    pub last: u16,
    /// TCP or UDP.
    pub transport: Transport,
}

/// As configurations write it: `22/tcp`, `60000-61000/udp`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, transport } = self;
        let protocol = match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        if first == last { write!(f, "{first}/{protocol}") } else { write!(f, "{first}-{last}/{protocol}") }
    }
}

/// The transport protocol of a guarded port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Family of an nftables table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NftFamily {
    /// `inet`: both families.
    Inet,
    /// `ip`: IPv4 only.
    Ip,
    /// `ip6`: IPv6 only.
    Ip6,
}
