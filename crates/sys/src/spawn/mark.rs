//! What tells the processes of one confined command from all others, whatever they shed of it.
//!
//! Environment, session, group, parent and user can all be left behind on purpose or by the way (`env -i`, `setsid`, a second
//! fork, `setpriv`). Resource limits cannot: every process has those of the one that started it until somebody changes
//! them, and they are shown to every user. The one that is used here is `RLIMIT_LOCKS`, which the kernel has not heeded since 2.4.25: its soft
//! value bears the mark, and nothing else of a command changes with it.

use std::time::Duration;

/// The limit that bears the mark.
pub(super) const RESOURCE: libc::__rlimit_resource_t = libc::RLIMIT_LOCKS;
/// Its line in `/proc/PID/limits`.
const LINE: &str = "Max file locks";
/// Bits of a process number (`PID_MAX_LIMIT`).
const PID_BITS: u32 = 22;

/// A command's first process, by its number and the time it began: so it can be told from a note, by processes that have not started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// The mark of a command whose first process has this number and began then, in the kernel's ticks since boot.
    #[must_use]
    pub const fn of(pid: u32, began: u64) -> Option<Self> {
        let fits = began > 0 && began >> (u64::BITS - PID_BITS) == 0 && pid >> PID_BITS == 0;
        if fits { Some(Self(began << PID_BITS | pid as u64)) } else { None }
    }

    pub(super) const fn value(self) -> u64 {
        self.0
    }

    /// The command's own process.
    pub(super) const fn first(self) -> (u32, u64) {
        let pid = self.0 & ((1 << PID_BITS) - 1);
        (pid as u32, self.0 >> PID_BITS)
    }

    /// The number of the command's own process.
    #[must_use]
    pub const fn pid(self) -> u32 {
        self.first().0
    }

    /// When the command's own process began, on the clock that counts through suspend.
    #[must_use]
    pub fn began(self) -> Duration {
        let (_, ticks) = self.first();
        // SAFETY: a number.
        let a_second = u32::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(0).max(1);
        let (whole, rest) = (ticks / u64::from(a_second), ticks % u64::from(a_second));
        Duration::from_secs(whole).saturating_add(Duration::from_secs(rest) / a_second)
    }

    /// The one that this process bears, if any.
    pub(super) fn borne_by(pid: u32) -> Option<Self> {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let mark = limits.lines().find_map(|line| line.strip_prefix(LINE))?;
        // Without a mark it says "unlimited".
        mark.split_whitespace().next()?.parse().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_process_and_its_time() {
        let last = (1 << PID_BITS) - 1;
        for first in [(1, 1), (last, 1), (4711, (1 << 42) - 1)] {
            assert_eq!(Mark::of(first.0, first.1).unwrap().first(), first);
        }
        // Not all bits of both: that would be "unlimited".
        assert_ne!(Mark::of(last, (1 << 42) - 2).unwrap().value(), libc::RLIM_INFINITY);
        for (pid, began) in [(1, 0), (1 << PID_BITS, 1), (1, 1 << 42)] {
            assert_eq!(Mark::of(pid, began), None);
        }
    }

    #[test]
    fn a_process_began_when_its_mark_says() {
        let began = Mark::of(1, crate::process::start_time(crate::process::id()).unwrap()).unwrap().began();
        let age = crate::clock::boottime().checked_sub(began).expect("in the past");
        assert!(age < Duration::from_secs(600), "{age:?}");
    }

    #[test]
    fn who_bears_none_has_none() {
        assert_eq!(Mark::borne_by(crate::process::id()), None);
        assert_eq!(Mark::borne_by(u32::MAX), None);
    }
}
