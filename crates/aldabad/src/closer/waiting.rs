//! How a closer waits for the lock that somebody else has: for as long as it takes. Whoever has it may be a daemon that could not
//! start, `aldabad reap`, a monitor that the kernel cannot clear away, and none of them closes what is due later.

use std::path::Path;
use std::time::Duration;

use crate::role::{self, Role};

/// How soon to look again: a monitor that has ended mostly has let go of its lock at once, but the kernel may take seconds to
/// clear up after it.
const SOON: Duration = Duration::from_millis(5);
const SLOWLY: Duration = Duration::from_millis(100);
/// A door that is due closes within about this time of the lock's being free.
const LONGEST: Duration = Duration::from_millis(500);
/// So many looks are taken before the pause grows.
const LOOKS: u32 = 100;

/// Looks that found the lock taken, one after the other.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    looks: u32,
}

impl Waiting {
    /// One more. How soon to look again.
    pub(super) fn held(&mut self) -> Duration {
        self.looks = self.looks.saturating_add(1);
        match self.looks {
            0..=LOOKS => SOON,
            looks if looks <= LOOKS.saturating_mul(2) => SLOWLY,
            _ => LONGEST,
        }
    }

    /// Whether it is taken for longer than a turn, or the end of a process, takes.
    pub(super) const fn is_long(&self) -> bool {
        self.looks > LOOKS
    }

    /// The lock was free.
    pub(super) const fn free(&mut self) {
        self.looks = 0;
    }
}

/// Whether these leases have a younger closer: who holds the lock is a daemon, lives, and has started one of its own.
pub(super) fn is_relieved(holder: Option<u32>, folder: &Path) -> bool {
    holder.is_some_and(|holder| role::has_another_closer(holder, folder))
}

/// Whether who holds the lock is a daemon, or another process but a closer, and lives: what it holds is its own.
pub(super) fn lives(holder: Option<u32>) -> bool {
    holder.and_then(role::name_of).is_some_and(|name| Role::of(&[name]) != Some(Role::Closer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_a_lock_that_is_held_is_waited_for_without_end_and_seen_free_within_a_second() {
        let mut waiting = Waiting::default();
        let mut waited = Duration::ZERO;
        while waited < Duration::from_secs(24 * 60 * 60) {
            let pause = waiting.held();
            assert!(pause <= Duration::from_millis(500), "{pause:?} after {waited:?}");
            assert!(pause <= SOON || waited >= SOON * 100, "a monitor that ends is not waited for longer");
            waited += pause;
        }
        assert!(waiting.is_long());
        waiting.free();
        assert!(!waiting.is_long());
        assert_eq!(waiting.held(), SOON);
    }

    #[test]
    fn nobody_is_relieved_by_a_process_without_a_closer() {
        let folder = Path::new("/var/lib/aldaba");
        assert!(!is_relieved(None, folder));
        assert!(!is_relieved(Some(std::process::id()), folder));
    }

    #[test]
    fn a_process_that_holds_the_lock_lives_until_it_has_ended() {
        assert!(lives(Some(std::process::id())));
        assert!(!lives(None) && !lives(Some(u32::MAX)));
    }
}
