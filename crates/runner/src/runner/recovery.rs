//! Leases of an earlier run, and a journal that cannot be written.

use std::collections::VecDeque;
use std::time::Duration;

use super::Runner;
use crate::door::{Action, Style};
use crate::effect::{Change, Effect, JobId, Part};
use crate::event::{Reason, What, Why, bump};
use crate::lease::{Held, Lease, LeaseId, State};
use crate::queue::Line;
use crate::record::{Due, Phase, Record, Recovered};
use crate::template::Substitution;

/// A journal write that failed is tried again after this time.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

impl Runner {
    /// The number of the next lease. For a runner that begins without a journal: one that is opened later may have any of the
    /// numbers that are counted from 1.
    pub fn count_from(&mut self, number: u64) {
        self.next_lease = self.next_lease.max(number);
    }

    /// Takes over the leases of an earlier run, as soon as their journal is opened: before the first grant, or later. Of an
    /// element that has a lease by then the record is forgotten, since it is older; leases that are open by then are
    /// written down.
    pub fn recover(&mut self, now: Duration, leases: Vec<Recovered>) {
        let open = |lease: &&Lease| lease.state == State::Open;
        let unwritten: Vec<LeaseId> = self.table.iter().filter(open).map(|lease| lease.id).collect();
        for Recovered { record, due } in leases {
            self.next_lease = self.next_lease.max(record.id.0.saturating_add(1));
            let element = record.held.element(record.address);
            // The kernel has ended it, or has it by a younger lease.
            if due == Due::Forget || element.is_some_and(|element| self.table.holder(&element).is_some()) {
                self.change_journal(Change::Remove(record.id));
            } else {
                self.take_over(now, record, due);
            }
        }
        for id in unwritten {
            self.save(id);
        }
        self.dispatch(now);
    }

    fn take_over(&mut self, now: Duration, record: Record, due: Due) {
        let left = match due {
            Due::At(_) | Due::Starting | Due::Stopping => record.deadline.saturating_sub(now),
            _ => Duration::ZERO,
        };
        let (starting, stopping) = (due == Due::Starting, due == Due::Stopping);
        let closing = !starting && (record.phase == Phase::Closing || left.is_zero());
        let id = record.id;
        let mut lease = recovered(record, due, left);
        if due == Due::OtherBoot {
            // Its deadline is on a clock that is gone. What is written from now on is of this boot, and overdue.
            lease.deadline = now;
        }
        lease.renewable = self.belongs(&lease);
        if lease.renewable
            && let Some(older) = self.table.renewable(&lease.door, lease.address)
        {
            // A reload in the life before has parted them: the younger one goes on.
            self.detach(older);
        }
        let by_command = matches!(lease.held, Held::Command { .. });
        if by_command && (closing || stopping) {
            lease.closing = Some(Why::Overdue);
        }
        let deadline = lease.deadline;
        self.table.insert(lease);
        self.log_of(id, What::TakenOver { left });
        if starting || stopping {
            self.take_over_job(now, id, if starting { Part::Start } else { Part::Stop });
        } else if by_command && closing {
            self.make_due(id);
        } else {
            self.table.set_timer(id, Some(deadline));
        }
    }

    /// Its command counts as every other that runs, with its time limit from now on.
    fn take_over_job(&mut self, now: Duration, id: LeaseId, part: Part) {
        let Some(lease) = self.table.lease_mut(id) else { return };
        let Held::Command { time_limit, .. } = lease.held else { return };
        let job = self.jobs.add(now, id, Line::of(&lease.door), part, time_limit);
        lease.state = match part {
            Part::Start => State::Starting { job, owed: None },
            Part::Stop => State::Stopping { job, tries: 0 },
        };
    }

    /// A stop command that was taken over has ended, and nobody knows that it has closed its door: it runs again.
    pub fn stop_gone(&mut self, now: Duration, job: JobId) {
        let Some(job) = self.jobs.remove(job) else { return };
        let Some(lease) = self.table.lease_mut(job.lease) else { return };
        lease.state = State::Retry { tries: 0 };
        self.make_due(job.lease);
        self.dispatch(now);
    }

