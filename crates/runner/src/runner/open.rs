//! Opening by command: what is refused, what is renewed, what gets a lease and a place in the line.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::durations::{extended, length, whole_seconds};
use super::{Granted, Known, Runner};
use crate::door::{Commands, Style};
use crate::effect::Part;
use crate::event::{Reason, What, Why, bump};
use crate::lease::{Ask, Held, Lease, LeaseId, State};
use crate::template::{Rendered, Substitution};

/// What a grant runs.
pub(super) struct Wanted {
    pub(super) start: Rendered,
    pub(super) stop: Option<Rendered>,
}

/// Why it runs nothing.
pub(super) enum Unwanted {
    Nothing,
    TooLong(Part),
}

impl Runner {
    pub(super) fn admit_command(
        &mut self,
        now: Duration,
        known: &Known,
        commands: &Commands,
        ask: &Ask,
    ) -> Granted {
        let source = ask.address;
        if let Some(id) = self.table.renewable(&known.name, source) {
            return self.renew(now, id, known, ask);
        }
        let length = length(&known.door, ask.wanted);
        let rendered = match render(commands, source, length) {
            Ok(rendered) => rendered,
            Err(unwanted) => return self.unwanted(known, source, &unwanted),
        };
        if let Err(reason) = self.room(known, ask).and_then(|()| self.place_in_line(now, known)) {
            return self.refuse(known, source, reason);
        }
        let held = Held::Command { stop: rendered.stop, time_limit: commands.time_limit };
        let id = self.new_id();
        let mut lease = lease(id, known, ask, now, length, held);
        lease.start = Some(rendered.start);
        self.table.insert(lease);
        self.starts.push(&known.name, id);
        Granted::Opening(id)
    }

    fn unwanted(&mut self, known: &Known, source: IpAddr, unwanted: &Unwanted) -> Granted {
        match *unwanted {
            Unwanted::TooLong(part) => {
                self.counters.refuse(Reason::TooLong);
                self.log(None, known, source, What::TooLong { part });
                Granted::Refused(Reason::TooLong)
            }
            // A knockd.conf door without a command for this family only logs, which the knock itself has done.
            Unwanted::Nothing if known.door.style == Style::Knockd => Granted::Nothing,
            Unwanted::Nothing => self.refuse(known, source, Reason::NothingForFamily),
        }
    }

    /// Makes sure that a start command of this door may run at once or wait.
    ///
    /// When all places are taken, a door with a shorter line takes the last place of the door with the longest: whoever
    /// floods one door fills that door's line only.
    pub(super) fn place_in_line(&mut self, now: Duration, known: &Known) -> Result<(), Reason> {
        self.jobs.places.release(now);
        let at_once = self.jobs.places.start_may_run(&known.name, &self.limits);
        if at_once || self.starts.len() < self.limits.waiting {
            return Ok(());
        }
        let own = self.starts.of_door(&known.name);
        let (door, line) = self.starts.longest().ok_or(Reason::QueueFull)?;
        if line <= own.saturating_add(1) {
            return Err(Reason::QueueFull);
        }
        let displaced = self.starts.pop_newest(&door).ok_or(Reason::QueueFull)?;
        self.lose_turn(now, displaced, Reason::Displaced);
        Ok(())
    }

    /// A start command is not run; it is in no line any more.
    pub(super) fn lose_turn(&mut self, now: Duration, id: LeaseId, reason: Reason) {
        self.log_of(id, What::Refused { reason });
        self.counters.refuse(reason);
        if !self.stays_owed(now, id) {
            // Nothing has happened outside for this lease, and no record speaks of it.
            self.table.remove(id);
        }
    }

    /// A further knock while there is a lease.
    fn renew(&mut self, now: Duration, id: LeaseId, known: &Known, ask: &Ask) -> Granted {
        let length = length(&known.door, ask.wanted);
        self.table.set_owner(id, ask.owner);
        let Some(lease) = self.table.lease_mut(id) else {
            return Granted::Nothing;
        };
        match lease.state {
            State::Waiting { .. } => lease.length = lease.length.max(length),
            State::Starting { .. } | State::Open if !lease.uncertain => {
                lease.closing = None;
                lease.deadline = extended(lease.deadline, now, length, &known.door);
                self.renewed(now, id);
            }
            State::Due { tries: 0 } if !lease.uncertain && lease.closing != Some(Why::StartFailed) => {
                lease.closing = None;
                lease.deadline = extended(lease.deadline, now, length, &known.door);
                lease.state = State::Open;
                self.stops.remove(&known.name, id);
                self.renewed(now, id);
            }
            // Taken over: nobody will see how it ends.
            State::Starting { .. } => {
                lease.reopen = Some(length);
                lease.closing.get_or_insert(Why::Expired);
            }
            // The stop command runs or has run: whatever it has done, only a new start command surely opens.
            State::Due { .. } | State::Stopping { .. } => lease.reopen = Some(length),
            _ => {
                lease.reopen = Some(length);
                self.make_due(id);
            }
        }
        Granted::Renewed(id)
    }

    pub(super) fn renewed(&mut self, now: Duration, id: LeaseId) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        lease.renewals = lease.renewals.saturating_add(1);
        bump(&mut self.counters.renewed);
        let (deadline, open) = (lease.deadline, lease.state == State::Open);
        if open {
            self.table.set_timer(id, Some(deadline));
        }
        self.save(id);
        self.log_of(id, What::Renewed { for_: deadline.saturating_sub(now) });
    }
}

/// A lease at its very beginning.
pub(super) fn lease(
    id: LeaseId,
    known: &Known,
    ask: &Ask,
    now: Duration,
    length: Duration,
    held: Held,
) -> Lease {
    let renewable = known.door.style == Style::Native && matches!(held, Held::Command { .. });
    Lease {
        id,
        door: Arc::clone(&known.name),
        style: known.door.style,
        address: ask.address,
        owner: ask.owner,
        seconds: whole_seconds(length),
        held,
        state: State::Waiting { owed: None },
        deadline: now.saturating_add(length),
        length,
        start: None,
        renewable,
        closing: None,
        reopen: None,
        nothing_found: None,
        beneath: 0,
        uncertain: false,
        asked: VecDeque::new(),
        lost: false,
        renewals: 0,
    }
}

/// Renders both commands before either runs: nothing is opened that could not be closed.
pub(super) fn render(commands: &Commands, source: IpAddr, length: Duration) -> Result<Wanted, Unwanted> {
    let with = Substitution { address: source, seconds: whole_seconds(length) };
    let start = commands.start.of(source).ok_or(Unwanted::Nothing)?;
    let start = start.render(&with).map_err(|_| Unwanted::TooLong(Part::Start))?;
    if start.is_empty() {
        return Err(Unwanted::Nothing);
    }
    let stop = commands.stop.of(source).map(|stop| stop.render(&with)).transpose();
    let stop = stop.map_err(|_| Unwanted::TooLong(Part::Stop))?;
    Ok(Wanted { start, stop: stop.filter(|_| !commands.never_stop) })
}
