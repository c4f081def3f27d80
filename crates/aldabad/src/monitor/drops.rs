//! What the kernel has counted at the captures: packets, and those it dropped because the worker did not keep up.
//!
//! The monitor is the only one who reads the kernel's counters, since reading resets them; what a capture that is gone has
//! counted stays. Looked at once a minute, so that none of them runs over and a loss is said while it lasts.

use std::collections::BTreeMap;
use std::time::Duration;

use aldaba_sys::capture::Statistics;

/// How often it is looked at, at least.
const EVERY: Duration = Duration::from_secs(60);

/// The counters by the interfaces' names.
#[derive(Debug, Default)]
pub(super) struct Drops {
    of: BTreeMap<String, Counted>,
    /// When it is looked at next.
    due: Option<Duration>,
}

#[derive(Debug, Default)]
struct Counted {
    /// By captures that are gone.
    past: Statistics,
    /// By the one there is.
    now: Statistics,
    lately: Lately,
}

/// How much of a number that only grows is of late.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lately {
    /// What it was a minute ago.
    before: u64,
    /// What came in the minute before that.
    last: u64,
}

impl Lately {
    /// What came within the last minute or two.
    pub(super) const fn of(self, number: u64) -> u64 {
        self.last.saturating_add(number.saturating_sub(self.before))
    }

    /// A minute is over: what came in it.
    pub(super) const fn pulse(&mut self, number: u64) -> u64 {
        self.last = number.saturating_sub(self.before);
        self.before = number;
        self.last
    }
}

impl Counted {
    fn total(&self) -> Statistics {
        Statistics {
            packets: self.past.packets.saturating_add(self.now.packets),
            drops: self.past.drops.saturating_add(self.now.drops),
        }
    }
}

impl Drops {
    /// A capture has counted this since it was opened.
    pub(super) fn note(&mut self, name: &str, counted: Statistics) {
        if let Some(known) = self.of.get_mut(name) {
            known.now = counted;
        } else {
            self.of.insert(name.to_owned(), Counted { now: counted, ..Counted::default() });
        }
    }

    /// A capture is gone; the next one counts from zero.
    pub(super) fn retire(&mut self, name: &str, counted: Statistics) {
        self.note(name, counted);
        if let Some(known) = self.of.get_mut(name) {
            known.past = known.total();
            known.now = Statistics::default();
        }
    }

    /// What was counted on an interface.
    pub(super) fn of(&self, name: &str) -> Statistics {
        self.of.get(name).map(Counted::total).unwrap_or_default()
    }

    /// Packets the kernel has dropped there within the last minute or two.
    pub(super) fn lately(&self, name: &str) -> u64 {
        self.of.get(name).map_or(0, |counted| counted.lately.of(counted.total().drops))
    }

    /// When [`Drops::pulse`] is to be called.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }

    /// A minute is over: what was dropped in it, by interface. Those that nobody captures on any more are forgotten.
    pub(super) fn pulse(&mut self, now: Duration, is_wanted: impl Fn(&str) -> bool) -> Vec<(String, u64)> {
        self.due = Some(now.saturating_add(EVERY));
        self.of.retain(|name, _| is_wanted(name));
        let mut dropped = Vec::new();
        for (name, counted) in &mut self.of {
            let drops = counted.lately.pulse(counted.total().drops);
            if drops > 0 {
                dropped.push((name.clone(), drops));
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counted(packets: u64, drops: u64) -> Statistics {
        Statistics { packets, drops }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_a_capture_that_is_gone_has_counted_stays() {
        let mut drops = Drops::default();
        drops.note("eth0", counted(10, 1));
        drops.note("eth0", counted(20, 2));
        drops.retire("eth0", counted(30, 3));
        drops.note("eth0", counted(5, 1));
        assert_eq!(drops.of("eth0"), counted(35, 4));
        assert_eq!(drops.of("eth1"), counted(0, 0));
    }

    #[test]
    fn drops_are_said_once_a_minute_and_are_of_late_for_one_more() {
        let mut drops = Drops::default();
        drops.note("eth0", counted(10, 0));
        assert_eq!(drops.pulse(at(60), |_| true), []);
        drops.note("eth0", counted(99, 7));
        assert_eq!(drops.lately("eth0"), 7, "at once");
        assert_eq!(drops.pulse(at(120), |_| true), [("eth0".to_owned(), 7)]);
        assert_eq!((drops.lately("eth0"), drops.poll_timeout()), (7, Some(at(180))));
        assert_eq!(drops.pulse(at(180), |_| true), []);
        assert_eq!(drops.lately("eth0"), 0);
        assert_eq!(drops.pulse(at(240), |_| false), []);
        assert_eq!(drops.of("eth0"), counted(0, 0), "nobody captures there any more");
    }
}
