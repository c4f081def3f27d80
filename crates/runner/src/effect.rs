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

/// How a command over its time limit is ended; for its whole process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// One thing to do. See [`crate::Runner::poll_effect`] for the order that binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make this record durable before the next effect; on failure call [`crate::Runner::journal_failed`].
    JournalPut(Record),
    /// Take the record away; on failure call [`crate::Runner::journal_failed`].
    JournalRemove(LeaseId),
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
    /// Signal the command's process group. The command may have ended meanwhile: then there is nothing to do.
    Signal {
        /// Which command.
        job: JobId,
        /// Which signal.
        signal: Signal,
    },
    /// Put the address into the set, or give it a new timeout there, in one transaction; answer with
    /// [`crate::Runner::element_done`] or [`crate::Runner::element_failed`].
    SetElement {
        /// Whose element.
        lease: LeaseId,
        /// Which set.
        place: Place,
        /// The element.
        address: IpAddr,
        /// When the kernel drops it; never zero, which would mean "never" to the kernel.
        timeout: Duration,
    },
    /// Take the address out of the set (one that is not there counts as done); answer as for `SetElement`.
    DeleteElement {
        /// Whose element.
        lease: LeaseId,
        /// Which set.
        place: Place,
        /// The element.
        address: IpAddr,
    },
    /// Say it in the log, in the words of the program's face.
    Log(Event),
}
