//! How many lines of each kind are written: what a stranger, or a worker that lies, can cause any number of has a burst, then
//! a steady trickle, and an honest count of the rest (docs/log.md, "Limits").

use std::time::Duration;

use crate::budget::Budget;
use crate::control::Numbers;

/// Lines that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Openings and requests that were refused.
    Refusals,
    /// What devices ask for.
    Requests,
    /// Refused datagrams.
    Rejected,
    /// Steps of sequences.
    Stages,
    /// What becomes of doors.
    Doors,
    /// What the worker says of itself.
    Reports,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Refusals, Self::Requests, Self::Rejected, Self::Stages, Self::Doors, Self::Reports];

    /// Its name in the line that counts, and in `status`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refusals => "refusals",
            Self::Requests => "requests",
            Self::Rejected => "rejected",
            Self::Stages => "stages",
            Self::Doors => "doors",
            Self::Reports => "reports",
        }
    }

    /// So many at once, and then so many a second.
    const fn budget(self) -> Budget {
        match self {
            Self::Refusals | Self::Reports => Budget::new(50, 1),
            // The worker has the same limit for both of them together: this one bites where it does not keep to that.
            Self::Stages | Self::Rejected => Budget::new(100, 2),
            Self::Requests => Budget::new(500, 10),
            // As many as there can be leases of two doors, all at once: an honest daemon never comes near it.
            Self::Doors => Budget::new(8192, 50),
        }
    }
}

/// The limits of all kinds.
#[derive(Debug)]
pub(super) struct Limits([Budget; Kind::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(Kind::ALL.map(Kind::budget))
    }
}

impl Limits {
    /// Whether a line may be written now; if not it is counted.
    pub(super) fn take(&mut self, now: Duration, kind: Kind) -> bool {
        self.0[kind as usize].take(now)
    }

    /// Counts lines that somebody else left out.
    pub(super) fn leave_out(&mut self, kind: Kind, lines: u64) {
        self.0[kind as usize].leave_out(lines);
    }

    /// A kind of which there is something to say, and how many lines were left out.
    pub(super) fn poll(&mut self, now: Duration) -> Option<(Kind, u64)> {
        Kind::ALL.into_iter().find_map(|kind| Some((kind, self.0[kind as usize].poll_left_out(now)?)))
    }

    /// When [`Limits::poll`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.0.iter().filter_map(Budget::poll_timeout).min()
    }

    /// All that was ever left out, by kind.
    pub(super) fn totals(&self) -> Numbers {
        Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), self.0[kind as usize].total())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_limit_of_its_own_and_an_honest_count() {
        let now = Duration::from_secs(100);
        for kind in Kind::ALL {
            let mut limits = Limits::default();
            let said = (0..1_000_000_u64).filter(|_| limits.take(now, kind)).count();
            assert!(said <= 8192, "{kind:?}: {said}");
            assert!(kind == Kind::Doors || said <= 500, "{kind:?}: {said}");
            let left_out = 1_000_000 - u64::try_from(said).expect("few");
            assert_eq!(limits.poll(now), None, "no room to say it");
            let later = limits.poll_timeout().expect("something to say");
            assert_eq!(limits.poll(later), Some((kind, left_out)));
            assert_eq!((limits.poll(later), limits.totals()[kind.name()]), (None, left_out));
            // The others are as they were.
            assert!(
                Kind::ALL.into_iter().filter(|other| *other != kind).all(|other| limits.take(now, other))
            );
        }
    }
}