    /// A start command that was taken over has ended; nobody can tell how.
    pub fn start_gone(&mut self, now: Duration, job: JobId) {
        let Some(job) = self.jobs.remove(job) else { return };
        let Some(lease) = self.table.lease_mut(job.lease) else { return };
        lease.state = State::Open;
        let deadline = lease.deadline;
        if lease.closing.is_some() || deadline <= now {
            self.make_due(job.lease);
        } else {
            self.table.set_timer(job.lease, Some(deadline));
        }
        self.dispatch(now);
    }

    /// Whether the catalogue's door would close this lease, by command, as it is going to be closed.
    fn belongs(&self, lease: &Lease) -> bool {
        let Some(known) = self.door_named(&lease.door, lease.style) else {
            return false;
        };
        let (Action::Command(commands), Held::Command { stop, .. }) = (&known.door.action, &lease.held)
        else {
            return false;
        };
        let with = Substitution { address: lease.address, seconds: lease.seconds };
        let now = commands.stop.of(lease.address).map(|stop| stop.render(&with));
        lease.style == Style::Native && now.and_then(Result::ok).as_ref() == stop.as_ref()
    }

    /// A record could not be written or removed. Called before the next effect is taken, it withdraws the start command
    /// that the record covers; in any case it is tried again later.
    pub fn journal_failed(&mut self, now: Duration, id: LeaseId) {
        bump(&mut self.counters.journal_failed);
        if self.withdraw_start(now, id) {
            // The record may have reached the disk all the same: take it away, or the next start would run a stop
            // command without a start. Where a stop is owed, it is written as it was.
            self.unsaved.insert(id, now.saturating_add(WRITE_AGAIN));
            self.dispatch(now);
            return;
        }
        if self.unsaved.is_empty() {
            self.log_of(id, What::JournalBehind { after: WRITE_AGAIN });
        }
        self.unsaved.insert(id, now.saturating_add(WRITE_AGAIN));
    }

    /// Takes back a start command that nobody has seen yet.
    fn withdraw_start(&mut self, now: Duration, id: LeaseId) -> bool {
        let Some(State::Starting { job, .. }) = self.table.lease(id).map(Lease::state) else {
            return false;
        };
        let before = self.effects.len();
        self.effects.retain(|effect| !matches!(effect, Effect::Spawn { job: queued, .. } if *queued == job));
        if self.effects.len() == before {
            return false;
        }
        let announces = |effect: &Effect| {
            let Effect::Log(event) = effect else { return false };
            event.lease == Some(id) && matches!(event.what, What::Running { part: Part::Start, .. })
        };
        self.effects.retain(|effect| !announces(effect));
        self.jobs.remove(job);
        self.lose_turn(now, id, Reason::NotDurable);
        true
    }

    /// Writes again what could not be written.
    pub(super) fn write_again(&mut self, now: Duration) {
        let due: Vec<LeaseId> =
            self.unsaved.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.unsaved.remove(&id);
            match self.table.lease(id).and_then(Lease::record) {
                Some(record) => self.change_journal(Change::Put(record)),
                // Closed, or its start command was never run.
                None => self.change_journal(Change::Remove(id)),
            }
        }
    }
}

fn recovered(record: Record, due: Due, left: Duration) -> Lease {
    let is_sure = record.phase == Phase::Open && matches!(due, Due::Now | Due::At(_));
    Lease {
        id: record.id,
        door: record.door,
        style: record.style,
        address: record.address,
        owner: record.owner,
        seconds: record.seconds,
        held: record.held,
        state: State::Open,
        deadline: record.deadline,
        length: left,
        start: None,
        renewable: false,
        closing: None,
        reopen: None,
        nothing_found: None,
        beneath: 0,
        uncertain: !is_sure,
        asked: VecDeque::new(),
        lost: false,
        renewals: 0,
    }
}
