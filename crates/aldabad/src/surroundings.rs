//! What the daemon finds around itself: read once, in main, and handed on.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Environment and identity of the process.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Its words, the name first.
    pub arguments: Vec<OsString>,
    /// The effective user.
    pub uid: u32,
    /// Standard error is systemd's journal.
    pub journal: bool,
    /// The state folder systemd has made.
    pub state_directory: Option<OsString>,
    /// The folder for sockets systemd has made.
    pub runtime_directory: Option<OsString>,
}

impl Surroundings {
    /// This process's.
    #[must_use]
    pub fn of_this_process() -> Self {
        let stream = std::env::var_os("JOURNAL_STREAM");
        Self {
            arguments: std::env::args_os().collect(),
            uid: aldaba_sys::process::effective_uid(),
            journal: stream.as_deref().is_some_and(is_standard_error),
            state_directory: std::env::var_os("STATE_DIRECTORY"),
            runtime_directory: std::env::var_os("RUNTIME_DIRECTORY"),
        }
    }

    /// The first of systemd's folders for sockets.
    #[must_use]
    pub fn runtime_folder(&self) -> Option<&Path> {
        let first = self.runtime_directory.as_deref()?.to_str()?.split(':').next()?;
        (!first.is_empty()).then(|| Path::new(first))
    }
}

/// systemd names the device and inode of the stream it has connected (systemd.exec(5)).
fn is_standard_error(stream: &OsStr) -> bool {
    let Some((device, inode)) = stream.to_str().and_then(|text| text.split_once(':')) else { return false };
    let Some(of_stderr) = aldaba_sys::files::identity_of_stderr() else { return false };
    device.parse() == Ok(of_stderr.0) && inode.parse() == Ok(of_stderr.1)
}
