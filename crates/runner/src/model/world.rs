//! Journal, processes, kernel sets and time around a runner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::deaths::Death;
use super::{Operation, catalogue};
use crate::door::Style;
use crate::effect::{JobId, Part};
use crate::lease::{Ask, Held, LeaseId, Owner, Place};
use crate::record::Entry;
use crate::runner::{DoorId, Loss, Outcome, Runner};

/// How the names of aldaba's own sets begin.
pub(super) const OWN: &str = "own ";

/// What the world has seen of a command lease.
#[expect(clippy::struct_excessive_bools, reason = "separate facts, most combinations of which occur")]
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) style: Style,
    /// The end its stop command may not come before.
    pub(super) not_before: Duration,
    pub(super) start_ended: bool,
    pub(super) owes_stop: bool,
    /// A start command of before is not closed: a stop is owed whatever becomes of the one that runs now.
    pub(super) opened_before: bool,
    /// How many there are of these, each of which gets a stop command.
    pub(super) beneath: u32,
    pub(super) stop_runs: bool,
    /// One has closed the door, since when, and how often the next ones have ended by themselves and failed.
    pub(super) nothing_found: Option<(Duration, u32)>,
    /// The last one ran and did not close.
    pub(super) stop_failed: bool,
    pub(super) closed: bool,
    /// Somebody asked for an early end.
    pub(super) hurried: bool,
}

impl Seen {
    /// Of one whose start command runs from now on.
    pub(super) const fn started(style: Style, now: Duration) -> Self {
        Self {
            style,
            not_before: now,
            start_ended: false,
            owes_stop: false,
            opened_before: false,
            beneath: 0,
            stop_runs: false,
            nothing_found: None,
            stop_failed: false,
            closed: false,
            hurried: false,
        }
    }

    /// Of a record whose start command never ran.
    pub(super) const fn recovered(style: Style) -> Self {
        Self { start_ended: true, owes_stop: true, hurried: true, ..Self::started(style, Duration::ZERO) }
    }

    /// Whether it may be opened anew although it is open.
    pub(super) fn has_failed_to_close(&self) -> bool {
        self.start_ended && self.stop_failed && !self.stop_runs
    }
}

/// A process of the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) lease: LeaseId,
    pub(super) part: Part,
    pub(super) terminated: bool,
    /// The daemon that started it is gone.
    pub(super) outlived: bool,
}

