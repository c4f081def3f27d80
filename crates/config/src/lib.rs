//! aldaba.toml or knockd.conf to one validated [`Policy`].
//!
//! Both kinds of file end as the same values. Everything that is wrong is said at once, each with file, line, column,
//! the line itself, a caret and what to do; a file is taken whole or not at all. What is legal but cannot work, or is
//! unsafe, is a warning. [`explain`] writes any policy as aldaba.toml, which is how a knockd.conf migrates.
//!
//! Nothing here starts, opens or changes anything: files come through [`Files`], so that the worker builds its
//! policy from the very bytes the monitor read ([`Bundle`]).
#![forbid(unsafe_code)]

mod bundle;
mod diagnostic;
mod files;
mod policy;

pub use bundle::{Bundle, BundleError};
pub use diagnostic::{Diagnostic, Paint, Place, Report, Severity, Source};
pub use files::{Disk, FileBytes, FileFacts, Files, LARGEST_FILE};
pub use policy::{Capture, Current, Daemon, Interfaces, Log, OnExit, OneTime, Policy};

use std::path::Path;

/// Which grammar a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// aldaba.toml.
    Toml,
    /// knockd.conf.
    Knockd,
}

impl Kind {
    /// By its name: `.toml` is ours, anything else knockd's.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|extension| extension == "toml") {
            Self::Toml
        } else {
            Self::Knockd
        }
    }
}

/// How a configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Doubtful things that the original accepts are errors; what `check` does.
    pub strict_check: bool,
    /// It is read again by a running daemon: a used-up file of one-time sequences closes its door only.
    pub reload: bool,
    /// The user the daemon was started by; besides root, the only legitimate owner of its files.
    pub own_uid: u32,
}

/// A configuration that was taken.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub policy: Policy,
    /// What is doubtful in it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a configuration; it is taken whole or refused with every problem named.
pub fn load(kind: Kind, path: &Path, files: &mut dyn Files, options: &Options) -> Result<Loaded, Report> {
    let _ = (kind, files, options);
    let place = Source::new(path.display().to_string(), Vec::new()).whole();
    Err(Report::new(vec![Diagnostic::error(
        "unreadable",
        &place,
        "not read yet",
    )]))
}

/// The policy as the text of an aldaba.toml that means the same.
#[must_use]
pub fn explain(policy: &Policy) -> String {
    format!("{policy:?}")
}
