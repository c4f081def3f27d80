//! What is worth a log line, as data: the daemon words it (knockd's words or ours), limits and counts it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::door::Style;
use crate::effect::{Part, Signal};
use crate::lease::LeaseId;
use crate::runner::Outcome;
use crate::template::Rendered;

/// Something that happened to a door or a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which lease, where there is one.
    pub lease: Option<LeaseId>,
    /// The door's name.
    pub door: Arc<str>,
    /// Which kind of file the door stands in.
    pub style: Style,
    /// The client's address.
    pub address: IpAddr,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A door that only logs was knocked at.
    LoggedOnly,
    /// A command is about to run (knockd: `running command: LINE`).
    Running {
        /// Which one.
        part: Part,
        /// What runs.
        command: Rendered,
    },
    /// The door is open for this long.
    Opened {
        /// Time left.
        for_: Duration,
    },
    /// The open door stays open for this long from now.
    Renewed {
        /// Time left.
        for_: Duration,
    },
    /// It ends earlier than it was to, after this long: its device may hold it for less now.
    Shortened {
        /// Time left.
        for_: Duration,
    },
    /// The lease ended.
    Closed {
        /// What ended it.
        why: Why,
    },
    /// The lease of a knockd.conf door is over, said before its stop command (`command timeout`).
    CommandTimeout,
    /// A command did not end with status 0 (knockd: `command returned non-zero status code (N)`).
    CommandFailed {
        /// Which one.
        part: Part,
        /// How it ended.
        outcome: Outcome,
    },
    /// A command ran over its time limit.
    TimeLimit {
        /// Which one.
        part: Part,
        /// What it gets.
        signal: Signal,
    },
    /// The opening was refused.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// A command line is too long with the address put in; neither command is run.
    TooLong {
        /// Which one.
        part: Part,
    },
    /// The door could not be closed; it is tried again.
    StopRetry {
        /// How often it was tried so far.
        tries: u32,
        /// When it is tried again, from now.
        after: Duration,
    },
    /// The door could not be closed for so long that somebody has to look: the loudest line of `status`.
    CannotClose {
        /// How often it was tried.
        tries: u32,
        /// When it is tried again, from now. `None`: by its deadline, which is the kernel's, or with what opens it anew.
        after: Option<Duration>,
    },
    /// The kernel refused the element; text from the one who asked it.
    ElementFailed {
        /// Start: the opening or renewal failed. Stop: the removal did.
        part: Part,
        /// What it said.
        fault: String,
    },
    /// The journal could not be written; it is tried again after this time.
    JournalBehind {
        /// From now.
        after: Duration,
    },
    /// A lease of an earlier run was taken over, with this much time left.
    TakenOver {
        /// Time left; zero when it was overdue.
        left: Duration,
    },
}

/// What ended a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its time was over.
    Expired,
    /// A close knock or the administrator.
    Asked,
    /// Its start command failed, so the stop command ran at once.
    StartFailed,
    /// The daemon is going down and closes its doors.
    Shutdown,
    /// It was asked to close before its start command had its turn.
    Withdrawn,
    /// Another boot or another life of the daemon opened it, and it was overdue.
    Overdue,
    /// Others flushed its set or took it away, and policy is not to put elements back.
    Flushed,
    /// Somebody took its element out of the set by hand.
    Removed,
    /// Its element went with the set of a door that is gone, or does something else now.
    DoorGone,
}

/// Why an opening was refused; counted by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is no such door.
    NoSuchDoor,
    /// The door has no command or set for the client's address family.
    NothingForFamily,
    /// A command line is too long.
    TooLong,
    /// The source holds as many leases as it may.
    TooManyOfSource,
    /// The source holds as many leases of this door as it may.
    TooManyOfPair,
    /// The door holds as many leases as it may.
    TooManyOfDoor,
    /// Too many commands wait for their turn, this door's among them.
    QueueFull,
    /// It waited, and made room for a door that had fewer waiting.
    Displaced,
    /// The journal entry could not be made durable, so the start command was not run.
    NotDurable,
    /// The start command could not be started.
    NotStarted,
    /// The kernel refused the element.
    ElementFailed,
    /// The daemon is going down.
    ShuttingDown,
}

/// Totals since the runner was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Doors opened.
    pub opened: u64,
    /// Leases renewed.
    pub renewed: u64,
    /// Leases ended.
    pub closed: u64,
    /// Commands started.
    pub commands: u64,
    /// Commands that did not end with status 0.
    pub commands_failed: u64,
    /// Commands that ran over their time limit.
    pub over_time: u64,
    /// Attempts to close that failed.
    pub stops_failed: u64,
    /// Journal writes that failed.
    pub journal_failed: u64,
    /// Openings refused, by reason.
    pub refused: BTreeMap<Reason, u64>,
}

impl Counters {
    pub(crate) fn refuse(&mut self, reason: Reason) {
        bump(self.refused.entry(reason).or_insert(0));
    }
}

pub(crate) fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}
