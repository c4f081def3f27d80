//! What the service manager hears (`sd_notify(3)`): ready when everything works, the watchdog's sign of life while monitor
//! and worker live, and one line on the state. Said again where there was no room; nobody is waited for.

use std::time::Duration;

use aldaba_sys::clock;
use aldaba_sys::notify::Notifier;

use super::Monitor;
use super::pulse::Beat;
use crate::ipc::ToWorker;
use crate::surroundings::Surroundings;
use crate::watch::Watch;

/// The state is looked at so often at most, since it takes all leases; what could not be said is said again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// The words on their way.
#[derive(Debug, Default)]
pub struct Service {
    manager: Option<Notifier>,
    /// How often it wants a sign of life, twice as often as it insists.
    sign: Option<Duration>,
    /// When the next one is due.
    sign_due: Option<Duration>,
    phase: Phase,
    /// The state as it was last told.
    told: Option<String>,
    /// When it was last looked at.
    looked: Option<Duration>,
    /// When to look again: at what has changed since, or could not be said.
    due: Option<Duration>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `READY=1` is still to come.
    #[default]
    Starting,
    Ready,
    /// `RELOADING=1` was said.
    Reloading,
    /// `STOPPING=1` was said: nothing follows.
    Stopping,
}

impl Service {
    /// The manager this process was started by, if it listens, and what it wants.
    #[must_use]
    pub fn of(surroundings: &Surroundings) -> Self {
        let manager = surroundings.notify_socket.as_deref().map(Notifier::open).and_then(Result::ok);
        let watchdog = surroundings.watchdog;
        let sign = watchdog.filter(|_| manager.is_some()).map(|watchdog| watchdog / 2);
        Self { manager, sign, ..Self::default() }
    }

    /// How long the manager waits for a sign of life.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.sign.map(|sign| sign * 2)
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.manager.as_ref()?;
        [self.sign_due, self.due].into_iter().flatten().min()
    }

    /// Whether the state may be looked at; later, where that was done less than a second ago.
    fn may_look(&mut self, now: Duration) -> bool {
        let again = self.looked.map_or(now, |looked| looked.saturating_add(AGAIN));
        if now < again {
            self.due = Some(again);
            return false;
        }
        self.looked = Some(now);
        true
    }

    fn say(&self, words: &str) -> bool {
        // A manager that is gone hears nothing; doors matter more.
        self.manager.as_ref().is_some_and(|manager| manager.say(words).unwrap_or(false))
    }

    /// The configuration is read again; the end of it is told by [`Monitor::tell_service`].
    pub(super) fn say_reloading(&mut self) {
        if self.phase == Phase::Ready {
            let clock = clock::monotonic().as_micros();
            // Lost, it is only not told: the reload itself goes on.
            self.say(&format!("RELOADING=1\nMONOTONIC_USEC={clock}"));
            self.phase = Phase::Reloading;
        }
    }

    /// The end has begun.
    pub(super) fn say_stopping(&mut self) {
        self.say("STOPPING=1\nSTATUS=stopping");
        self.phase = Phase::Stopping;
    }
}

impl Monitor {
    /// Asks the worker whether it lives, and ends one that does not answer.
    pub(super) fn feel_pulse(&mut self, now: Duration) {
        match self.pulse.beat(now) {
            Some(Beat::Ask(number)) => self.workers.tell(&ToWorker::Ping { number }, &[]),
            Some(Beat::Silent) => {
                self.workers.end(now);
                self.worker_ended(now, "why=silent");
            }
            None => {}
        }
    }

    /// Tells the service manager what it may know by now.
    pub(super) fn tell_service(&mut self, now: Duration) {
        if self.service.manager.is_none() || self.service.phase == Phase::Stopping {
            return;
        }
        self.service.due = None;
        let settled = match self.service.phase {
            Phase::Starting => self.works(now),
            Phase::Reloading => self.policy.candidate().is_none(),
            Phase::Ready | Phase::Stopping => false,
        };
        self.give_sign(now);
        self.tell_state(now, settled);
    }

    /// The worker has taken everything it was given, and the ports that are to be guarded are.
    fn works(&self, now: Duration) -> bool {
        self.pulse.is_alive(now) && !self.firewall.is_open()
    }

    /// A sign of life while monitor and worker live: this loop turns, and the worker answers.
    fn give_sign(&mut self, now: Duration) {
        let Some(every) = self.service.sign else { return };
        if self.service.sign_due.is_some_and(|due| now < due) {
            return;
        }
        let given = self.pulse.is_alive(now) && self.service.say("WATCHDOG=1");
        self.service.sign_due = Some(now.saturating_add(if given { every } else { AGAIN.min(every / 4) }));
    }

    /// The state when it has changed, at most once a second; with `ready`, at once.
    fn tell_state(&mut self, now: Duration, ready: bool) {
        if !self.service.may_look(now) && !ready {
            return;
        }
        let state = self.state(now);
        if !ready && self.service.told.as_ref() == Some(&state) {
            return;
        }
        let head = if ready { "READY=1\n" } else { "" };
        if self.service.say(&format!("{head}STATUS={state}")) {
            self.service.told = Some(state);
            if ready {
                self.service.phase = Phase::Ready;
            }
        } else {
            self.service.due = Some(now.saturating_add(AGAIN));
        }
    }

    /// One line for `systemctl status`: what is wrong first.
    fn state(&self, now: Duration) -> String {
        let doors = self.policy.current().policy.catalogue.doors.len();
        let open = self.runner.lease_count();
        let stuck = self.runner.leases().filter(|lease| lease.state().stuck().is_some()).count();
        let mut state = Vec::new();
        if stuck > 0 {
            state.push(format!("{stuck} LEASES CANNOT BE CLOSED"));
        }
        if self.firewall.is_open() {
            state.push("NO FIREWALL TABLE: doors stand open, trying again".to_owned());
        }
        if self.policy.current().stands_in_for.is_some() {
            state.push("ERRORS IN THE CONFIGURATION: an older policy is in force".to_owned());
        }
        if !self.pulse.is_alive(now) {
            state.push("no worker serves".to_owned());
        } else if !self.captures.is_capturing() {
            state.push("waiting for an interface".to_owned());
        }
        let on = match self.captures.watch() {
            Watch::All => "all interfaces".to_owned(),
            Watch::Named(names) => names.join(","),
        };
        state.push(format!("{doors} doors on {on}, {open} leases"));
        crate::log::printable(&state.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn the_state_is_looked_at_once_a_second_and_nothing_that_came_meanwhile_is_forgotten() {
        let mut service = Service::default();
        assert!(service.may_look(ms(5_000)));
        assert_eq!(service.due, None);
        // However many turns: one look, when its time has come.
        let turns = (5_000..7_500).filter(|turn| service.may_look(ms(*turn))).collect::<Vec<_>>();
        assert_eq!(turns, [6_000, 7_000]);
        assert_eq!(service.due, Some(ms(8_000)));
    }
}
