//! What the daemon finds around itself: read once, in main, and handed on.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

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
    /// Where the service manager listens.
    pub notify_socket: Option<OsString>,
    /// It restarts a daemon that gives no sign of life for so long.
    pub watchdog: Option<Duration>,
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
            notify_socket: std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()),
            watchdog: watchdog(
                std::env::var_os("WATCHDOG_USEC").as_deref(),
                std::env::var_os("WATCHDOG_PID").as_deref(),
            ),
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

/// `sd_watchdog_enabled(3)`: a time above zero, meant for this process.
fn watchdog(time: Option<&OsStr>, pid: Option<&OsStr>) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    let ours = pid.is_none_or(|pid| number(pid) == Some(u64::from(aldaba_sys::process::id())));
    let time = number(time?)?;
    (ours && time > 0).then_some(Duration::from_micros(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_for_the_process_it_names() {
        let of = |time: Option<&str>, pid: Option<&str>| watchdog(time.map(OsStr::new), pid.map(OsStr::new));
        let own = aldaba_sys::process::id().to_string();
        assert_eq!(of(Some("2000000"), None), Some(Duration::from_secs(2)));
        assert_eq!(of(Some("2000000"), Some(&own)), Some(Duration::from_secs(2)));
        for nothing in
            [of(Some("2000000"), Some("1")), of(Some("0"), None), of(Some("x"), None), of(None, None)]
        {
            assert_eq!(nothing, None);
        }
    }
}
