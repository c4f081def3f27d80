//! What does not work at this moment: what was noted when it failed and is forgotten when it works, and what the parts know
//! of themselves. The log says when something happens; this says what still holds (spec/control.md, "STATUS").

mod parts;

use std::collections::BTreeMap;
use std::time::Duration;

/// It is said once a minute while a lock's users are being shut out: for so long after that it is true.
const SHUT_OUT_LASTS: Duration = Duration::from_secs(70);

/// Requests that were lost are told of for so long after the last one.
const LOSSES_LAST: Duration = Duration::from_secs(120);

/// What is remembered of the daemon's condition.
#[derive(Debug)]
pub(super) struct Health {
    /// When the daemon was started.
    pub(super) started: Duration,
    /// When the policy in force came into force.
    pub(super) in_force: Duration,
    /// Requests of the worker that were lost because too many came at once, since the start.
    requests_lost: u64,
    losses: Option<Losses>,
    faults: BTreeMap<&'static str, Fault>,
    /// The lock whose users were being shut out last, from 1, and when that was said.
    shut_out: Option<(Duration, u16)>,
}

/// Losses that follow one another.
#[derive(Debug)]
struct Losses {
    since: Duration,
    last: Duration,
    requests: u64,
}

#[derive(Debug)]
struct Fault {
    since: Duration,
    error: String,
    grave: bool,
}

impl Health {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            started: now,
            in_force: now,
            requests_lost: 0,
            losses: None,
            faults: BTreeMap::new(),
            shut_out: None,
        }
    }

    /// This failed, and the doors open and close all the same.
    pub(super) fn note(&mut self, now: Duration, what: &'static str, error: &str) {
        self.remember(now, what, error, false);
    }

    /// This failed, and so somebody is shut out, or a door stands open or may.
    pub(super) fn note_grave(&mut self, now: Duration, what: &'static str, error: &str) {
        self.remember(now, what, error, true);
    }

    fn remember(&mut self, now: Duration, what: &'static str, error: &str, grave: bool) {
        let since = self.faults.get(what).map_or(now, |known| known.since);
        self.faults.insert(what, Fault { since, error: error.to_owned(), grave });
    }

    /// This works.
    pub(super) fn clear(&mut self, what: &'static str) {
        self.faults.remove(what);
    }

    /// Whether this failed the last time for the same reason.
    pub(super) fn is_noted_as(&self, what: &'static str, error: &str) -> bool {
        self.faults.get(what).is_some_and(|fault| fault.error == error)
    }

    /// Whether this failed the last time.
    pub(super) fn is_noted(&self, what: &'static str) -> bool {
        self.faults.contains_key(what)
    }

    /// So many requests of the worker were lost.
    pub(super) fn note_lost(&mut self, now: Duration, requests: u64) {
        self.requests_lost = self.requests_lost.saturating_add(requests);
        let (since, before) = self.lost_lately(now).unwrap_or((now, 0));
        self.losses = Some(Losses { since, last: now, requests: before.saturating_add(requests) });
    }

    /// Since when requests are being lost, and how many were; `None`: for a while none were.
    fn lost_lately(&self, now: Duration) -> Option<(Duration, u64)> {
        let Losses { since, last, requests } = self.losses.as_ref()?;
        (now.saturating_sub(*last) < LOSSES_LAST).then_some((*since, *requests))
    }

    /// How many were lost since the start.
    pub(super) const fn requests_lost(&self) -> u64 {
        self.requests_lost
    }

    /// A lock's users are being shut out.
    pub(super) const fn note_shut_out(&mut self, now: Duration, lock: u8) {
        self.shut_out = Some((now, (lock as u16).saturating_add(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_requests_are_told_of_for_two_minutes_after_the_last() {
        let (mut health, at) = (Health::new(Duration::ZERO), Duration::from_secs);
        assert_eq!(health.lost_lately(at(5)), None);
        health.note_lost(at(10), 3);
        health.note_lost(at(100), 4);
        assert_eq!(health.lost_lately(at(219)), Some((at(10), 7)));
        assert_eq!(health.lost_lately(at(220)), None);
        health.note_lost(at(300), 1);
        assert_eq!((health.lost_lately(at(301)), health.requests_lost()), (Some((at(300), 1)), 8));
    }

    #[test]
    fn a_fault_holds_since_it_was_noted_first_until_it_works() {
        let mut health = Health::new(Duration::ZERO);
        health.note(Duration::from_secs(5), "journal", "no space left");
        health.note_grave(Duration::from_secs(9), "journal", "read-only");
        let fault = health.faults.get("journal").expect("noted");
        assert_eq!(
            (fault.since, fault.error.as_str(), fault.grave),
            (Duration::from_secs(5), "read-only", true)
        );
        assert!(health.is_noted("journal"));
        assert!(
            health.is_noted_as("journal", "read-only") && !health.is_noted_as("journal", "no space left")
        );
        health.clear("journal");
        assert!(!health.is_noted("journal"));
    }
}
