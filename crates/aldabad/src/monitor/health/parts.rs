//! What the parts of the daemon know of their condition, each as the specification names it (spec/control.md, "Degraded
//! states").

use std::time::Duration;

use aldaba_runner::{Lease, Runner, State};

use super::SHUT_OUT_LASTS;
use crate::control::{Confined, Degraded, InterfaceState};
use crate::monitor::Monitor;
use crate::monitor::programs::MissingProgram;
use crate::monitor::why::millis;
use crate::watch::Link;
use crate::wording::short;

/// Of many of a kind so many are told one by one; they are all counted elsewhere.
const TOLD: usize = 16;

/// How long after its time a door may be closing before that is told.
const LATE: Duration = Duration::from_secs(30);

/// Something of a name and nothing else known, with which doors open and close all the same.
fn of(what: &str, error: impl Into<String>) -> Degraded {
    Degraded {
        what: what.to_owned(),
        grave: false,
        door: None,
        address: None,
        interface: None,
        error: error.into(),
        for_ms: None,
    }
}

/// The same for what shuts somebody out, or leaves a door open, or may.
fn grave(what: &str, error: impl Into<String>) -> Degraded {
    Degraded { grave: true, ..of(what, error) }
}

fn of_lease(what: &str, lease: &Lease, error: String) -> Degraded {
    Degraded { door: Some(lease.door().to_string()), address: Some(lease.address()), ..grave(what, error) }
}

/// Why a lease is not closed so long after its time, where that is to be told and nothing else tells it.
fn closes_late(state: State, late: Duration) -> Option<&'static str> {
    if late < LATE || state.stuck().is_some() {
        return None;
    }
    match state {
        State::Due { .. } => Some("its stop command waits for its turn"),
        State::Stopping { .. } => Some("its stop command has not ended"),
        _ => None,
    }
}

/// Those that could not be closed, those that close late, and those that are tried again, of a daemon that has started then.
fn doors_that_do_not_close(runner: &Runner, now: Duration, started: Duration) -> Vec<Degraded> {
    let stuck = runner.leases().filter_map(|lease| {
        let error = format!("closing failed {} times; it is tried again", lease.state().stuck()?);
        Some(of_lease("cannot-close", lease, error))
    });
    let late = runner.leases().filter_map(|lease| {
        // What an earlier daemon has left is as late as this one lets it be.
        let late = now.saturating_sub(lease.deadline().max(started));
        let error = closes_late(lease.state(), late)?.to_owned();
        Some(Degraded { for_ms: Some(millis(late)), ..of_lease("closes-late", lease, error) })
    });
    let again = runner.leases().filter_map(|lease| match lease.state() {
        State::Retry { tries } => {
            let error = format!("closing failed {tries} times; it is tried again");
            Some(of_lease("close-failed", lease, error))
        }
        _ => None,
    });
    stuck.take(TOLD).chain(late.take(TOLD)).chain(again.take(TOLD)).collect()
}

impl Monitor {
    /// All that does not work at this moment, the worst first. `guard_left` is the worker's to know: `None`, and it did not
    /// answer.
    pub(in crate::monitor) fn degraded_now(
        &mut self,
        now: Duration,
        guard_left: Option<Duration>,
    ) -> Vec<Degraded> {
        let mut all = doors_that_do_not_close(&self.runner, now, self.health.started);
        all.extend(self.lost_leases());
        all.extend(self.stand_in(now));
        all.extend(self.noted_faults(now));
        all.extend(self.worker_faults(now, guard_left.is_some()));
        if !self.health.is_noted("closer") && self.stopping.is_none() {
            all.extend(self.standby.fault(now).map(|error| of("closer", error)));
        }
        all.extend(self.interface_faults());
        all.extend(self.lost_requests(now));
        all.extend(self.truth.fight(now).map(|error| of("firewall-fight", error)));
        all.extend(self.datagram_faults(now, guard_left));
        all.extend(self.missing_programs());
        all.extend(self.used_up_doors());
        all.extend(self.waiting_commands());
        all.extend(self.journal_behind());
        all.extend(self.speech.log().trouble().map(|error| of("log", error)));
        all
    }

    fn lost_leases(&self) -> impl Iterator<Item = Degraded> {
        let lost = self.runner.leases().filter(|lease| lease.is_lost());
        lost.map(|lease| of_lease("lease-lost", lease, String::new())).take(TOLD)
    }

    /// True of the policy in force, also when it comes back from a trial.
    fn stand_in(&self, now: Duration) -> Option<Degraded> {
        let errors = self.policy.current().stands_in_for?;
        let path = self.policy.source().path().display();
        let error = format!(
            "{path} had errors at the start ({errors}): the policy that was last in force is in force"
        );
        let for_ms = Some(millis(now.saturating_sub(self.health.started)));
        Some(Degraded { for_ms, ..of("last-in-force", error) })
    }

