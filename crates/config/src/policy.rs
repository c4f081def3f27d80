//! The policy: what both kinds of file become, and all the daemon needs to know.
//!
//! Plain values without behaviour. Two loads of the same bytes give equal policies, so monitor and worker agree on
//! every door's number without ever sending one another a policy.

use std::fmt;
use std::path::PathBuf;

use aldaba_gate::spa::{Audience, BundleDoor, Device, Host, LockKeys, Psk, Timestamp, Window};
use aldaba_gate::{DoorId, Rules};
use aldaba_runner::door::Catalogue;

use crate::capabilities::Capabilities;

/// A validated configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What the gate listens for; door `n` is door `n` of the catalogue.
    pub gate: Rules,
    /// What opening each door does.
    pub catalogue: Catalogue,
    /// How the program itself behaves.
    pub daemon: Daemon,
    /// The files of one-time sequences, one entry for each knock that uses one.
    pub one_time: Vec<OneTime>,
    /// Single packet authorization; `None`: no door is opened by datagrams.
    pub spa: Option<Spa>,
}

/// Single packet authorization: keys, devices, and how datagrams arrive.
#[derive(Clone, PartialEq, Eq)]
pub struct Spa {
    /// The UDP port.
    pub port: u16,
    /// Where clients find this server, for their bundles; none: whatever addresses the machine has.
    pub hosts: Vec<Host>,
    /// How datagrams arrive.
    pub receive: Receive,
    /// The wall clock is right although the kernel does not know.
    pub trust_clock: bool,
    /// How far clocks may differ.
    pub window: Window,
    /// What datagrams are sealed for.
    pub locks: Vec<LockKeys>,
    /// What the devices' pre-shared keys come from; `None`: they have none.
    pub psk_seed: Option<Psk>,
    /// The devices that may knock.
    pub devices: Vec<Device>,
    /// What devices are told of the doors that datagrams open, in the order of the doors.
    pub doors: Vec<BundleDoor>,
    /// Where the keys and the registry lie: what `explain` writes.
    pub files: SpaFiles,
}

/// Secrets are not shown.
impl fmt::Debug for Spa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, hosts, receive, trust_clock, window, locks, devices, doors, files, .. } = self;
        let mut shown = f.debug_struct("Spa");
        shown.field("port", port).field("hosts", hosts).field("receive", receive);
        shown.field("trust_clock", trust_clock).field("window", window);
        shown.field("locks", &locks.len()).field("devices", devices).field("doors", doors);
        shown.field("files", files);
        shown.finish_non_exhaustive()
    }
}

/// How datagrams arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// From captured frames: the port may be closed.
    Capture,
    /// From a UDP socket.
    Listen,
}

/// The files of single packet authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaFiles {
    /// One line for each device.
    pub registry: PathBuf,
    /// The seed of the devices' pre-shared keys; `None`: turned off.
    pub psk_seed: Option<PathBuf>,
    /// One for each `[[spa.lock]]`, or the one of `[spa]` itself; each may hold several keys.
    pub locks: Vec<LockFiles>,
}

/// The files of locks, and what was said of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFiles {
    /// The server's secret key.
    pub server_key: PathBuf,
    /// The gate's pre-shared key; `None`: turned off.
    pub gate_key: Option<PathBuf>,
    /// For whom.
    pub audience: Audience,
    /// From when all its keys are valid, whatever stands beside each.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub not_after: Option<Timestamp>,
}

/// How the program itself behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Where it captures.
    pub interfaces: Interfaces,
    /// How it captures.
    pub capture: Capture,
    /// The worker's user; `None`: the default name, or a free uid where there is no such user.
    pub user: Option<String>,
    /// What commands of doors may; `None`: not said.
    pub capabilities: Option<Capabilities>,
    /// Where the journal lives; `None`: the default for the name it was started by.
    pub state_dir: Option<PathBuf>,
    /// What happens to open doors when it is told to stop.
    pub on_exit: Option<OnExit>,
    /// Where it writes what it does.
    pub log: Log,
    /// The file with the daemon's process number; `None`: not named here.
    pub pid_file: Option<PathBuf>,
    /// Where it answers the administrator; `None`: the default for the name it was started by.
    pub control: Option<PathBuf>,
    /// The name of aldaba's own nftables table.
    pub table: String,
    /// What happens to open doors when others flush the firewall.
    pub after_flush: AfterFlush,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            interfaces: Interfaces::All,
            capture: Capture::Ring,
            user: None,
            capabilities: None,
            state_dir: None,
            on_exit: None,
            log: Log::default(),
            pid_file: None,
            control: None,
            table: "aldaba".to_owned(),
            after_flush: AfterFlush::Restore,
        }
    }
}

/// The interfaces the daemon captures on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interfaces {
    /// All there are, and those that come later.
    All,
    /// These; they need not exist yet. knockd.conf without `Interface` gives `eth0`.
    Named(Vec<String>),
}

/// How frames are captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Our own packet ring.
    Ring,
    /// The datalink channel of the pnet library.
    Pnet,
}

/// What happens to open doors when the daemon is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// They are closed.
    Close,
    /// They stay open until their time, in the journal.
    Keep,
}

/// What happens to doors that are open by an element when others flush the firewall. aldaba's own table comes back in any
/// case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFlush {
    /// Their elements come back, with what is left of their time.
    Restore,
    /// They are closed, and the log says so.
    Report,
}

/// Where the daemon writes what it does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// To the system log.
    pub syslog: bool,
    /// To this file.
    pub file: Option<PathBuf>,
    /// Whether each step of each knock gets a line, also when not started as `knockd`.
    pub stages: bool,
}

/// A file of one-time sequences and the place in it where its door stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTime {
    /// The door.
    pub door: DoorId,
    /// Which of the door's knocks, by its index.
    pub knock: u8,
    /// The file.
    pub path: PathBuf,
    /// Where the sequence in force comes from.
    pub current: Current,
}

/// Where the sequence in force of a one-time knock comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Current {
    /// The line that begins at this byte of the file: after its use this byte becomes `#`.
    Line(u64),
    /// The door's own `sequence`, which counts once before the file's first line; nothing is marked.
    Written,
    /// Every line is used.
    UsedUp,
}
