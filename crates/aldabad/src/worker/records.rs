//! What the worker does with the replay store beside using it: its guard put up before the first request, taken down when it
//! is over, and records of removed devices forgotten.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use aldaba_gate::Gate;
use aldaba_gate::spa::{Moment, Timestamp};

use super::reporter::Reporter;
use crate::fault;
use crate::ipc::FromWorker;
use crate::replay::{KEPT, Replay};

/// How soon a store that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is seen whether the guard is over, at least.
const LOOK: Duration = Duration::from_secs(60);

/// A store that is not used yet, and what is due.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Its guard has not been read: until then every request is refused.
    unread: Option<Replay>,
    /// When to try that again.
    again: Option<Duration>,
    /// When to see whether the guard is over.
    look: Option<Duration>,
    /// When to go through the records.
    forget: Option<Duration>,
}

impl Records {
    /// The monitor hands over a store, or the same one again.
    pub(super) fn take(&mut self, file: OwnedFd) {
        self.unread = Some(Replay::in_file(File::from(file)));
    }

    /// A policy comes into force: its server may be a new one, which knows of no guard.
    pub(super) fn begin_anew(&mut self, reporter: &mut Reporter) {
        let used = reporter.set_store(Replay::default());
        if self.unread.is_none() && used.is_there() {
            self.unread = Some(used);
        }
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        [self.again, self.look, self.forget].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) {
        if self.unread.is_some() && self.again.is_none_or(|due| due <= now) {
            self.read_guard(now, gate, reporter);
        }
        if self.look.is_some_and(|due| due <= now) {
            self.look_at_guard(now, gate, reporter);
        }
        if self.forget.is_some_and(|due| due <= now) {
            self.forget(now, gate, reporter);
        }
    }

    fn read_guard(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) {
        self.again = None;
        let Some(server) = gate.spa_server() else { return };
        let Some(mut store) = self.unread.take() else { return };
        // Two openings of one file at a time would not know of each other.
        drop(reporter.set_store(Replay::default()));
        let Ok(raised) = store.guard() else {
            reporter.insist(FromWorker::StoreFailed);
            self.unread = Some(store);
            self.again = Some(now.saturating_add(AGAIN));
            return;
        };
        if let Some(raised) = raised {
            server.guard(raised.guard);
        }
        drop(reporter.set_store(store));
        self.look = server.is_guarded().then_some(now);
        self.forget = Some(now);
    }

    fn look_at_guard(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) {
        self.look = None;
        let (Some(server), Some(wall)) = (gate.spa_server(), wall()) else { return };
        if server.end_guard(Moment { now, wall }) {
            // If it stays in the store, the next start finds it over.
            let _ = reporter.store().set_guard(None);
        } else if server.is_guarded() {
            self.look = Some(now.saturating_add(LOOK));
        }
    }

    fn forget(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) {
        self.forget = None;
        let (Some(server), Some(wall)) = (gate.spa_server(), wall()) else { return };
        let registry = &server.served().registry;
        let waiting = reporter.store().forget_removed(|key| registry.find(key).is_some(), wall);
        // What could not be done now is done with the next policy.
        if waiting == Ok(true) {
            self.forget = Some(now.saturating_add(KEPT).saturating_add(LOOK));
        }
    }
}

fn wall() -> Option<Timestamp> {
    u64::try_from(fault::wall().as_micros()).ok().map(Timestamp)
}
