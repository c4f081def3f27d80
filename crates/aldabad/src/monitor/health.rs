//! What does not work at this moment: what was noted when it failed and is forgotten when it works, and what the parts know
//! of themselves. The log says when something happens; this says what still holds (spec/control.md, "STATUS").

mod parts;

use std::collections::BTreeMap;
use std::time::Duration;

/// It is said once a minute while a lock's users are being shut out: for so long after that it is true.
const SHUT_OUT_LASTS: Duration = Duration::from_secs(70);

/// What is remembered of the daemon's condition.
#[derive(Debug)]
pub(super) struct Health {
    /// When the daemon was started.
    pub(super) started: Duration,
    /// When the policy in force came into force.
    pub(super) in_force: Duration,
    /// Requests of the worker that were lost because too many came at once.
    pub(super) requests_lost: u64,
    faults: BTreeMap<&'static str, Fault>,
    /// The lock whose users were being shut out last, from 1, and when that was said.
    shut_out: Option<(Duration, u16)>,
}

#[derive(Debug)]
struct Fault {
    since: Duration,
    error: String,
    grave: bool,
}

impl Health {
    pub(super) const fn new(now: Duration) -> Self {
        Self { started: now, in_force: now, requests_lost: 0, faults: BTreeMap::new(), shut_out: None }
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

    /// A lock's users are being shut out.
    pub(super) const fn note_shut_out(&mut self, now: Duration, lock: u8) {
        self.shut_out = Some((now, (lock as u16).saturating_add(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