/// The runner and everything around it.
#[derive(Debug)]
pub struct World {
    pub(super) runner: Runner,
    pub(super) now: Duration,
    pub(super) journal: BTreeMap<LeaseId, Entry>,
    pub(super) processes: BTreeMap<JobId, Process>,
    pub(super) elements: BTreeMap<(String, IpAddr), Duration>,
    /// How long each element may stay at most: what knocks have earned it. Nothing else makes it longer.
    pub(super) earned: BTreeMap<(String, IpAddr), Duration>,
    /// Elements that nobody could take out, or knows of: they are the kernel's alone.
    pub(super) adrift: BTreeSet<(String, IpAddr)>,
    /// A knock is being answered.
    pub(super) knocking: bool,
    /// The kernel has refused an element: the monitor looks at the firewall next.
    pub(super) looks: bool,
    pub(super) seen: BTreeMap<LeaseId, Seen>,
    /// Records whose last write or removal failed: the journal may differ from the table there.
    pub(super) behind: BTreeSet<LeaseId>,
    pub(super) ending: bool,
    pub(super) boot: u8,
    /// How long the machine has slept: the kernel's timeouts do not count it, and the runner ends what they leave.
    pub(super) slept: Duration,
    /// Counts the daemons there have been.
    pub(super) life: u32,
    pub(super) variant: u8,
    pub(super) refuse_elements: u8,
    pub(super) fail_journal: u8,
    /// Effects performed before everything dies, and whether the next daemon can have the journal.
    pub(super) dies_after: Option<(u8, Death, bool)>,
    /// Doors that have a stop command waiting and none that runs, and since when, on a clock that stands still in sleep.
    pub(super) unserved: BTreeMap<Arc<str>, Duration>,
    /// The journal cannot be had; leases whose start command has outlived the daemon that could.
    pub(super) blind: Option<BTreeSet<LeaseId>>,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self {
            runner: Runner::new(catalogue(0)),
            now: Duration::from_secs(100),
            journal: BTreeMap::new(),
            processes: BTreeMap::new(),
            elements: BTreeMap::new(),
            earned: BTreeMap::new(),
            adrift: BTreeSet::new(),
            knocking: false,
            looks: false,
            seen: BTreeMap::new(),
            behind: BTreeSet::new(),
            ending: false,
            boot: 0,
            slept: Duration::ZERO,
            life: 0,
            variant: 0,
            refuse_elements: 0,
            fail_journal: 0,
            dies_after: None,
            unserved: BTreeMap::new(),
            blind: None,
        }
    }

    /// Lets one thing happen, with all that follows from it.
    pub fn apply(&mut self, operation: Operation) {
        let now = self.now;
        self.knocking = matches!(operation, Operation::Grant { .. });
        match operation {
            Operation::Grant { door, source, wanted } => {
                let doors = u32::try_from(catalogue(self.variant).doors.len()).unwrap_or(1);
                let door = DoorId(u32::from(door).checked_rem(doors).unwrap_or(0));
                let wanted = (wanted > 0).then(|| Duration::from_secs(u64::from(wanted)));
                // Who asks for an odd time is a device.
                let owner =
                    wanted.and_then(|wanted| (wanted.as_secs() % 2 == 1).then_some(Owner([source; 32])));
                self.runner.grant(now, door, &Ask { wanted, owner, ..Ask::by_sequence(address(source)) });
            }
            Operation::Close { door, source } => {
                self.hurry(address(source));
                self.runner.close(now, DoorId(u32::from(door % 8)), address(source));
            }
            Operation::CloseSource(source) => {
                self.hurry(address(source));
                self.runner.close_source(now, address(source));
            }
            Operation::Pass(quarters) => {
                self.pass(Duration::from_millis(250).saturating_mul(u32::from(quarters)));
            }
            Operation::PassToTimeout => self.pass_to_timeout(),
            Operation::Sleep(quarters) => {
                self.sleep(Duration::from_millis(250).saturating_mul(u32::from(quarters)));
            }
            Operation::Finish { job, outcome } => self.finish_one(job, outcome),
            Operation::RefuseElements(times) => self.refuse_elements = times,
            Operation::FailJournal(times) => self.fail_journal = times,
            Operation::Reload(variant) => self.reload(variant),
            Operation::Crash { after, reboot, starts_live, blind } => {
                let death = if starts_live { Death::StartsLive } else { Death::All };
                self.dies_after = Some((after, if reboot { Death::Reboot } else { death }, blind));
            }
            Operation::OpenJournal => self.open_journal(),
            Operation::Restart { keep, patient } => self.restart(keep, patient),
            Operation::Flush { restore, there } => {
                self.elements.clear();
                self.notice_losses(if restore { Loss::Restore } else { Loss::Report });
                if there {
                    self.reassert();
                }
            }
            Operation::Reassert => self.reassert(),
            Operation::Remove(which) => self.remove_one(which),
            Operation::Shorten(seconds) => self.shorten(seconds),
        }
        self.follow(operation);
    }

    /// What comes of it, and what must hold then.
    fn follow(&mut self, operation: Operation) {
        let life = self.life;
        self.settle();
        if life != self.life
            && let Operation::Shorten(seconds) = operation
        {
            // The next start asks the registry, too.
            self.shorten(seconds);
            self.settle();
        }
        if std::mem::take(&mut self.looks) {
            self.notice_losses(Loss::Removed);
            self.settle();
        }
        if self.dies_after.is_none() {
            self.check_at_rest();
            if let Operation::Shorten(seconds) = operation {
                self.check_shortened(seconds);
            }
        }
    }

    fn shorten(&mut self, seconds: u8) {
        (0..5).for_each(|source| self.hurry(address(source)));
        let left = Duration::from_secs(u64::from(seconds));
        self.runner.shorten(self.now, |_| Some(left));
    }

    /// Performs effects one by one, checking after each, till there are none or everything dies.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some((left, death, blind)) = self.dies_after {
                if left == 0 {
                    self.dies_after = None;
                    self.crash(death, blind);
                    continue;
                }
                self.dies_after = Some((left.saturating_sub(1), death, blind));
            }
            let Some(effect) = self.runner.poll_effect() else {
                self.check_turns();
                return;
            };
            self.perform(effect);
            self.check_always();
        }
    }

    /// Clients' close knocks and reopening make leases end early; which lease it is does not matter here.
    fn hurry(&mut self, source: IpAddr) {
        let of_source = |entry: &&Entry| entry.record.address == source;
        let ids: Vec<LeaseId> =
            self.journal.values().filter(of_source).map(|entry| entry.record.id).collect();
        for id in ids {
            if let Some(seen) = self.seen.get_mut(&id) {
                seen.hurried = true;
            }
        }
    }

    pub(super) fn hurry_all(&mut self) {
        for seen in self.seen.values_mut() {
            seen.hurried = true;
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let then = self.now.saturating_add(time);
        // The monitor wakes at every timeout on the way.
        for _ in 0..1000 {
            let Some(at) = self.runner.poll_timeout().filter(|at| *at <= then) else {
                break;
            };
            self.now = self.now.max(at);
            self.runner.handle_timeout(self.now);
            self.settle();
            if self.runner.is_drained(self.now) {
                break;
            }
            let Some(next) = self.runner.poll_timeout() else {
                break;
            };
            assert!(next > self.now || self.dies_after.is_some(), "the timeout stands still");
        }
        self.now = self.now.max(then);
        self.elements.retain(|_, expires| *expires > then);
    }

    fn sleep(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
        self.slept = self.slept.saturating_add(time);
        self.elements.values_mut().for_each(|expires| *expires = expires.saturating_add(time));
        self.pass(Duration::ZERO);
    }

    pub(super) fn pass_to_timeout(&mut self) {
        if let Some(at) = self.runner.poll_timeout() {
            self.pass(at.saturating_sub(self.now));
        }
    }

    pub(super) fn finish_all(&mut self) {
        while let Some(job) = self.processes.keys().next().copied() {
            self.finish(job, Outcome::Exited(0));
            self.settle();
        }
    }

    /// Nothing fails any more, and all time passes: everything must be closed.
    pub fn let_everything_end(&mut self) {
        (self.refuse_elements, self.fail_journal, self.dies_after) = (0, 0, None);
        self.ending = true;
        self.open_journal();
        self.settle();
        for _ in 0..2000 {
            self.finish_all();
            if self.runner.poll_timeout().is_none() {
                break;
            }
            self.pass_to_timeout();
        }
        // An element that nobody remembers is the kernel's.
        self.pass(Duration::from_secs(200));
        self.check_end();
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn name(place: &Place) -> String {
    match place {
        Place::Own { door } => format!("{OWN}{door}"),
        Place::Named { table, set, .. } => format!("{table} {set}"),
    }
}

pub(super) fn place(held: &Held) -> Option<&Place> {
    match held {
        Held::Element(place) => Some(place),
        Held::Command { .. } => None,
    }
}

/// Three IPv4 clients and two IPv6 ones.
fn address(source: u8) -> IpAddr {
    match source {
        0..=2 => Ipv4Addr::new(192, 0, 2, source).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(source)).into(),
    }
}
