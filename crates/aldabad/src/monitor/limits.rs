//! How many lines of each kind are written: what a stranger, or a worker that lies, can cause any number of has a burst, then
//! a steady trickle, and an honest count of the rest (docs/log.md, "Limits").

mod repeats;

use std::net::IpAddr;
use std::time::Duration;

use crate::budget::Budget;
use crate::control::Numbers;
use repeats::Repeats;

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
    /// What a source does again at a door: renewals and their like.
    Repeats,
    /// What the worker says of itself.
    Reports,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Refusals,
        Self::Requests,
        Self::Rejected,
        Self::Stages,
        Self::Doors,
        Self::Repeats,
        Self::Reports,
    ];

    /// Its name in the line that counts, and in `status`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refusals => "refusals",
            Self::Requests => "requests",
            Self::Rejected => "rejected",
            Self::Stages => "stages",
            Self::Doors => "doors",
            Self::Repeats => "repeats",
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
            // Each source has its own at each door: this is for the lines that count.
            Self::Repeats => Budget::new(1, 1),
        }
    }
}

/// The limits of all kinds.
#[derive(Debug)]
pub(super) struct Limits {
    budgets: [Budget; Kind::ALL.len()],
    repeats: Repeats,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budgets: Kind::ALL.map(Kind::budget), repeats: Repeats::default() }
    }
}

impl Limits {
    /// Whether a line may be written now; if not it is counted.
    pub(super) fn take(&mut self, now: Duration, kind: Kind) -> bool {
        self.budgets[kind as usize].take(now)
    }

    /// Whether this source has lines left for what it does again at this door; if not it is counted.
    pub(super) fn may_repeat(&mut self, now: Duration, door: &str, source: IpAddr) -> bool {
        let may = self.repeats.take(now, door, source);
        if !may {
            self.leave_out(Kind::Repeats, 1);
        }
        may
    }

    /// Counts lines that somebody else left out.
    pub(super) fn leave_out(&mut self, kind: Kind, lines: u64) {
        self.budgets[kind as usize].leave_out(lines);
    }

    /// A kind of which there is something to say, and how many lines were left out.
    pub(super) fn poll(&mut self, now: Duration) -> Option<(Kind, u64)> {
        Kind::ALL.into_iter().find_map(|kind| Some((kind, self.budgets[kind as usize].poll_left_out(now)?)))
    }

    /// When [`Limits::poll`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.budgets.iter().filter_map(Budget::poll_timeout).min()
    }

    /// All that was ever left out, by kind.
    pub(super) fn totals(&self) -> Numbers {
        Kind::ALL
            .into_iter()
            .map(|kind| (kind.name().to_owned(), self.budgets[kind as usize].total()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_renews_without_end_costs_few_lines_and_an_honest_count() {
        let (mut limits, source) = (Limits::default(), IpAddr::from([192, 0, 2, 7]));
        let (mut lines, mut counts, mut counted) = (0, 0, 0);
        // A thousand a second for five seconds.
        for millis in 0..5000 {
            let now = Duration::from_millis(100_000 + millis);
            lines += u64::from(limits.may_repeat(now, "ssh", source));
            while let Some((kind, left_out)) = limits.poll(now) {
                assert_eq!(kind, Kind::Repeats);
                counts += 1;
                counted += left_out;
            }
        }
        assert!(lines >= 50 && lines + counts <= 62, "{lines} lines, {counts} counts");
        let later = limits.poll_timeout().expect("something to say");
        counted += limits.poll(later).map_or(0, |(_, left_out)| left_out);
        assert_eq!((lines + counted, limits.totals()["repeats"]), (5000, counted));
    }

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
