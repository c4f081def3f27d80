//! A wall clock that a test sets under a running daemon, with what the kernel says of it.
//!
//! `clock=FILE` among the wishes: by how many seconds the clock is ahead stands in that file, `-3600` for one that is behind; behind it
//! `synchronised` or `doubtful`, where not what the kernel says is to count. Monitor and worker read it anew whenever they
//! look at the clock, the worker by a descriptor from before it locked itself in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::time::Duration;

use aldaba_sys::clock::{self, StepWatch};

/// The word before the file.
pub const CLOCK: &str = "clock";

/// How often it is looked at, in place of the kernel's notice of a step.
const LOOK: Duration = Duration::from_millis(10);

static SET: OnceLock<File> = OnceLock::new();

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set {
    ahead: i64,
    synchronised: Option<bool>,
}

/// Whether this wish is one for a clock, which counts from now on.
///
/// # Panics
/// When its file cannot be opened: a test must not pass because of a slip.
pub(super) fn heeds(word: &str) -> bool {
    let Some(path) = word.strip_prefix(CLOCK).and_then(|rest| rest.strip_prefix('=')) else { return false };
    SET.get_or_init(|| File::open(path).unwrap_or_else(|error| panic!("{CLOCK}: {path}: {error}")));
    true
}

impl Set {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let ahead = words.next()?.parse().ok()?;
        let synchronised = match words.next() {
            None => None,
            Some("synchronised") => Some(true),
            Some("doubtful") => Some(false),
            Some(_) => return None,
        };
        Some(Self { ahead, synchronised })
    }

    /// As it is set now, if a test sets it.
    fn now() -> Option<Self> {
        let mut bytes = [0; 64];
        let length = SET.get()?.read_at(&mut bytes, 0).unwrap_or_default();
        let text = str::from_utf8(&bytes[..length]).ok();
        Some(text.and_then(Self::read).unwrap_or_else(|| panic!("{CLOCK}: {bytes:?} is no time")))
    }

    fn of(self, wall: Duration) -> Duration {
        let by = Duration::from_secs(self.ahead.unsigned_abs());
        if self.ahead < 0 { wall.saturating_sub(by) } else { wall.saturating_add(by) }
    }
}

/// The wall clock, or that of a test.
pub(crate) fn wall() -> Duration {
    Set::now().map_or_else(clock::wall, |set| set.of(clock::wall()))
}

/// Whether somebody vouches for it, where that can be asked.
pub(crate) fn synchronised() -> Option<bool> {
    Set::now().and_then(|set| set.synchronised).or_else(clock::synchronised)
}

/// Its steps.
pub(crate) fn watch_steps() -> io::Result<StepWatch> {
    if SET.get().is_some() { StepWatch::of(wall, LOOK) } else { StepWatch::open() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_sets_is_read_and_slips_are_not() {
        let hour = Duration::from_secs(3600);
        let set = Set::read("-3600\n").expect("a time");
        assert_eq!((set.of(hour * 9), set.synchronised), (hour * 8, None));
        let set = Set::read("3600 doubtful").expect("a time");
        assert_eq!((set.of(hour * 9), set.synchronised), (hour * 10, Some(false)));
        assert_eq!(Set::read("0 synchronised").expect("a time").synchronised, Some(true));
        for slip in ["", "1h", "0 right"] {
            assert_eq!(Set::read(slip), None, "{slip:?}");
        }
        assert!(!heeds("before-put=kill") && !heeds("clock"));
    }
}
