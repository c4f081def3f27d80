//! What the monitor has to do for the runner (spec/leases.md, "Effects").
//!
//! Plain values in a fixed order; performing them is the monitor's part.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::door::Style;
use crate::event::Event;
use crate::lease::{LeaseId, Place};
use crate::record::Record;
use crate::template::Rendered;

/// A command the monitor runs; never used again in the life of a [`crate::Runner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Which of a door's two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The one that opens.
    Start,
    /// The one that closes.
    Stop,
}

/// From TERM to KILL. With what it takes to find all that a command has started, nothing of it lives a second after its time limit.
pub const KILL_AFTER: Duration = Duration::from_millis(800);

/// How a command over its time limit is ended; for its whole process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// A change of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This record is written, in place of an older one of its lease.
    Put(Record),
    /// The lease's record goes; one that is not there is fine.
    Remove(LeaseId),
}

impl Change {
    /// Whose record it concerns.
    #[must_use]
    pub const fn lease(&self) -> LeaseId {
        match self {
            Self::Put(record) => record.id,
            Self::Remove(lease) => *lease,
        }
    }
}

/// A change of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementChange {
    /// Whose element.
    pub lease: LeaseId,
    /// Which set.
    pub place: Place,
    /// The element.
    pub address: IpAddr,
    /// Put it in, or give it this new timeout there: when the kernel drops it; never zero, which would mean "never" to the
    /// kernel. `None`: take it out; one that is not there counts as done.
    pub timeout: Option<Duration>,
    /// The lease has just begun, and nothing of it has been put in yet.
    pub is_new: bool,
}

/// One thing to do. See [`crate::Runner::poll_effect`] for the order that binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make these changes before the next effect, in their order and in one transaction; for each lease of which one failed,
    /// call [`crate::Runner::journal_failed`].
    Journal(Vec<Change>),
    /// Start a command; tell its end, or that it could not be started, with [`crate::Runner::command_finished`].
    Spawn {
        /// Names the command from here on.
        job: JobId,
        /// Whose command it is.
        lease: LeaseId,
        /// Which one.
        part: Part,
        /// The door's name.
        door: Arc<str>,
        /// Whose rules for environment, output and descriptors it follows.
        style: Style,
        /// What to run. An empty shell line is run too (an empty `stop_command`).
        command: Rendered,
        /// For information: the runner itself asks for the signals when it is over.
        time_limit: Option<Duration>,
    },
    /// Signal the process groups of these commands. One may have ended meanwhile: then there is nothing to do for it.
    Signal {
        /// Which commands: all that have run too long at this moment, since what they have started is found for all of them at once.
        jobs: Vec<JobId>,
        /// Which signal.
        signal: Signal,
    },
    /// Make these changes, each whole or not at all; all in one transaction where that can be. Answer for each, in their order,
    /// with [`crate::Runner::element_done`] or [`crate::Runner::element_failed`].
    Elements(Vec<ElementChange>),
    /// Say it in the log, in the words of the program's face.
    Log(Event),
}
