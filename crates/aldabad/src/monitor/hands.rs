//! The administrator's own hand: doors opened and closed through the same runner, limits, journal and log as by a knock, and
//! an answer when it is done or has failed (spec/control.md).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::spa::{AddressRule, opened};
use aldaba_runner::door::{Door, Style};
use aldaba_runner::{Ask, DoorId, Event, Granted, LeaseId, Part, Runner, State, event};

use super::Monitor;
use super::control::ClientId;
use super::why::{millis, state_of};
use crate::control::{
    Answer, Close, Closed, Lease, LeaseState, Leases, NotClosed, Open, Opened, Trouble, TroubleKind,
};
use crate::log::Level;
use crate::wording::{outcome_text, quoted, reason_name, short};

/// After so long it is told how far things are; what was asked for goes on.
const PATIENCE: Duration = Duration::from_secs(12);
/// Bytes of leases that an answer has room for, with a reserve for names that grow when they are written.
const ROOM: usize = 400_000;

/// What is being done by hand.
#[derive(Debug)]
struct Hand {
    client: ClientId,
    due: Duration,
    work: Work,
    /// What failed last.
    fault: String,
}

#[derive(Debug)]
enum Work {
    Open { lease: LeaseId, opened: Opened },
    Close { waiting: Vec<(LeaseId, String)>, closed: Closed },
}

/// All hands; no more than there can be clients, nor than there are leases.
#[derive(Debug, Default)]
pub(super) struct Hands {
    busy: Vec<Hand>,
    done: Vec<(ClientId, Answer)>,
    /// Who opened a lease by hand.
    opened_by: BTreeMap<LeaseId, u32>,
}

fn refused(text: impl Into<String>, help: impl Into<String>) -> Trouble {
    Trouble { kind: TroubleKind::Refused, text: text.into(), help: help.into() }
}

impl Hands {
    /// When somebody has waited long enough.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.busy.iter().map(|hand| hand.due).min()
    }

    /// The runner tells of a lease.
    pub(super) fn note(&mut self, event: &Event, runner: &Runner) {
        let Some(lease) = event.lease else { return };
        for hand in self.busy.extract_if(.., |hand| hand.hear(lease, event, runner)) {
            self.done.push((hand.client, hand.answer()));
        }
    }

    /// Leases that ended without a word, and those who have waited long enough.
    fn settle(&mut self, now: Duration, runner: &Runner) -> Vec<(ClientId, Answer)> {
        self.opened_by.retain(|lease, _| runner.lease(*lease).is_some());
        for hand in self.busy.extract_if(.., |hand| hand.is_over(now, runner)) {
            self.done.push((hand.client, hand.answer()));
        }
        std::mem::take(&mut self.done)
    }
}

impl Hand {
    /// Whether this event ends it.
    fn hear(&mut self, of: LeaseId, event: &Event, runner: &Runner) -> bool {
        match &event.what {
            event::What::CommandFailed { part, outcome } => {
                let part = if *part == Part::Start { "start" } else { "stop" };
                self.fault_of(of, format!("its {part} command failed, {}", outcome_text(*outcome)));
            }
            event::What::ElementFailed { fault, .. } => self.fault_of(of, fault.clone()),
            _ => {}
        }
        match &mut self.work {
            Work::Open { lease, opened } if *lease == of => {
                hear_opening(lease, opened, &mut self.fault, event, runner)
            }
            Work::Open { .. } => false,
            Work::Close { waiting, closed } => hear_closing(waiting, closed, &self.fault, of, event),
        }
    }

    fn fault_of(&mut self, of: LeaseId, fault: String) {
        let concerns = match &self.work {
            Work::Open { lease, .. } => *lease == of,
            Work::Close { waiting, .. } => waiting.iter().any(|(lease, _)| *lease == of),
        };
        if concerns {
            self.fault = fault;
        }
    }

    fn is_over(&mut self, now: Duration, runner: &Runner) -> bool {
        let late = self.due <= now;
        match &mut self.work {
            Work::Open { lease, opened } => {
                // Asked for again for no longer than before: nothing happens, and there is no event.
                let same =
                    runner.lease(*lease).filter(|lease| lease.state() == State::Open && opened.renewed);
                if let Some(lease) = same {
                    opened.left_ms = Some(millis(lease.deadline().saturating_sub(now)));
                    self.fault.clear();
                    return true;
                }
                if late {
                    "its start command waits or still runs; see aldabad leases".clone_into(&mut self.fault);
                }
                // One without a stop command ends with its start command.
                late || runner.lease(*lease).is_none()
            }
            Work::Close { waiting, closed } => {
                let is_over = |(lease, _): &mut (LeaseId, String)| late || runner.lease(*lease).is_none();
                for (lease, door) in waiting.extract_if(.., is_over) {
                    let error = match runner.lease(lease) {
                        Some(_) => "a command of its still runs; see aldabad leases",
                        None => "it has no stop command: nothing closes what its start command opened",
                    };
                    closed.failed.push(NotClosed { door, error: error.to_owned() });
                }
                waiting.is_empty()
            }
        }
    }

