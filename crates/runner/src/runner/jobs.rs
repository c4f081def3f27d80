//! The commands that run now: whose they are, how many of each door, and when they have run too long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::door::Limits;
use crate::effect::{JobId, KILL_AFTER, Part, Signal};
use crate::lease::LeaseId;

/// One running command.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) lease: LeaseId,
    pub(super) door: Arc<str>,
    pub(super) part: Part,
    signalled: bool,
    timer: Option<Duration>,
}

/// How many commands run.
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    all: usize,
    stops: usize,
}

/// The running commands.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_id: BTreeMap<JobId, Job>,
    timers: BTreeSet<(Duration, JobId)>,
    total: Running,
    of_door: BTreeMap<Arc<str>, Running>,
    last: u64,
}

impl Jobs {
    pub(super) fn running(&self) -> usize {
        self.total.all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.by_id.values()
    }

    /// Whether one more start command of this door may run.
    pub(super) fn start_may_run(&self, door: &Arc<str>, limits: &Limits) -> bool {
        self.total.all < limits.running.max(1) && self.door(door).all < limits.running_per_door.max(1)
    }

    /// Whether one more stop command of this door may run. Stops have places of their own beyond the limits, so that
    /// start commands that hang cannot keep a door open: as many as one door's share, and a quarter of it for each door.
    pub(super) fn stop_may_run(&self, door: &Arc<str>, limits: &Limits) -> bool {
        let own = limits.running_per_door.max(1);
        let of_door = self.door(door);
        let total = self.total.all < limits.running || self.total.stops < own;
        total && (of_door.all < limits.running_per_door || of_door.stops < own.div_ceil(4))
    }

    pub(super) fn add(
        &mut self,
        now: Duration,
        lease: LeaseId,
        door: &Arc<str>,
        part: Part,
        time_limit: Option<Duration>,
    ) -> JobId {
        self.last = self.last.saturating_add(1);
        let id = JobId(self.last);
        let timer = time_limit.map(|limit| now.saturating_add(limit));
        self.timers.extend(timer.map(|at| (at, id)));
        self.total.add(part);
        self.of_door.entry(Arc::clone(door)).or_default().add(part);
        self.by_id.insert(id, Job { lease, door: Arc::clone(door), part, signalled: false, timer });
        id
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        let job = self.by_id.remove(&id)?;
        if let Some(at) = job.timer {
            self.timers.remove(&(at, id));
        }
        self.total.subtract(job.part);
        if let Some(running) = self.of_door.get_mut(&job.door) {
            running.subtract(job.part);
            if running.all == 0 {
                self.of_door.remove(&job.door);
            }
        }
        Some(job)
    }

    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A command that has run too long, and the signal it gets now.
    pub(super) fn over_time(&mut self, now: Duration) -> Option<(JobId, Job, Signal)> {
        let (at, id) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        let job = self.by_id.get_mut(&id)?;
        let signal = if job.signalled { Signal::Kill } else { Signal::Term };
        job.timer = (!job.signalled).then(|| now.saturating_add(KILL_AFTER));
        job.signalled = true;
        self.timers.extend(job.timer.map(|at| (at, id)));
        Some((id, job.clone(), signal))
    }

    fn door(&self, door: &Arc<str>) -> Running {
        self.of_door.get(door).copied().unwrap_or_default()
    }
}

impl Running {
    fn add(&mut self, part: Part) {
        self.all = self.all.saturating_add(1);
        if part == Part::Stop {
            self.stops = self.stops.saturating_add(1);
        }
    }

    fn subtract(&mut self, part: Part) {
        self.all = self.all.saturating_sub(1);
        if part == Part::Stop {
            self.stops = self.stops.saturating_sub(1);
        }
    }
}
