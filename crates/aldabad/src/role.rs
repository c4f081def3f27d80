//! Which part of the daemon this process plays. Worker and closer are the same program, started again from the
//! monitor's own descriptor under another name, so that they begin with an address space that holds nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

/// The first word of another process, as process lists show it; `None`: it is ending, and has no memory left to hold one.
#[must_use]
pub fn name_of(pid: u32) -> Option<OsString> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let name = words.split(|byte| *byte == 0).next()?;
    (!name.is_empty()).then(|| OsString::from_vec(name.to_vec()))
}

/// A part a process can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads packets, without privileges.
    Worker,
    /// Runs stop commands when the monitor is gone.
    Closer,
}

impl Role {
    /// The name under which the process is started and seen in `ps`.
    #[must_use]
    pub const fn argv0(self) -> &'static str {
        match self {
            Self::Worker => "aldabad: worker",
            Self::Closer => "aldabad: closer",
        }
    }

    /// The role this process was started for, if the monitor started it.
    #[must_use]
    pub fn of(arguments: &[OsString]) -> Option<Self> {
        let name = arguments.first().map(OsString::as_os_str)?;
        [Self::Worker, Self::Closer].into_iter().find(|role| name == OsStr::new(role.argv0()))
    }
}
