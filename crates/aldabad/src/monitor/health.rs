//! What does not work at this moment: what was noted when it failed and is forgotten when it works, and what the parts know
//! of themselves. The log says when something happens; this says what still holds (spec/control.md, "STATUS").

use std::collections::BTreeMap;
use std::time::Duration;

use aldaba_runner::{Lease, State};

use super::Monitor;
use super::why::millis;
use crate::control::{Confined, Degraded, InterfaceState};
use crate::watch::Link;
use crate::wording::short;

/// Of many of a kind so many are told one by one; they are all counted elsewhere.
const TOLD: usize = 16;
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
}

impl Health {
    pub(super) const fn new(now: Duration) -> Self {
        Self { started: now, in_force: now, requests_lost: 0, faults: BTreeMap::new(), shut_out: None }
    }

    /// This failed.
    pub(super) fn note(&mut self, now: Duration, what: &'static str, error: &str) {
        let since = self.faults.get(what).map_or(now, |known| known.since);
        self.faults.insert(what, Fault { since, error: error.to_owned() });
    }

    /// This works.
    pub(super) fn clear(&mut self, what: &'static str) {
        self.faults.remove(what);
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

/// Something of a name and nothing else known.
fn of(what: &str, error: impl Into<String>) -> Degraded {
    Degraded {
        what: what.to_owned(),
        door: None,
        address: None,
        interface: None,
        error: error.into(),
        for_ms: None,
    }
}

fn of_lease(what: &str, lease: &Lease, error: String) -> Degraded {
    Degraded { door: Some(lease.door().to_string()), address: Some(lease.address()), ..of(what, error) }
}

impl Monitor {
    /// All that does not work at this moment, the worst first.
    pub(super) fn degraded_now(&mut self, now: Duration, guard_left: Option<Duration>) -> Vec<Degraded> {
        let mut all = self.doors_that_do_not_close();
        all.extend(self.noted_faults(now));
        all.extend(self.worker_faults(now));
        all.extend(self.interface_faults());
        all.extend(self.datagram_faults(now, guard_left));
        all.extend(self.used_up_doors());
        let limits = self.policy.current().policy.catalogue.limits;
        if self.runner.waiting() >= limits.waiting {
            let error = format!("{} start commands wait: further openings are refused", limits.waiting);
            all.push(of("commands-waiting", error));
        }
        all
    }

    fn doors_that_do_not_close(&self) -> Vec<Degraded> {
        let given_up = self.runner.leases().filter_map(|lease| match lease.state() {
            State::CannotClose { tries } => {
                let error = format!("closing failed {tries} times, and nothing more is tried");
                Some(of_lease("cannot-close", lease, error))
            }
            _ => None,
        });
        let again = self.runner.leases().filter_map(|lease| match lease.state() {
            State::Retry { tries } => {
                let error = format!("closing failed {tries} times; it is tried again");
                Some(of_lease("close-failed", lease, error))
            }
            _ => None,
        });
        given_up.take(TOLD).chain(again.take(TOLD)).collect()
    }

    fn noted_faults(&self, now: Duration) -> impl Iterator<Item = Degraded> {
        self.health.faults.iter().map(move |(what, fault)| Degraded {
            for_ms: Some(millis(now.saturating_sub(fault.since))),
            ..of(what, fault.error.clone())
        })
    }

    fn worker_faults(&self, now: Duration) -> Option<Degraded> {
        if !self.workers.is_serving() && self.stopping.is_none() {
            let again = self.workers.poll_timeout().map(|due| due.saturating_sub(now));
            let error = again.map_or_else(
                || "it is getting ready".to_owned(),
                |again| format!("it ended; another one is started in {}", short(again)),
            );
            return Some(of("worker", format!("nothing looks at packets: {error}")));
        }
        let insecure = self.workers.confined() == Confined::NoSandbox;
        insecure.then(|| of("sandbox", "the worker runs without its sandbox, as the command line wants"))
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
        faults.extend(self.captures.failed().map(|(name, error)| at("capture", &name, error.to_owned())));
        faults
    }

    fn datagram_faults(&self, now: Duration, guard_left: Option<Duration>) -> Vec<Degraded> {
        if self.policy.current().policy.spa.is_none() {
            return Vec::new();
        }
        let mut faults: Vec<Degraded> = self.spa_hold.faults().map(|(what, error)| of(what, error)).collect();
        if let Some(left) = guard_left.filter(|left| !left.is_zero()) {
            let error = format!(
                "the store of used datagrams was lost: nobody gets in by datagram for {}",
                short(left)
            );
            faults.push(of("replay-guard", error));
        }
        if let Some((said, lock)) = self.health.shut_out
            && now.saturating_sub(said) < SHUT_OUT_LASTS
        {
            let error = format!("somebody who knows the gate key of lock {lock} floods the port");
            faults.push(of("shut-out", error));
        }
        faults
    }

    fn used_up_doors(&self) -> Vec<Degraded> {
        let used_up = self.policy.current().one_time.iter().filter(|file| file.current().is_none());
        let doors = used_up.map(|file| self.policy.name(file.door).to_owned());
        doors.map(|door| Degraded { door: Some(door), ..of("one-time-used-up", "") }).take(TOLD).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_holds_since_it_was_noted_first_until_it_works() {
        let mut health = Health::new(Duration::ZERO);
        health.note(Duration::from_secs(5), "journal", "no space left");
        health.note(Duration::from_secs(9), "journal", "read-only");
        let fault = health.faults.get("journal").expect("noted");
        assert_eq!((fault.since, fault.error.as_str()), (Duration::from_secs(5), "read-only"));
        assert!(health.is_noted("journal"));
        health.clear("journal");
        assert!(!health.is_noted("journal"));
    }
}
