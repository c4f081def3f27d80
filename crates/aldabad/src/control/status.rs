//! How the daemon is, as it tells it: facts only. The words for people are `aldabad status`'s.
//!
//! What is counted counts from the daemon's start, what the worker counts from the worker's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Numbers by name.
pub type Numbers = BTreeMap<String, u64>;

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// For how many milliseconds it has been running.
    pub uptime_ms: u64,
    /// It was told to stop, and does not open any more.
    #[serde(default)]
    pub stopping: bool,
    /// What does not work at this moment, the worst first; empty: all is well.
    pub degraded: Vec<Degraded>,
    /// The configuration in force.
    pub configuration: Configuration,
    /// Where it captures.
    pub interfaces: Vec<Interface>,
    /// The process that looks at packets.
    pub worker: Worker,
    /// What became of packets; absent where the worker did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<Packets>,
    /// Sequences under way; absent where the worker did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
    /// Datagrams; absent when the policy has no `[spa]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datagrams: Option<DatagramStatus>,
    /// Openings asked for and not made, by reason; `requests-lost` found the worker's queue full.
    pub refused: Numbers,
    /// Start and stop commands.
    pub commands: Commands,
    /// Leases.
    pub leases: LeaseCounts,
    /// The journal of leases.
    pub journal: Journal,
    /// The firewall.
    pub firewall: Firewall,
    /// The log.
    pub log: LogStatus,
}

/// Something that does not work at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Degraded {
    /// Its name (spec/control.md).
    pub what: String,
    /// Whether somebody is shut out by it, or a door stands open or may.
    pub grave: bool,
    /// At which door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// On which interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// What is known of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Since how many milliseconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Configuration {
    /// Its file.
    pub path: String,
    /// How many milliseconds ago it came into force.
    pub in_force_ms: u64,
    /// Its doors.
    pub doors: u64,
    /// Its devices.
    pub devices: u64,
}

/// An interface that is captured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interface {
    /// Its name in the configuration; `any` for all of them.
    pub name: String,
    /// Whether it is there.
    pub state: InterfaceState,
    /// How: `ring` or `pnet`.
    pub capture: String,
    /// Packets that passed the filter, dropped ones included; absent with `pnet`, which does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Those of them that the kernel dropped, because the worker did not keep up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drops: Option<u64>,
    /// Whether its filter lets more pass than the doors need, because the whole one was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filter_widened: bool,
}

/// Whether an interface is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// It is there, up and captured on.
    Found,
    /// It is there and down.
    Down,
    /// It is not there.
    Gone,
    /// It is there and cannot be captured on.
    NotCaptured,
}

/// The process that looks at packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Worker {
    /// Its number; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Whether it has all it needs and looks at packets.
    pub serving: bool,
    /// How many times another one took the place of one that had ended.
    pub restarts: u64,
    /// How it is confined.
    pub confined: Confined,
    /// Whether it has answered: without that its numbers are absent.
    pub answered: bool,
    /// Messages of its that wait for the daemon.
    #[serde(default)]
    pub waiting: u64,
}

/// How a worker is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confined {
    /// Another user, no privileges, a short list of system calls.
    Fully,
    /// The same, but under the daemon's own user id, which may not be changed here.
    SameUser,
    /// Without its list of system calls, as the command line wanted.
    NoSandbox,
}

/// What became of packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Packets {
    /// Frames looked at.
    pub frames: u64,
    /// No TCP or UDP segment this host would take, by reason.
    pub refused: Numbers,
    /// Segments of no concern here, by reason.
    pub dropped: Numbers,
    /// What sequences made of the others.
    pub sequences: Numbers,
}

/// Sequences under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attempts {
    /// How many.
    pub under_way: u64,
    /// How many there is room for.
    pub room: u64,
    /// Attempts that were in time and made room for others.
    pub displaced: u64,
    /// Those of them that had made two steps or more.
    #[serde(default)]
    pub displaced_advanced: u64,
}

/// Datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatagramStatus {
    /// The UDP port.
    pub port: u16,
    /// How they arrive: `capture` or `listen`.
    pub receive: String,
    /// The replay store.
    pub store: StoreState,
    /// For how many milliseconds nothing is known to be new, after a lost replay store.
    pub guard_left_ms: u64,
    /// Whether the kernel says that the wall clock is right; absent where the daemon may not ask and nobody else says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_synchronised: Option<bool>,
    /// Those the kernel found no room for; absent where they are captured, and where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drops: Option<u64>,
    /// Those the kernel refused for their length or checksum, before anybody saw them; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_refused: Option<u64>,
    /// What the worker has counted of them; absent where it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<DatagramCounts>,
}

/// The replay store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreState {
    /// It is used.
    Working,
    /// It is not there yet, or waits for a clock that is right: nobody gets in by datagram.
    NotReady,
    /// It does not take records: nobody gets in by datagram.
    Failing,
}

/// What the worker has counted of datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatagramCounts {
    /// To the port.
    pub arrived: u64,
    /// Admitted ones.
    pub admitted: u64,
    /// Made by nobody who knows the gate.
    pub foreign: u64,
    /// Refused ones by reason (spec/spa.md, section 8), the foreign ones among them.
    pub refused: Numbers,
    /// Networks of admitted devices that are remembered, of the lock that has most.
    pub networks: u64,
    /// How many there is room for.
    pub networks_room: u64,
}

/// Start and stop commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Commands {
    /// Running now.
    pub running: u64,
    /// How many may run at once, stop commands not counted.
    pub running_room: u64,
    /// Start commands that wait for their turn.
    pub waiting: u64,
    /// How many may wait.
    pub waiting_room: u64,
    /// Stop commands that are due and wait for their turn.
    pub stops_waiting: u64,
    /// Started so far.
    pub started: u64,
    /// Those that did not end with status 0.
    pub failed: u64,
    /// Those that ran over their time limit.
    pub over_time: u64,
    /// Attempts to close that failed.
    pub stops_failed: u64,
}

/// Leases, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseCounts {
    /// Being opened.
    pub opening: u64,
    /// Open.
    pub open: u64,
    /// Not open although their time is not over: others took their elements away.
    #[serde(default)]
    pub lost: u64,
    /// Being closed.
    pub closing: u64,
    /// Given up on: open and with nobody to close them.
    pub cannot_close: u64,
    /// Milliseconds to the end of the open one that ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_end_ms: Option<u64>,
    /// Of the door that holds most.
    pub fullest_door: u64,
    /// How many a door may hold.
    pub door_room: u64,
    /// Doors opened so far.
    pub opened: u64,
    /// Leases renewed so far.
    pub renewed: u64,
    /// Leases ended so far.
    pub closed: u64,
}

/// The journal of leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Journal {
    /// Whether it works.
    pub state: JournalState,
    /// The folder it lies in.
    pub folder: String,
    /// Writes that failed so far.
    pub failed: u64,
    /// A closer stands by, for when the daemon is killed.
    pub closer: bool,
}

/// Whether the journal works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalState {
    /// The last write went through.
    Working,
    /// The last write did not.
    Failing,
    /// There is none: no door needs it, or the folder cannot be had.
    None,
}

/// The firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Firewall {
    /// Whether it is as the configuration wants it.
    pub state: FirewallState,
    /// aldaba's own table, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// Whether the firewall is as the configuration wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirewallState {
    /// It is, as far as aldaba looks.
    Ready,
    /// It is not: see `degraded`.
    NotReady,
    /// No door needs nftables.
    NotNeeded,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogStatus {
    /// Lines left out because there were too many of their kind, by kind.
    pub left_out: Numbers,
    /// Lines that could not be written.
    pub lost: u64,
}
