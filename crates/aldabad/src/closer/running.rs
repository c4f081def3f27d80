//! The stop commands that this process runs beside one another: begun, ended at their time limit, and how they ended.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::event::What;
use aldaba_runner::lease::{Held, LeaseId};
use aldaba_runner::record::{Due, Record, Recovered};
use aldaba_runner::{JobId, KILL_AFTER, Outcome, Part, Signal};
use aldaba_sys::poll::Interest;
use aldaba_sys::process::{self, Ending};

use crate::keeper::Stops;
use crate::monitor::Commands;

/// So many at once.
const MOST: usize = 16;

/// Those under way.
#[derive(Debug, Default)]
pub(super) struct Running {
    commands: Commands,
    stops: BTreeMap<JobId, Stop>,
    /// How long a line of knockd.conf may take, which has no time limit; `None`: as long as it likes.
    patience: Option<Duration>,
    /// What this process may give its commands at most; `None`: all it has.
    at_most: Option<u64>,
}

#[derive(Debug)]
struct Stop {
    recovered: Recovered,
    pid: u32,
    /// Readable when it has ended.
    process: Option<OwnedFd>,
    /// When it is signalled next, and how.
    limit: Option<(Duration, Signal)>,
}

/// One that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) recovered: Recovered,
    pub(super) outcome: Outcome,
    pub(super) output: String,
}

/// What has become of them since it was looked last.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) over_time: Vec<(Record, What)>,
    pub(super) ended: Vec<Ended>,
}

impl Running {
    pub(super) const fn set_most(&mut self, capabilities: Option<u64>) {
        self.at_most = capabilities;
        self.commands.set_capabilities(capabilities);
    }

    /// What the daemon let its commands have; `None`: all, or nobody knows.
    pub(super) fn allow(&mut self, capabilities: Option<u64>) {
        let both = self.at_most.zip(capabilities).map(|(most, allowed)| most & allowed);
        self.commands.set_capabilities(both.or(self.at_most).or(capabilities));
    }

    pub(super) const fn set_patience(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    /// Whether none runs, and none has left anything behind that is to be ended.
    pub(super) fn is_done(&mut self) -> bool {
        self.stops.is_empty() && !self.commands.have_left_something()
    }

    pub(super) fn is_full(&self) -> bool {
        self.stops.len() >= MOST
    }

    pub(super) fn has(&self, lease: LeaseId) -> bool {
        self.stops.contains_key(&JobId(lease.0))
    }

    /// What to wait on.
    pub(super) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        let ends =
            self.stops.values().filter_map(|stop| stop.process.as_ref()).map(|process| process.as_fd());
        ends.chain(self.commands.outputs().map(|(_, output)| output)).map(|fd| (fd, Interest::READ))
    }

    /// When the next of them is signalled, or what one has left behind is ended.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let limits = self.stops.values().filter_map(|stop| stop.limit).map(|(at, _)| at);
        limits.chain(self.commands.poll_timeout()).min()
    }

    /// Their process numbers.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.stops.values().map(|stop| stop.pid)
    }

    /// Runs the stop command of a lease, which notes itself.
    pub(super) fn start(
        &mut self,
        now: Duration,
        recovered: Recovered,
        notes: Option<&Stops>,
    ) -> io::Result<()> {
        let (style, lease) = (recovered.record.style, recovered.record.id);
        let Held::Command { stop: Some(command), time_limit } = &recovered.record.held else { return Ok(()) };
        let limit = time_limit.or(self.patience).map(|limit| now.saturating_add(limit));
        let note = notes.and_then(|notes| notes.note(lease));
        let started = self.commands.start(JobId(lease.0), Part::Stop, style, command, limit, note.as_ref());
        if let (Err(_), Some(notes)) = (&started, notes) {
            notes.forget(lease);
        }
        let pid = started?;
        let limit = limit.map(|at| (at, Signal::Term));
        let stop = Stop { recovered, pid, process: process::pidfd(pid).ok(), limit };
        self.stops.insert(JobId(lease.0), stop);
        Ok(())
    }

    /// Takes those that have ended, each after it is noted whether it has closed its door, and signals those that take too long.
    pub(super) fn settle(&mut self, now: Duration, notes: Option<&Stops>) -> Settled {
        let mut settled = Settled::default();
        let jobs: Vec<JobId> = self.stops.keys().copied().collect();
        for job in jobs {
            self.commands.drain(job);
            settled.ended.extend(self.take_ended(job, notes));
            settled.over_time.extend(self.signal_over_time(now, job));
        }
        self.commands.handle_timeout(now);
        settled
    }

    fn take_ended(&mut self, job: JobId, notes: Option<&Stops>) -> Option<Ended> {
        let stop = self.stops.get(&job)?;
        let ending = process::ending(stop.pid).ok()??;
        let (lease, pid) = (stop.recovered.record.id, stop.pid);
        if let Some(notes) = notes
            && has_closed(&stop.recovered, outcome(ending))
        {
            notes.closed(lease, pid);
        }
        process::reap_one(pid).ok();
        let stop = self.stops.remove(&job)?;
        let ended = self.commands.ended(pid, ending)?;
        Some(Ended { recovered: stop.recovered, outcome: ended.outcome, output: ended.output })
    }

    fn signal_over_time(&mut self, now: Duration, job: JobId) -> Option<(Record, What)> {
        let stop = self.stops.get_mut(&job)?;
        let (_, signal) = stop.limit.take_if(|(at, _)| *at <= now)?;
        if signal == Signal::Term {
            stop.limit = Some((now.saturating_add(KILL_AFTER), Signal::Kill));
        }
        let record = stop.recovered.record.clone();
        self.commands.signal(job, signal);
        Some((record, What::TimeLimit { part: Part::Stop, signal }))
    }
}

impl Ended {
    pub(super) fn has_closed(&self) -> bool {
        has_closed(&self.recovered, self.outcome)
    }
}

/// Whether the door is closed with that: as the runner sees it (spec/leases.md, "Command leases").
fn has_closed(recovered: &Recovered, outcome: Outcome) -> bool {
    let content = recovered.record.style == Style::Knockd || recovered.due == Due::OtherBoot;
    outcome.is_success() || (content && outcome.ran())
}

const fn outcome(ending: Ending) -> Outcome {
    match ending {
        Ending::Exit(code) => Outcome::Exited(code),
        Ending::Signal(signal) => Outcome::Signalled(signal),
    }
}
