//! The closer's life, seen from the monitor: started soon after a policy with stop commands has come into force, and no later than
//! with the first lease that has one; when it ends while it is needed, again after a pause that grows like that of workers.

use std::time::Duration;

use aldaba_runner::{Held, Lease};
use aldaba_sys::{clock, memory};

use super::Monitor;
use super::back_off::BackOff;
use super::state_folder::Need;
use crate::closer::{CloserHandle, LogTarget};
use crate::fault;
use crate::log::Level;
use crate::wording;

/// How long after a policy has come into force a closer is started ahead of its first lease, which then need not wait for that. The
/// first knock has a worker by then.
const AHEAD: Duration = Duration::from_millis(50);

/// The closer there is, and when the next one is due.
#[derive(Debug)]
pub(super) struct Standby {
    living: Option<(CloserHandle, Duration)>,
    back_off: BackOff,
    due: Option<Duration>,
    /// When the first one is started if no lease comes before.
    ahead: Option<Duration>,
}

impl Standby {
    pub(super) const fn new() -> Self {
        Self { living: None, back_off: BackOff::new(), due: None, ahead: None }
    }

    /// The one that stands by.
    pub(super) fn closer(&self) -> Option<&CloserHandle> {
        self.living.as_ref().map(|(closer, _)| closer)
    }

    /// Lets go of it.
    pub(super) fn take(&mut self) -> Option<CloserHandle> {
        self.living.take().map(|(closer, _)| closer)
    }

    /// When the next one is started.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        [self.due, self.ahead].into_iter().flatten().min()
    }

    /// Whether this ended process was the closer; the next one is due after a pause.
    fn is_ended(&mut self, now: Duration, pid: u32) -> bool {
        let Some((_, since)) = self.living.take_if(|(closer, _)| closer.pid() == pid) else { return false };
        let pause = self.back_off.ended(now.saturating_sub(since));
        self.due = Some(now.saturating_add(fault::pause(pause)));
        true
    }

    /// What is wrong with it.
    pub(super) fn fault(&self, now: Duration) -> Option<String> {
        if let Some(due) = self.due {
            let again = wording::short(due.saturating_sub(now));
            return Some(format!("the last one ended; another one is started in {again}"));
        }
        let lives = self.living.as_ref().map(|(_, since)| now.saturating_sub(*since));
        let ended = self.back_off.in_a_row(lives)?;
        lives.map(|_| format!("{ended} closers ended one after the other"))
    }
}

impl Monitor {
    /// A policy has come into force: where it has stop commands, a closer stands by before the first lease.
    pub(super) fn plan_standby(&mut self, now: Duration) {
        if Need::of_doors(&self.policy.current().policy) == Need::Durable {
            self.standby.ahead = Some(now.saturating_add(AHEAD));
        }
    }

    /// From the first lease with a stop command on, a closer stands by.
    pub(super) fn guard_leases(&mut self) {
        self.standby.ahead = None;
        let Some(keeper) = &self.keeper else { return };
        if self.standby.living.is_some() || self.standby.due.is_some() || self.stopping.is_some() {
            return;
        }
        let log = LogTarget::of(self.speech.log(), self.face.is_knockd());
        let capabilities = self.rights.of_commands_at_most();
        let now = clock::boottime();
        match CloserHandle::start(self.workers.program(), keeper.folder(), &log, capabilities) {
            Ok(closer) => {
                self.health.clear("closer");
                self.standby.living = Some((closer, now));
                // What starts a process of our own is not needed again.
                memory::give_back_code();
            }
            Err(error) => {
                let pause = self.standby.back_off.failed();
                self.standby.due = Some(now.saturating_add(pause));
                self.health.note(now, "closer", &error.to_string());
                let line = format!("degraded what=closer error={}", wording::quoted(&error.to_string()));
                self.speech.tell(Level::Error, line);
            }
        }
    }

    /// Whether this ended process was the closer.
    pub(super) fn closer_ended(&mut self, now: Duration, pid: u32, how: &str) -> bool {
        if !self.standby.is_ended(now, pid) {
            return false;
        }
        let again = self.standby.due.map_or(Duration::ZERO, |due| due.saturating_sub(now));
        let line = format!("closer-ended {how} again-in={}", wording::short(again));
        if self.face.is_knockd() {
            self.speech.tell_log(&line);
        } else {
            self.speech.tell(Level::Error, line);
        }
        true
    }

    /// Starts the first closer when its time has come, and the next one if there is still something to close.
    pub(super) fn handle_standby_timeout(&mut self, now: Duration) {
        if self.standby.ahead.is_some_and(|ahead| ahead <= now) {
            self.guard_leases();
        }
        if self.standby.due.take_if(|due| *due <= now).is_none() {
            return;
        }
        let is_needed = |lease: &Lease| matches!(lease.held(), Held::Command { stop: Some(_), .. });
        if self.runner.leases().any(is_needed) {
            self.guard_leases();
            self.tell_survivors();
        }
    }
}
