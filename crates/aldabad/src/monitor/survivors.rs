//! Commands of an earlier daemon, or of a closer, that still run: no command of ours overtakes them or runs beside them.
//!
//! They are not this process's children: their end shows at their descriptors. How a start command ended shows nowhere, how a
//! stop command did in its note, as soon as who began it has written that.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_runner::record::Recovered;
use aldaba_runner::{JobId, Lease, LeaseId, Outcome, State};
use aldaba_sys::process::{self, Kill};
use aldaba_sys::spawn::{self, Mark};

use super::Monitor;
use crate::keeper::{Keeper, Progress, StopUnderWay, Survivor};

/// How long a note of how a stop command ended is waited for, and how soon it is looked for again.
const NOTING: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// Those that are waited for.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    starts: BTreeMap<JobId, Survivor>,
    stops: BTreeMap<JobId, Stop>,
}

#[derive(Debug)]
struct Stop {
    lease: LeaseId,
    pid: u32,
    /// `None`: it has ended.
    process: Option<OwnedFd>,
    mark: Option<Mark>,
    /// Once it has ended: when it is looked next how, and until when.
    noting: Option<(Duration, Duration)>,
}

impl Survivors {
    /// What to wait on.
    pub(super) fn processes(&self) -> impl Iterator<Item = (JobId, BorrowedFd<'_>)> {
        let starts = self.starts.iter().map(|(job, start)| (*job, start.process.as_fd()));
        let stops = self.stops.iter().filter_map(|(job, stop)| Some((*job, stop.process.as_ref()?.as_fd())));
        starts.chain(stops)
    }

    /// Signals those of these jobs that are here, and all they have started.
    pub(super) fn signal(&self, jobs: &[JobId], kill: Kill) {
        let mut marks = Vec::new();
        for (pid, process, mark) in jobs.iter().filter_map(|job| self.process(*job)) {
            // While it lives, the number of its group is its own.
            if !process::has_ended(process) {
                process::signal_group(pid, kill).ok();
                marks.extend(mark);
            }
        }
        spawn::signal_marked(&marks, kill);
    }

    fn process(&self, job: JobId) -> Option<(u32, BorrowedFd<'_>, Option<Mark>)> {
        if let Some(start) = self.starts.get(&job) {
            return Some((start.pid, start.process.as_fd(), start.mark));
        }
        let stop = self.stops.get(&job)?;
        Some((stop.pid, stop.process.as_ref()?.as_fd(), stop.mark))
    }

    /// When it is looked next how a stop command has ended.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.stops.values().filter_map(|stop| stop.noting).map(|(next, _)| next).min()
    }
}

impl Monitor {
    /// Takes leases over, and waits for those of their commands that still run.
    pub(super) fn recover(&mut self, now: Duration, mut recovered: Vec<Recovered>) {
        let Some(keeper) = &mut self.keeper else { return };
        let starts = keeper.survivors();
        let stops = stops_under_way(keeper, &recovered);
        for lease in &mut recovered {
            let id = lease.record.id;
            if stops.iter().any(|stop| stop.lease == id) {
                lease.stop_runs();
            } else if starts.iter().any(|survivor| survivor.lease == id) {
                lease.start_runs();
            }
        }
        self.runner.recover(now, recovered);
        for survivor in starts {
            if let Some(State::Starting { job, .. }) = self.runner.lease(survivor.lease).map(Lease::state) {
                self.commands.survivors.starts.insert(job, survivor);
            } else {
                self.keeper.iter_mut().for_each(|keeper| keeper.forget_start(survivor.pid));
            }
        }
        for stop in stops {
            self.take_over_stop(now, stop);
        }
    }

    fn take_over_stop(&mut self, now: Duration, stop: StopUnderWay) {
        let Some(State::Stopping { job, .. }) = self.runner.lease(stop.lease).map(Lease::state) else {
            return;
        };
        let StopUnderWay { lease, pid, progress, mark } = stop;
        let process = if let Progress::Running(process) = progress { Some(process) } else { None };
        let noting = process.is_none().then(|| (now, now.saturating_add(NOTING)));
        self.commands.survivors.stops.insert(job, Stop { lease, pid, process, mark, noting });
        self.look_for_notes(now);
    }

    /// The closer of this monitor waits for them too.
    pub(super) fn tell_survivors(&self) {
        let Some(closer) = self.standby.closer() else { return };
        for survivor in self.commands.survivors.starts.values() {
            closer.tell_start(survivor.lease, survivor.pid, None);
        }
    }

    /// One has ended.
    pub(super) fn survivor_ended(&mut self, now: Duration, job: JobId) {
        let Some(survivor) = self.commands.survivors.starts.remove(&job) else {
            if let Some(stop) = self.commands.survivors.stops.get_mut(&job) {
                stop.process = None;
                stop.noting = Some((now, now.saturating_add(NOTING)));
                if let Some(mark) = stop.mark {
                    self.commands.end_what_is_left(mark);
                }
            }
            return self.look_for_notes(now);
        };
        if let Some(mark) = survivor.mark {
            self.commands.end_what_is_left(mark);
        }
        self.keeper.iter_mut().for_each(|keeper| keeper.forget_start(survivor.pid));
        self.runner.start_gone(now, job);
    }

    /// Looks how stop commands that have ended did end. One of which nobody says that it has closed its door runs again.
    pub(super) fn look_for_notes(&mut self, now: Duration) {
        let Some(keeper) = &self.keeper else { return };
        let mut settled = Vec::new();
        self.commands.survivors.stops.retain(|job, stop| {
            let Some((next, last)) = stop.noting.filter(|(next, _)| *next <= now) else { return true };
            let progress = keeper.stops().progress(stop.lease, stop.pid);
            if matches!(progress, Progress::Ending) && now < last {
                stop.noting = Some((next.max(now).saturating_add(LOOK), last));
                return true;
            }
            keeper.stops().forget(stop.lease);
            settled.push((*job, matches!(progress, Progress::Closed)));
            false
        });
        for (job, has_closed) in settled {
            if has_closed {
                self.runner.command_finished(now, job, Outcome::Exited(0));
            } else {
                self.runner.stop_gone(now, job);
            }
        }
    }
}

/// The stop commands that run, or have closed their door. All that is known of others is forgotten, since numbers of leases are
/// given anew.
fn stops_under_way(keeper: &Keeper, recovered: &[Recovered]) -> Vec<StopUnderWay> {
    let mut stops = keeper.stops().under_way();
    stops.retain(|stop| {
        let is_known = recovered.iter().any(|lease| lease.record.id == stop.lease && lease.may_be_stopping());
        is_known && !matches!(stop.progress, Progress::Gone)
    });
    let known: Vec<LeaseId> = stops.iter().map(|stop| stop.lease).collect();
    keeper.stops().forget_others(&known);
    stops
}
