//! Keys that are read at start only: where things are, and how large. A reload or a trial that changes one of them says so and goes on,
//! since what else stands in the file may be wanted at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_config::{Capture, Diagnostic, Place, Policy, Source as Text};
use aldaba_sys::files::PidFile;

use super::Monitor;
use crate::source::{Read, Texts};

/// What they were when they were read.
#[derive(Debug)]
pub(super) struct StartOnly {
    state_dir: Option<PathBuf>,
    control: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    capture: Capture,
    /// Of the worker that serves: the room it has is made when it starts.
    attempts: usize,
}

impl StartOnly {
    pub(super) fn of(policy: &Policy) -> Self {
        let daemon = &policy.daemon;
        Self {
            state_dir: daemon.state_dir.clone(),
            control: daemon.control.clone(),
            pid_file: daemon.pid_file.clone(),
            capture: daemon.capture,
            attempts: policy.gate.attempts,
        }
    }

    /// A worker with this policy serves.
    pub(super) const fn worker_has(&mut self, policy: &Policy) {
        self.attempts = policy.gate.attempts;
    }

    /// Room for so many attempts is what the worker has.
    pub(super) const fn attempts(&self) -> usize {
        self.attempts
    }

    /// What is another value in `new`: the key, and what is in force. Of the folder and the socket it is what is used, whatever the file
    /// said.
    fn changed(&self, new: &Policy, folder: &Path, socket: Option<&Path>) -> Vec<(&'static str, String)> {
        let daemon = &new.daemon;
        let moved = |before: &Option<PathBuf>, now: &Option<PathBuf>| before != now;
        let is = |used: Option<&Path>| {
            used.map_or_else(
                || "in force is none".to_owned(),
                |used| format!("in force is {}", used.display()),
            )
        };
        let all = [
            (
                "state-dir",
                moved(&self.state_dir, &daemon.state_dir) && daemon.state_dir.as_deref() != Some(folder),
                is(Some(folder)),
            ),
            (
                "control",
                moved(&self.control, &daemon.control) && daemon.control.as_deref() != socket,
                is(socket),
            ),
            ("pid-file", moved(&self.pid_file, &daemon.pid_file), is(self.pid_file.as_deref())),
            ("capture", self.capture != daemon.capture, format!("in force is {:?}", word(self.capture))),
            ("attempts", self.attempts != new.gate.attempts, format!("in force is {}", self.attempts)),
        ];
        all.into_iter().filter(|(_, changed, _)| *changed).map(|(key, _, used)| (key, used)).collect()
    }
}

/// When it counts.
const NEXT_START: &str = "it counts from the next start: systemctl restart aldabad";
/// Why the configuration has no say.
const TOLD: &str = "it does not count: --state-dir, or STATE_DIRECTORY of the service manager, says where";

const fn word(capture: Capture) -> &'static str {
    match capture {
        Capture::Ring => "ring",
        Capture::Pnet => "pnet",
    }
}

/// Where the key stands; the first of the files as a whole where it does not begin a line, as when it was taken out.
fn place(texts: &Texts, key: &str) -> Option<Place> {
    let text = |(path, bytes): &(PathBuf, zeroize::Zeroizing<Vec<u8>>)| {
        Text::new(path.display().to_string(), bytes.to_vec())
    };
    let stands = texts.iter().find_map(|file| Some((file, find(&file.1, key)?)));
    match stands {
        Some((file, at)) => Some(text(file).at(at..at.saturating_add(key.len()))),
        None => texts.first().map(|file| text(file).whole()),
    }
}

fn find(bytes: &[u8], key: &str) -> Option<usize> {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let begin = line.len().saturating_sub(line.trim_ascii_start().len());
        let rest = line.trim_ascii_start().strip_prefix(key.as_bytes()).map(<[u8]>::trim_ascii_start);
        if rest.is_some_and(|rest| rest.starts_with(b"=")) {
            return Some(at + begin);
        }
        at += line.len();
    }
    None
}

impl Monitor {
    /// What of a new policy has to wait for the next start.
    pub(super) fn waits_for_start(&self, read: &Read) -> Vec<Diagnostic> {
        // knockd says nothing of it: its configuration has but the pid file.
        if self.face.is_knockd() {
            return Vec::new();
        }
        let changed = self.start_only.changed(&read.loaded.policy, &self.state_folder, self.control.path());
        let warning = |(key, used): (&'static str, String)| {
            let place = place(&read.texts, key)?;
            let message = format!("{key} is read at start only: {used}");
            let warning = Diagnostic::warning("next-start", &place, message);
            if key != "state-dir" {
                return Some(warning.help(NEXT_START));
            }
            if self.policy.overrides().state_dir {
                return Some(warning.help(TOLD));
            }
            let folder = self.state_folder.display();
            let left = format!(
                "what commands hold open then is closed from {folder} all the same, each at its time"
            );
            let along = format!(
                "to take replay records along, stop the daemon and move {folder} before it is started"
            );
            Some(warning.help(NEXT_START).help(left).help(along))
        };
        changed.into_iter().filter_map(warning).collect()
    }

    /// Writes the process number where the configuration wants it; where it cannot be written, that is said and done without.
    pub(crate) fn write_process_number(&mut self, now: Duration) {
        let Some(path) = &self.start_only.pid_file else { return };
        let path = self.policy.source().resolve(path);
        match PidFile::create(&path) {
            Ok(file) => self.keep_pid_file(file),
            Err(error) => {
                let error = format!("{}: {error}", path.display());
                self.health.note(now, "pid-file", &error);
                let line = format!("degraded what=pid-file error={}", crate::wording::quoted(&error));
                self.speech.tell(crate::log::Level::Warning, line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_begins_a_line() {
        let text = b"# control = 1\ncontrols = 2\n  control = \"/x\"\n";
        assert_eq!(find(text, "control"), Some(29));
        assert_eq!(find(text, "capture"), None);
    }
}