    fn noted_faults(&self, now: Duration) -> impl Iterator<Item = Degraded> {
        self.health.faults.iter().map(move |(what, fault)| Degraded {
            for_ms: Some(millis(now.saturating_sub(fault.since))),
            grave: fault.grave,
            ..of(what, fault.error.clone())
        })
    }

    fn worker_faults(&self, now: Duration, answered: bool) -> Vec<Degraded> {
        if self.stopping.is_some() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        if !self.workers.is_serving() {
            let again = self.workers.poll_timeout().map(|due| due.saturating_sub(now));
            let error = again.map_or_else(
                || "it is getting ready".to_owned(),
                |again| format!("it ended; another one is started in {}", short(again)),
            );
            faults.push(grave("worker", format!("nothing looks at packets: {error}")));
        } else if !answered {
            let for_ms = self.pulse.silent_for(now).map(millis);
            faults.push(Degraded { for_ms, ..of("worker-silent", "") });
        }
        if let Some(ended) = self.workers.ended_in_a_row(now) {
            faults.push(of("worker-restarts", format!("{ended} workers ended one after the other")));
        }
        if self.workers.confined() == Confined::NoSandbox {
            faults.push(of("sandbox", "the worker runs without its sandbox, as the command line wants"));
        }
        faults
    }

    fn interface_faults(&mut self) -> Vec<Degraded> {
        let links: Vec<Link> = self.links.known().iter().map(Link::from).collect();
        let at = |what, name: &str, error: String| Degraded {
            interface: Some(name.to_owned()),
            ..of(what, error)
        };
        let mut faults = Vec::new();
        for interface in self.captures.interfaces(&links) {
            let name = interface.name.as_str();
            match interface.state {
                InterfaceState::Gone => faults.push(at("interface-gone", name, String::new())),
                InterfaceState::Down => faults.push(at("interface-down", name, String::new())),
                InterfaceState::Found | InterfaceState::NotCaptured => {}
            }
            let lately = self.captures.dropped_lately(name);
            if lately > 0 {
                let error = format!("the kernel dropped {lately} packets within the last two minutes");
                faults.push(at("packets-dropped", name, error));
            }
        }
        let failed = self.captures.failed();
        faults.extend(
            failed.map(|(name, error)| Degraded { interface: Some(name), ..grave("capture", error) }),
        );
        faults
    }

    fn lost_requests(&self, now: Duration) -> Option<Degraded> {
        let (since, requests) = self.health.lost_lately(now)?;
        let error = format!("openings that found no room in the worker's queue: {requests}");
        Some(Degraded { for_ms: Some(millis(now.saturating_sub(since))), ..of("requests-lost", error) })
    }

    fn datagram_faults(&mut self, now: Duration, guard_left: Option<Duration>) -> Vec<Degraded> {
        if self.policy.current().policy.spa.is_none() {
            return Vec::new();
        }
        let lately = self.spa_hold.port.dropped_lately();
        let faults = self.spa_hold.faults();
        let mut faults: Vec<Degraded> =
            faults.map(|(what, grave, error)| Degraded { grave, ..of(what, error) }).collect();
        if lately > 0 {
            let error = format!("the kernel had no room for {lately} datagrams within the last two minutes");
            faults.push(of("packets-dropped", error));
        }
        if let Some(left) = guard_left.filter(|left| !left.is_zero()) {
            let error = format!(
                "the store of used datagrams was lost: nobody gets in by datagram for {}",
                short(left)
            );
            faults.push(grave("replay-guard", error));
        }
        if let Some((said, lock)) = self.health.shut_out
            && now.saturating_sub(said) < SHUT_OUT_LASTS
        {
            let error = format!("somebody who knows the gate key of lock {lock} floods the port");
            faults.push(grave("shut-out", error));
        }
        faults
    }

    fn missing_programs(&self) -> impl Iterator<Item = Degraded> {
        let told = self.missing_programs.iter().map(|MissingProgram { program, door }| {
            let error = format!("there is no program {program}");
            Degraded { door: Some(door.clone()), ..grave("command", error) }
        });
        told.take(TOLD)
    }

    fn waiting_commands(&self) -> Option<Degraded> {
        let most = self.policy.current().policy.catalogue.limits.waiting;
        let error = format!("{most} start commands wait: further openings are refused");
        (self.runner.waiting() >= most).then(|| grave("commands-waiting", error))
    }

    /// While the last write failed, that is what is to be told.
    fn journal_behind(&self) -> Option<Degraded> {
        let behind = self.runner.behind();
        let error = format!("the records of so many leases are not as they should be: {behind}");
        (behind > 0 && !self.health.is_noted("journal")).then(|| of("journal-behind", error))
    }

    fn used_up_doors(&self) -> Vec<Degraded> {
        let used_up = self.policy.current().one_time.iter().filter(|file| file.current().is_none());
        let doors = used_up.map(|file| self.policy.name(file.door).to_owned());
        doors.map(|door| Degraded { door: Some(door), ..grave("one-time-used-up", "") }).take(TOLD).collect()
    }
}

#[cfg(test)]
mod tests;
