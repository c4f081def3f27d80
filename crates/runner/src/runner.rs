//! The monitor's brain: decides what opens, what closes, what runs and in which order (spec/leases.md).
//!
//! No clock, no process, no socket, no file: what happened comes in with its time, what is to be done goes out through
//! [`Runner::poll_effect`], and [`Runner::poll_timeout`] says when it wants to be asked again.

mod anew;
mod close;
mod commands;
mod durations;
mod effects;
mod elements;
mod jobs;
mod losses;
mod open;
mod recovery;
mod shorten;
mod shutdown;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::door::{Action, Catalogue, Door, Limits, Style};
use crate::effect::{Change, Effect};
use crate::event::{Counters, Event, Reason, What};
use crate::lease::table::LeaseTable;
use crate::lease::{Ask, Element, Lease, LeaseId, Owner};
use crate::queue::Queue;

use jobs::Jobs;
pub use losses::Loss;
use shutdown::Shutdown;

/// A door's place in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoorId(pub u32);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It was never started; the error number of the attempt.
    NotStarted(i32),
}

impl Outcome {
    /// Whether it ran and ended with status 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Whether it ran at all.
    #[must_use]
    pub fn ran(self) -> bool {
        !matches!(self, Self::NotStarted(_))
    }
}

/// What becomes of open doors when the daemon goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnShutdown {
    /// They are closed; what could not be closed within this time stays in the journal.
    Close {
        /// The time there is.
        grace: Duration,
    },
    /// They stay open, in the journal, for the next start.
    Keep,
}

/// What became of a grant; the events say the same for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Granted {
    /// This lease was made; its start command runs or waits, or its element was asked for.
    Opening(LeaseId),
    /// This lease goes on for longer, or opens again as soon as it is closed.
    Renewed(LeaseId),
    /// There is nothing to do for this client.
    Nothing,
    /// It was refused.
    Refused(Reason),
}

/// A door with its name ready to be shared.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    door: Door,
}

/// The state machine.
///
/// # Calling discipline
/// Call one of the inputs ([`grant`](Self::grant), [`close`](Self::close), [`command_finished`](Self::command_finished),
/// [`element_done`](Self::element_done), ...) with the present `CLOCK_BOOTTIME`; then take effects with
/// [`poll_effect`](Self::poll_effect) until there are none, performing each **before** taking the next; then wait until
/// something happens or [`poll_timeout`](Self::poll_timeout), whichever is first, and call
/// [`handle_timeout`](Self::handle_timeout) in the latter case. `now` never goes back.
#[derive(Debug)]
pub struct Runner {
    doors: Vec<Arc<Known>>,
    /// The same by kind and name.
    named: Named,
    limits: Limits,
    table: LeaseTable,
    starts: Queue,
    stops: Queue,
    jobs: Jobs,
    effects: VecDeque<Effect>,
    /// Leases whose journal entry is behind, and when it is written again.
    unsaved: BTreeMap<LeaseId, Duration>,
    next_lease: u64,
    shutdown: Option<Shutdown>,
    counters: Counters,
}

