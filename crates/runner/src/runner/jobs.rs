//! The commands that run now: whose they are, which places they take, and when they have run too long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::effect::{JobId, KILL_AFTER, Part, Signal};
use crate::lease::LeaseId;
use crate::places::Places;
use crate::queue::Line;

/// One running command.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) lease: LeaseId,
    line: Line,
    pub(super) part: Part,
    /// It has run too long, and was told to end.
    pub(super) signalled: bool,
    timer: Option<Duration>,
}

/// The running commands.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_id: BTreeMap<JobId, Job>,
    timers: BTreeSet<(Duration, JobId)>,
    pub(super) places: Places,
    last: u64,
}

impl Jobs {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.by_id.values()
    }

    pub(super) fn add(
        &mut self,
        now: Duration,
        lease: LeaseId,
        line: Line,
        part: Part,
        time_limit: Option<Duration>,
    ) -> JobId {
        self.last = self.last.saturating_add(1);
        let id = JobId(self.last);
        let timer = time_limit.map(|limit| now.saturating_add(limit));
        self.timers.extend(timer.map(|at| (at, id)));
        self.places.take(now, id, part, &line);
        self.by_id.insert(id, Job { lease, line, part, signalled: false, timer });
        id
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        let job = self.by_id.remove(&id)?;
        if let Some(at) = job.timer {
            self.timers.remove(&(at, id));
        }
        self.places.free(id, job.part, &job.line);
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
}
