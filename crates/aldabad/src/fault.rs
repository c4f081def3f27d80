//! Named points at which a test makes the daemon die, hang or fail (docs/reliability.md, "Faults").
//!
//! Only a program built with the feature `faults` heeds them, and no program that is released is: without it the functions
//! here are empty, and `tests/house` sees that nothing of them is left.

use aldaba_runner::Part;

#[cfg(feature = "faults")]
mod armed;

#[cfg(feature = "faults")]
pub use armed::clock::CLOCK;
#[cfg(feature = "faults")]
pub(crate) use armed::clock::{synchronised, wall, watch_steps};
#[cfg(feature = "faults")]
pub use armed::{SHORT_PAUSES, VARIABLE, arm, at, pass};
#[cfg(feature = "faults")]
pub(crate) use armed::{pause, wish, without_wish};

/// A point, named after what it stands beside. The monitor passes them, and the worker the two of the replay store and the
/// one of its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A lease is about to be made durable.
    BeforePut,
    /// It is durable, and nobody knows yet.
    AfterPut,
    /// A record is about to be taken out of the journal.
    BeforeRemove,
    /// It is out.
    AfterRemove,
    /// A start command is about to be started.
    BeforeStart,
    /// It runs, and nobody knows yet.
    AfterStart,
    /// It has ended, and nobody knows yet.
    AfterStartEnded,
    /// A stop command is about to be started.
    BeforeStop,
    /// It runs, and nobody knows yet.
    AfterStop,
    /// It has ended, and nobody knows yet.
    AfterStopEnded,
    /// An element is about to go to the kernel.
    BeforeElement,
    /// The kernel has it, and nobody knows yet.
    AfterElement,
    /// An element is about to be taken out.
    BeforeElementDelete,
    /// It is out, and nobody knows yet.
    AfterElementDelete,
    /// The replay record of a datagram is about to be made durable.
    BeforeCommit,
    /// It is durable, and nobody knows yet.
    AfterCommit,
    /// A line is about to go into the log file.
    BeforeLogWrite,
    /// The kernel's notices of changes to the firewall are about to be asked for.
    BeforeWatch,
    /// Datagrams are about to be read from their socket.
    BeforeReceive,
}

impl Point {
    /// Before a command is started.
    pub(crate) const fn before(part: Part) -> Self {
        match part {
            Part::Start => Self::BeforeStart,
            Part::Stop => Self::BeforeStop,
        }
    }

    /// After it was started.
    pub(crate) const fn after(part: Part) -> Self {
        match part {
            Part::Start => Self::AfterStart,
            Part::Stop => Self::AfterStop,
        }
    }

    /// After it has ended.
    pub(crate) const fn ended(part: Part) -> Self {
        match part {
            Part::Start => Self::AfterStartEnded,
            Part::Stop => Self::AfterStopEnded,
        }
    }
}

/// Reads what is wished for. To be called first of all.
#[cfg(not(feature = "faults"))]
pub(crate) const fn arm() {}

/// The process may die or hang here, or what follows fail with this error.
#[cfg(not(feature = "faults"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it fails")]
pub(crate) const fn at(_: Point) -> std::io::Result<()> {
    Ok(())
}

/// The process may die or hang here.
#[cfg(not(feature = "faults"))]
pub(crate) const fn pass(_: Point) {}

/// A pause before something is tried again; of a fiftieth of its length where a test cannot wait.
#[cfg(not(feature = "faults"))]
pub(crate) const fn pause(pause: std::time::Duration) -> std::time::Duration {
    pause
}

/// The wall clock, or that of a test.
#[cfg(not(feature = "faults"))]
pub(crate) fn wall() -> std::time::Duration {
    aldaba_sys::clock::wall()
}

/// Whether somebody vouches for it, where that can be asked.
#[cfg(not(feature = "faults"))]
pub(crate) fn synchronised() -> Option<bool> {
    aldaba_sys::clock::synchronised()
}

/// Its steps.
#[cfg(not(feature = "faults"))]
pub(crate) fn watch_steps() -> std::io::Result<aldaba_sys::clock::StepWatch> {
    aldaba_sys::clock::StepWatch::open()
}

/// What a worker is told of it, as its last argument: it begins without an environment.
#[cfg(not(feature = "faults"))]
pub(crate) const fn wish() -> Option<std::ffi::OsString> {
    None
}

/// A role's arguments without that.
#[cfg(not(feature = "faults"))]
pub(crate) const fn without_wish(arguments: &[std::ffi::OsString]) -> &[std::ffi::OsString] {
    arguments
}