impl Runner {
    /// A runner without leases; see [`Runner::recover`] for those of an earlier run.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        let (doors, limits) = known(catalogue);
        Self {
            named: by_name(&doors),
            doors,
            limits,
            table: LeaseTable::default(),
            starts: Queue::default(),
            stops: Queue::default(),
            jobs: Jobs::default(),
            effects: VecDeque::new(),
            unsaved: BTreeMap::new(),
            next_lease: 1,
            shutdown: None,
            counters: Counters::default(),
        }
    }

    /// Opens a door for a client, or keeps it open for longer.
    pub fn grant(&mut self, now: Duration, door: DoorId, ask: &Ask) -> Granted {
        let known = usize::try_from(door.0).ok().and_then(|index| self.doors.get(index)).cloned();
        let Some(known) = known else {
            self.counters.refuse(Reason::NoSuchDoor);
            return Granted::Refused(Reason::NoSuchDoor);
        };
        let granted = self.admit(now, &known, ask);
        self.dispatch(now);
        granted
    }

    /// Closes what a door holds open for a client (a close knock); tells how many leases that concerns.
    pub fn close(&mut self, now: Duration, door: DoorId, source: IpAddr) -> usize {
        let known = usize::try_from(door.0).ok().and_then(|index| self.doors.get(index)).cloned();
        let ids = known.map_or_else(Vec::new, |known| self.table.of_pair(&known.name, source));
        self.close_all(now, &ids)
    }

    /// Closes what a device holds open of a door, for whichever address; tells how many leases that concerns.
    pub fn close_owned(&mut self, now: Duration, door: DoorId, owner: Owner) -> usize {
        let known = usize::try_from(door.0).ok().and_then(|index| self.doors.get(index)).cloned();
        let ids = known.map_or_else(Vec::new, |known| self.table.owned(owner, &known.name));
        self.close_all(now, &ids)
    }

    /// Closes every lease that its owner may not hold any more: the registry has changed.
    pub fn close_unless(&mut self, now: Duration, may_hold: impl Fn(Owner, &Lease) -> bool) -> usize {
        let revoked = |lease: &&Lease| lease.owner.is_some_and(|owner| !may_hold(owner, lease));
        let ids: Vec<LeaseId> = self.table.iter().filter(revoked).map(|lease| lease.id).collect();
        self.close_all(now, &ids)
    }

    /// How many leases a device holds.
    #[must_use]
    pub fn held_by(&self, owner: Owner) -> usize {
        self.table.of_owner(owner)
    }

    /// Every device that holds leases, and how many.
    pub fn owners(&self) -> impl Iterator<Item = (Owner, usize)> {
        self.table.owners()
    }

    /// The lease an opening would renew, in place of making one.
    #[must_use]
    pub fn renewed_by(&self, door: DoorId, address: IpAddr) -> Option<&Lease> {
        let known = self.doors.get(usize::try_from(door.0).ok()?)?;
        self.table.lease(self.renewed_at(known, address)?)
    }

    fn renewed_at(&self, known: &Known, address: IpAddr) -> Option<LeaseId> {
        match &known.door.action {
            Action::LogOnly => None,
            Action::Command(_) => self.table.renewable(&known.name, address),
            Action::Nftables(nft) => self.table.holder(&Element::of(&known.name, &nft.set, address)?),
        }
    }

    /// Closes whatever is open for a client, whichever the door; tells how many leases that concerns.
    pub fn close_source(&mut self, now: Duration, source: IpAddr) -> usize {
        let of_source = |lease: &&Lease| lease.address == source;
        let ids: Vec<LeaseId> = self.table.iter().filter(of_source).map(|lease| lease.id).collect();
        self.close_all(now, &ids)
    }

    /// Closes one lease; tells whether there is one of this number.
    pub fn close_lease(&mut self, now: Duration, id: LeaseId) -> bool {
        self.table.lease(id).is_some() && self.close_all(now, &[id]) == 1
    }

    /// Takes a new catalogue. Leases of doors that are gone or changed go on and end with the stop command of their own
    /// start; a further knock does not renew them, except where it opens the very element that a lease holds. A start
    /// command that waits for its turn at a door that is gone is refused.
    pub fn reload(&mut self, now: Duration, catalogue: Catalogue) {
        let (doors, limits) = known(catalogue);
        self.named = by_name(&doors);
        let old = std::mem::replace(&mut self.doors, doors);
        self.limits = limits;
        for id in self.table.ids() {
            self.follow_reload(now, id, &old);
        }
        self.dispatch(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.enforce_time_limits(now);
        self.write_again(now);
        if !self.keeps() {
            while let Some(id) = self.table.take_due(now) {
                self.lease_due(id);
            }
            self.dispatch(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; maybe in the past, `None` for never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let leases = if self.keeps() { None } else { self.table.next_timer() };
        let journal = self.unsaved.values().min().copied();
        let end = self.shutdown.as_ref().map(|shutdown| shutdown.until);
        [leases, self.jobs.next_timer(), self.next_place(), journal, end].into_iter().flatten().min()
    }

    /// When somebody who waits for a place may have one though nothing ends.
    fn next_place(&self) -> Option<Duration> {
        let nobody_waits = self.stops.is_empty() && self.starts.is_empty();
        if self.keeps() || nobody_waits { None } else { self.jobs.places.next_release() }
    }

    /// All leases, oldest first, those that wait for their start command included.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.table.iter()
    }

    /// How many there are, without looking at each.
    #[must_use]
    pub fn lease_count(&self) -> usize {
        self.table.len()
    }

    /// One lease.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.table.lease(id)
    }

    /// How many leases the journal does not have as they are; it is written again.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.unsaved.len()
    }

    /// How many commands run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.jobs.places.running()
    }

    /// How many start commands wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.starts.len()
    }

    /// How many stop commands are due and wait for their turn.
    #[must_use]
    pub fn stops_waiting(&self) -> usize {
        self.stops.len()
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn admit(&mut self, now: Duration, known: &Known, ask: &Ask) -> Granted {
        let source = ask.address;
        if self.shutdown.is_some() {
            return self.refuse(known, source, Reason::ShuttingDown);
        }
        match &known.door.action {
            Action::LogOnly => {
                self.log(None, known, source, What::LoggedOnly);
                Granted::Nothing
            }
            Action::Command(commands) => self.admit_command(now, known, commands, ask),
            Action::Nftables(nft) => self.admit_element(now, known, &nft.set, ask),
        }
    }

    fn refuse(&mut self, known: &Known, source: IpAddr, reason: Reason) -> Granted {
        self.counters.refuse(reason);
        self.log(None, known, source, What::Refused { reason });
        Granted::Refused(reason)
    }

    /// Whether source and door may hold one more lease.
    fn room(&self, known: &Known, ask: &Ask) -> Result<(), Reason> {
        if !ask.spares_source {
            self.room_of_source(known, ask.address)?;
        }
        self.room_of_door(known)
    }

    fn room_of_source(&self, known: &Known, source: IpAddr) -> Result<(), Reason> {
        if self.table.of_source(source) >= self.limits.leases_per_source {
            return Err(Reason::TooManyOfSource);
        }
        if self.table.count_of_pair(&known.name, source) >= self.limits.leases_of_pair() {
            return Err(Reason::TooManyOfPair);
        }
        Ok(())
    }

    fn room_of_door(&self, known: &Known) -> Result<(), Reason> {
        if self.table.of_door(&known.name) >= self.limits.leases_per_door {
            return Err(Reason::TooManyOfDoor);
        }
        Ok(())
    }

    fn new_id(&mut self) -> LeaseId {
        let id = LeaseId(self.next_lease);
        self.next_lease = self.next_lease.saturating_add(1);
        id
    }

    /// The door of this name and kind as the catalogue has it now.
    fn door_named(&self, name: &str, style: Style) -> Option<Arc<Known>> {
        self.named.get(&style)?.get(name).cloned()
    }

    fn log(&mut self, lease: Option<LeaseId>, known: &Known, address: IpAddr, what: What) {
        let door = Arc::clone(&known.name);
        self.effects.push_back(Effect::Log(Event { lease, door, style: known.door.style, address, what }));
    }

    fn log_of(&mut self, id: LeaseId, what: What) {
        if let Some(lease) = self.table.lease(id) {
            let event = event_of(lease, what);
            self.effects.push_back(Effect::Log(event));
        }
    }

    /// Asks for the lease's record to be written, where there is one.
    fn save(&mut self, id: LeaseId) {
        if let Some(record) = self.table.lease(id).and_then(Lease::record) {
            self.unsaved.remove(&id);
            self.change_journal(Change::Put(record));
        }
    }

    /// Takes the lease out of the table and asks for its record to be removed, where there is one: nothing is left to close, or
    /// the kernel closes it.
    fn drop_lease(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.table.remove(id)?;
        if lease.record().is_some() {
            self.unsaved.remove(&id);
            self.change_journal(Change::Remove(id));
        }
        Some(lease)
    }
}

fn event_of(lease: &Lease, what: What) -> Event {
    let door = Arc::clone(&lease.door);
    Event { lease: Some(lease.id), door, style: lease.style, address: lease.address, what }
}

fn known(catalogue: Catalogue) -> (Vec<Arc<Known>>, Limits) {
    let known = |door: Door| Arc::new(Known { name: Arc::from(door.name.as_str()), door });
    // Collected as they come they would stay where the doors were, in many times the room.
    let mut doors = Vec::with_capacity(catalogue.doors.len());
    doors.extend(catalogue.doors.into_iter().map(known));
    (doors, catalogue.limits)
}

type Named = HashMap<Style, HashMap<Arc<str>, Arc<Known>>>;

fn by_name(doors: &[Arc<Known>]) -> Named {
    let mut named = Named::new();
    for known in doors {
        // Of one name, the first.
        let of_style = named.entry(known.door.style).or_default();
        of_style.entry(Arc::clone(&known.name)).or_insert_with(|| Arc::clone(known));
    }
    named
}

#[cfg(test)]
mod tests;