    fn answer(self) -> Answer {
        match self.work {
            Work::Open { opened, .. } if self.fault.is_empty() => Answer::Opened(opened),
            Work::Open { opened, .. } => Answer::Error(refused(
                format!("door {} is not open for {}: {}", opened.door, opened.address, self.fault),
                "look at the daemon's log; the limits stand in [limits] of aldaba.toml(5)",
            )),
            Work::Close { closed, .. } => Answer::Closed(closed),
        }
    }
}

/// Whether an opening is over with this event; it may go on under another number.
fn hear_opening(
    lease: &mut LeaseId,
    opened: &mut Opened,
    fault: &mut String,
    event: &Event,
    runner: &Runner,
) -> bool {
    let is_open = runner.lease(*lease).is_some_and(|lease| lease.state() == State::Open);
    match &event.what {
        // While its start command runs, the end of that counts.
        event::What::Renewed { .. } if !is_open => false,
        event::What::Opened { for_ } | event::What::Renewed { for_ } => {
            fault.clear();
            opened.left_ms = Some(millis(*for_));
            true
        }
        event::What::Refused { reason } => {
            reason_name(*reason).clone_into(fault);
            true
        }
        event::What::CommandFailed { part, .. } | event::What::ElementFailed { part, .. } => {
            *part == Part::Start
        }
        event::What::Closed { .. } => {
            // Asked for while it was being closed it opens again, as another lease.
            let again = |one: &&aldaba_runner::Lease| {
                one.id() != *lease && **one.door() == *opened.door && one.address() == opened.address
            };
            if let Some(next) = runner.leases().filter(again).last() {
                *lease = next.id();
                return false;
            }
            "it was closed meanwhile".clone_into(fault);
            true
        }
        _ => false,
    }
}

/// Whether everything is closed, or has failed, with this event.
fn hear_closing(
    waiting: &mut Vec<(LeaseId, String)>,
    closed: &mut Closed,
    fault: &str,
    of: LeaseId,
    event: &Event,
) -> bool {
    let Some(at) = waiting.iter().position(|(lease, _)| *lease == of) else { return false };
    let then = match &event.what {
        event::What::Closed { .. } => None,
        event::What::StopRetry { after, .. } => Some(format!("it is tried again in {}", short(*after))),
        event::What::CannotClose { after: Some(after), .. } => {
            Some(format!("it is tried again in {}", short(*after)))
        }
        event::What::CannotClose { after: None, .. } => {
            Some("it is left to the kernel, or a knock opens it anew".to_owned())
        }
        _ => return false,
    };
    let (_, door) = waiting.swap_remove(at);
    match then {
        None => closed.doors.push(door),
        Some(then) => closed.failed.push(NotClosed { door, error: format!("{fault}; {then}") }),
    }
    waiting.is_empty()
}

impl Monitor {
    /// A client asks who is inside.
    pub(super) fn handle_leases(&mut self, now: Duration, client: ClientId) {
        let mut leases: Vec<Lease> = self.runner.leases().map(|lease| self.told_lease(now, lease)).collect();
        leases.sort_by_key(|lease| (lease.state != LeaseState::CannotClose, lease.left_ms));
        let all = leases.len();
        let mut room = ROOM;
        let names = |lease: &Lease| lease.door.len() + lease.device.as_ref().map_or(0, String::len);
        let fits = leases.iter().take_while(|lease| {
            room = room.saturating_sub(names(lease).saturating_add(150));
            room > 0
        });
        leases.truncate(fits.count());
        let left_out = u64::try_from(all.saturating_sub(leases.len())).unwrap_or(u64::MAX);
        self.control.answer(now, client, &Answer::Leases(Leases { leases, left_out }));
    }

    /// A lease as it is told.
    pub(super) fn told_lease(&self, now: Duration, lease: &aldaba_runner::Lease) -> Lease {
        let device = lease.owner().and_then(|owner| self.known_name(owner.0));
        let uid = self.hands.opened_by.get(&lease.id()).copied().filter(|_| device.is_none());
        Lease {
            door: lease.door().to_string(),
            address: lease.address(),
            device,
            uid,
            state: state_of(lease),
            left_ms: millis(lease.deadline().saturating_sub(now)),
        }
    }

    /// A client closes what is open for an address.
    pub(super) fn handle_close(&mut self, now: Duration, client: ClientId, close: Close) {
        let (address, uid) = (close.address.to_canonical(), self.control.uid_of(client));
        if let Some(door) = &close.door
            && let Err(trouble) = self.known_door(door, true)
        {
            self.control.answer(now, client, &Answer::Error(trouble));
            return;
        }
        let of_door = |lease: &&aldaba_runner::Lease| {
            lease.address() == address && close.door.as_ref().is_none_or(|door| **lease.door() == **door)
        };
        let leases = self.runner.leases().filter(of_door);
        let waiting: Vec<(LeaseId, String)> =
            leases.map(|lease| (lease.id(), lease.door().to_string())).collect();
        let (of, count) = (close.door.map(|door| format!(" door={}", quoted(&door))), waiting.len());
        let of = of.unwrap_or_default();
        let line = format!("close-by-hand address={address}{of} uid={uid} leases={count}");
        self.speech.tell(Level::Notice, line);
        for (_, door) in &waiting {
            self.history.note_hand(now, door, address, "close-by-hand", uid);
        }
        let ids: Vec<LeaseId> = waiting.iter().map(|(lease, _)| *lease).collect();
        let closed = Closed { address, doors: Vec::new(), failed: Vec::new() };
        let work = Work::Close { waiting, closed };
        self.hands.busy.push(Hand { client, due: now.saturating_add(PATIENCE), work, fault: String::new() });
        for lease in ids {
            self.runner.close_lease(now, lease);
        }
    }

