//! Start and stop commands: when they get their turn, and what follows from how they ended.

use std::sync::Arc;
use std::time::Duration;

use super::durations::back_off;
use super::{Outcome, Runner};
use crate::door::Style;
use crate::effect::{Effect, JobId, Part, Signal};
use crate::event::{Reason, What, Why, bump};
use crate::lease::{Held, LOUD_AFTER, LeaseId, State};
use crate::queue::Line;
use crate::template::Rendered;

impl Runner {
    /// A command ended, or could not be started.
    pub fn command_finished(&mut self, now: Duration, job: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.remove(job) else { return };
        if !outcome.is_success() {
            bump(&mut self.counters.commands_failed);
            self.log_of(job.lease, What::CommandFailed { part: job.part, outcome });
        }
        match job.part {
            Part::Start => self.start_ended(now, job.lease, outcome),
            Part::Stop => self.stop_ended(now, job.lease, outcome, job.signalled),
        }
        self.dispatch(now);
    }

    /// Gives every free place to a command that waits, stop commands first.
    pub(super) fn dispatch(&mut self, now: Duration) {
        if self.keeps() {
            return;
        }
        self.jobs.places.release(now);
        loop {
            let (places, limits) = (&self.jobs.places, &self.limits);
            if let Some((line, id)) = self.stops.next(|line| places.stop_may_run(line, limits)) {
                self.run_stop(now, line, id);
            } else if let Some((_, id)) = self.starts.next(|line| places.start_may_run(&line.door, limits)) {
                self.run_start(now, id);
            } else {
                return;
            }
        }
    }

