//! Which part of the daemon this process plays. Worker and closer are the same program, started again from the
//! monitor's own descriptor under another name, so that they begin with an address space that holds nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// The first word of another process, as process lists show it; `None`: it is ending, and has no memory left to hold one.
#[must_use]
pub fn name_of(pid: u32) -> Option<OsString> {
    words_of(pid).into_iter().next()
}

/// All of them.
fn words_of(pid: u32) -> Vec<OsString> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let Some(words) = words.strip_suffix(&[0]) else { return Vec::new() };
    words.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// Whether this process is a monitor for which another closer than this process stands by in the folder. A kernel that does not
/// list children says no.
#[must_use]
pub fn has_another_closer(pid: u32, folder: &Path) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    // A monitor that is ending has its own children for a moment yet.
    children.filter(|child| *child != std::process::id()).any(|child| {
        let words = words_of(child);
        Role::of(&words) == Some(Role::Closer) && words.get(1).is_some_and(|of| Path::new(of) == folder)
    })
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
