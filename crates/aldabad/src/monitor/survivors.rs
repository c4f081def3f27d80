//! Start commands of an earlier daemon that still run: their doors close after their end, never before.
//!
//! They are not this process's children: their end shows at their descriptors, and how they ended shows nowhere.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aldaba_runner::record::Recovered;
use aldaba_runner::{JobId, Lease, State};
use aldaba_sys::process::{self, Kill};

use super::Monitor;
use crate::keeper::Survivor;

/// Those that are waited for.
#[derive(Debug, Default)]
pub(super) struct Survivors(BTreeMap<JobId, Survivor>);

impl Survivors {
    /// What to wait on.
    pub(super) fn processes(&self) -> impl Iterator<Item = (JobId, BorrowedFd<'_>)> {
        self.0.iter().map(|(job, survivor)| (*job, survivor.process.as_fd()))
    }

    /// Signals one and its group, if the job is one of these.
    pub(super) fn signal(&self, job: JobId, kill: Kill) {
        let Some(survivor) = self.0.get(&job) else { return };
        // While it lives, the number of its group is its own.
        if !process::has_ended(survivor.process.as_fd()) {
            process::signal_group(survivor.pid, kill).ok();
        }
    }
}

impl Monitor {
    /// Takes leases over, and waits for those of their start commands that still run.
    pub(super) fn recover(&mut self, now: Duration, mut recovered: Vec<Recovered>, running: Vec<Survivor>) {
        for lease in &mut recovered {
            if running.iter().any(|survivor| survivor.lease == lease.record.id) {
                lease.start_runs();
            }
        }
        self.runner.recover(now, recovered);
        for survivor in running {
            if let Some(State::Starting { job }) = self.runner.lease(survivor.lease).map(Lease::state) {
                self.commands.survivors.0.insert(job, survivor);
            } else {
                self.keeper.iter_mut().for_each(|keeper| keeper.forget_start(survivor.pid));
            }
        }
    }

    /// The closer of this monitor waits for them too.
    pub(super) fn tell_survivors(&self) {
        let Some(closer) = &self.closer else { return };
        for survivor in self.commands.survivors.0.values() {
            closer.tell_start(survivor.lease, survivor.pid);
        }
    }

    /// One has ended.
    pub(super) fn survivor_ended(&mut self, now: Duration, job: JobId) {
        let Some(survivor) = self.commands.survivors.0.remove(&job) else { return };
        self.keeper.iter_mut().for_each(|keeper| keeper.forget_start(survivor.pid));
        self.runner.start_gone(now, job);
    }
}