    /// A client opens a door.
    pub(super) fn handle_open(&mut self, now: Duration, client: ClientId, open: Open) {
        let (address, uid) = (open.address.to_canonical(), self.control.uid_of(client));
        let wanted = open.seconds.map(Duration::from_secs);
        match self.open_by_hand(now, open, address, wanted, uid) {
            Ok((lease, opened)) => {
                self.hands.opened_by.insert(lease, uid);
                let (due, work) = (now.saturating_add(PATIENCE), Work::Open { lease, opened });
                self.hands.busy.push(Hand { client, due, work, fault: String::new() });
            }
            Err(trouble) => self.control.answer(now, client, &Answer::Error(trouble)),
        }
    }

    fn open_by_hand(
        &mut self,
        now: Duration,
        open: Open,
        address: IpAddr,
        wanted: Option<Duration>,
        uid: u32,
    ) -> Result<(LeaseId, Opened), Trouble> {
        let number = self.may_open(&open.door, address, wanted)?;
        let (door, length) = (open.door, wanted.map(|wanted| format!(" for={}", short(wanted))));
        let (name, length) = (quoted(&door), length.unwrap_or_default());
        let line = format!("open-by-hand door={name} address={address} uid={uid}{length}");
        self.speech.tell(Level::Notice, line);
        self.history.note_hand(now, &door, address, "open-by-hand", uid);
        let (lease, renewed) = match self.runner.grant(now, number, &Ask::by_hand(address, wanted)) {
            Granted::Opening(lease) => (lease, false),
            Granted::Renewed(lease) => (lease, true),
            Granted::Nothing => {
                let text = format!("door {door} only logs for such an address: there is nothing to open");
                return Err(refused(text, "aldabad check --explain shows what each door does"));
            }
            Granted::Refused(reason) => {
                let text = format!("door {door} is not opened for {address}: {}", reason_name(reason));
                let help =
                    "the limits stand in [limits] of aldaba.toml(5); aldabad leases shows who is inside";
                return Err(refused(text, help));
            }
        };
        Ok((lease, Opened { door, address, renewed, left_ms: None }))
    }

    fn may_open(&mut self, name: &str, address: IpAddr, wanted: Option<Duration>) -> Result<DoorId, Trouble> {
        if self.stopping.is_some() {
            let text = "the daemon is about to end".to_owned();
            return Err(Trouble { kind: TroubleKind::NotDone, text, help: String::new() });
        }
        self.known_door(name, false)?;
        let is_nobody = self.is_own(address) || self.is_broadcast(address);
        let doors = &self.policy.current().policy.catalogue.doors;
        let found = (0_u32..).zip(doors).find(|(_, door)| door.name == name);
        let Some((number, door)) = found else { return Err(refused("there is no such door", "")) };
        if is_nobody || opened(address, None, AddressRule::Either, false).is_err() {
            let text = format!("no door is opened for {address}: no client has this address");
            return Err(refused(text, "give the address under which the service sees the client"));
        }
        let longest = longest(door);
        match wanted {
            Some(wanted) if wanted.is_zero() || wanted > longest => Err(refused(
                format!("door {name} may be open for 1s to {} at a time", short(longest)),
                "ask for a time within that, or raise `max-lease` of the door in aldaba.toml(5) and run aldabad reload",
            )),
            _ => Ok(DoorId(number)),
        }
    }

    /// Whether there is such a door, or, where `also_gone`, a lease of one.
    fn known_door(&self, name: &str, also_gone: bool) -> Result<(), Trouble> {
        let known = self.policy.current().policy.catalogue.doors.iter().map(|door| door.name.as_str());
        let gone = self.runner.leases().filter(|_| also_gone).map(|lease| &**lease.door());
        let known: Vec<&str> = known.chain(gone).collect();
        if known.contains(&name) {
            return Ok(());
        }
        let help = match aldaba_config::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => "aldabad check --explain lists the doors".to_owned(),
        };
        Err(refused(format!("there is no door {name:?}"), help))
    }

    /// Answers those whose work is done.
    pub(super) fn settle_hands(&mut self, now: Duration) {
        for (client, answer) in self.hands.settle(now, &self.runner) {
            self.control.answer(now, client, &answer);
        }
    }
}

/// The longest a door may be opened for at a time.
fn longest(door: &Door) -> Duration {
    match door.style {
        Style::Native => door.max_lease,
        Style::Knockd => door.lease,
    }
}