    /// The journal knows of the lease before its start command runs.
    fn run_start(&mut self, now: Duration, id: LeaseId) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let Some(command) = lease.start.take() else { return };
        let Held::Command { time_limit, .. } = lease.held else {
            return;
        };
        let job = self.jobs.add(now, id, Line::of(&lease.door), Part::Start, time_limit);
        lease.state = State::Starting { job, owed: lease.state.owed() };
        // Of a knockd.conf door's lease this is the earliest end there can be: it counts from the command's end.
        lease.deadline = now.saturating_add(lease.length);
        self.save(id);
        self.spawn(id, job, Part::Start, command, time_limit);
    }

    fn run_stop(&mut self, now: Duration, line: Line, id: LeaseId) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let State::Due { tries } = lease.state else { return };
        let Held::Command { stop: Some(command), time_limit } = lease.held.clone() else {
            return;
        };
        let job = self.jobs.add(now, id, line, Part::Stop, time_limit);
        lease.state = State::Stopping { job, tries };
        if lease.style == Style::Knockd && tries == 0 {
            self.log_of(id, What::CommandTimeout);
        }
        self.spawn(id, job, Part::Stop, command, time_limit);
    }

    fn spawn(
        &mut self,
        id: LeaseId,
        job: JobId,
        part: Part,
        command: Rendered,
        time_limit: Option<Duration>,
    ) {
        self.log_of(id, What::Running { part, command: command.clone() });
        let Some(lease) = self.table.lease(id) else { return };
        let (door, style) = (Arc::clone(&lease.door), lease.style);
        bump(&mut self.counters.commands);
        self.effects.push_back(Effect::Spawn { job, lease: id, part, door, style, command, time_limit });
    }

    fn start_ended(&mut self, now: Duration, id: LeaseId, outcome: Outcome) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        if !outcome.ran() {
            return self.not_started(now, id);
        }
        let failed = !outcome.is_success();
        if matches!(lease.held, Held::Command { stop: None, .. }) {
            // No record speaks of it, and nothing would close it.
            self.drop_lease(id);
            return;
        }
        let anew = lease.state.owed().is_some();
        if anew {
            lease.beneath = lease.beneath.saturating_add(1);
            lease.nothing_found = None;
        }
        lease.state = State::Open;
        if lease.style == Style::Knockd {
            lease.deadline = now.saturating_add(lease.length);
        } else if failed {
            lease.closing = Some(Why::StartFailed);
        }
        self.opened(now, id, failed, anew);
    }

    fn not_started(&mut self, now: Duration, id: LeaseId) {
        self.counters.refuse(Reason::NotStarted);
        if self.stays_owed(now, id) {
            self.save(id);
        } else {
            // Nothing was opened, so there is nothing to close: a stop command could take another lease's rule.
            self.drop_lease(id);
        }
    }

    fn opened(&mut self, now: Duration, id: LeaseId, failed: bool, anew: bool) {
        let Some(lease) = self.table.lease_mut(id) else { return };
        let deadline = lease.deadline;
        let at_once = lease.closing.is_some() || deadline <= now;
        let for_ = deadline.saturating_sub(now);
        if !failed && anew {
            // It never closed: one opening, one closing. What the start command before this one did may still be there.
            lease.renewals = lease.renewals.saturating_add(1);
            bump(&mut self.counters.renewed);
            self.log_of(id, What::Renewed { for_ });
        } else if !failed {
            bump(&mut self.counters.opened);
            self.log_of(id, What::Opened { for_ });
        }
        if at_once && !self.keeps() {
            self.make_due(id);
        } else {
            // The disk is waited for a second time. That the start command has done its work has to outlive the daemon, or the next
            // one takes the lease for uncertain, and of knockd.conf its end for an earlier one. The machine it need not outlive; but
            // a commit that is not waited for leaves a file that a power cut can tear, with the records that must outlive it.
            self.save(id);
            self.table.set_timer(id, Some(deadline));
        }
    }

    /// Puts the stop command in line.
    pub(super) fn make_due(&mut self, id: LeaseId) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let tries = match lease.state {
            State::Retry { tries } | State::CannotClose { tries } => tries,
            State::Due { .. } | State::Stopping { .. } => return,
            _ => 0,
        };
        lease.state = State::Due { tries };
        if tries == 0 {
            self.stops.push(&lease.door, id);
        } else {
            self.stops.push_again(&lease.door, id);
        }
        self.table.set_timer(id, None);
    }

    fn stop_ended(&mut self, now: Duration, id: LeaseId, outcome: Outcome, signalled: bool) {
        let Some(lease) = self.table.lease_mut(id) else {
            return;
        };
        let State::Stopping { tries, .. } = lease.state else {
            return;
        };
        // knockd runs a stop command once, whatever comes of it.
        let once = lease.style == Style::Knockd && outcome.ran();
        if outcome.is_success() && self.close_beneath(now, id) {
            return;
        }
        // A shell's words for a program that could not be executed, and those of one that could be only tried later.
        let by_itself = matches!(outcome, Outcome::Exited(code) if code != 126 && code != 127) && !signalled;
        if outcome.is_success() || once || (by_itself && self.finds_nothing(now, id)) {
            self.closed(now, id);
            return;
        }
        let tries = tries.saturating_add(1);
        bump(&mut self.counters.stops_failed);
        if !(outcome.ran() && self.open_anew(now, id, tries)) {
            self.stop_again(now, id, tries);
        }
        if tries == 1 {
            self.save(id);
        }
    }

    /// A stop command has failed, and is run again in a while; for ever, since the door is open.
    pub(super) fn stop_again(&mut self, now: Duration, id: LeaseId, tries: u32) {
        let after = back_off(tries);
        let (state, what) = if tries > LOUD_AFTER {
            (State::CannotClose { tries }, What::CannotClose { tries, after: Some(after) })
        } else {
            (State::Retry { tries }, What::StopRetry { tries, after })
        };
        if let Some(lease) = self.table.lease_mut(id) {
            lease.state = state;
        }
        self.table.set_timer(id, Some(now.saturating_add(after)));
        self.log_of(id, what);
    }

    /// Ends commands that have run too long.
    pub(super) fn enforce_time_limits(&mut self, now: Duration) {
        let (mut term, mut kill) = (Vec::new(), Vec::new());
        while let Some((id, job, signal)) = self.jobs.over_time(now) {
            bump(&mut self.counters.over_time);
            self.log_of(job.lease, What::TimeLimit { part: job.part, signal });
            match signal {
                Signal::Term => term.push(id),
                Signal::Kill => kill.push(id),
            }
        }
        for (jobs, signal) in [(term, Signal::Term), (kill, Signal::Kill)] {
            if !jobs.is_empty() {
                self.effects.push_back(Effect::Signal { jobs, signal });
            }
        }
    }
}
