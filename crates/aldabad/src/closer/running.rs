//! The stop commands that this process runs beside one another: begun, ended at their time limit, and how they ended.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_runner::door::{Limits, Style};
use aldaba_runner::event::What;
use aldaba_runner::lease::{Held, LeaseId};
use aldaba_runner::places::Places;
use aldaba_runner::queue::Line;
use aldaba_runner::record::{Record, Recovered};
use aldaba_runner::{JobId, KILL_AFTER, Outcome, Part, Signal};
use aldaba_sys::poll::Interest;
use aldaba_sys::process::{self, Ending};
use aldaba_sys::spawn::Mark;

use crate::keeper::Stops;
use crate::monitor::Commands;

/// So many at once, and of each door: one that hangs holds its place for half a second, and counts for its door from then on.
const MOST: usize = 16;
/// So many in all, and twice as many where each is of another door: each of them has two descriptors here, and its note, or somebody else's, a third.
const STOPS: usize = 64;

/// Those under way.
#[derive(Debug, Default)]
pub(super) struct Running {
    commands: Commands,
    stops: BTreeMap<JobId, Stop>,
    places: Places,
    /// How long a line of knockd.conf may take, which has no time limit; `None`: as long as it likes.
    patience: Option<Duration>,
    /// What this process may give its commands at most; `None`: all it has.
    at_most: Option<u64>,
}

#[derive(Debug)]
struct Stop {
    recovered: Recovered,
    line: Line,
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
    /// Commands of which something lives on though it was killed.
    pub(super) stubborn: Vec<u32>,
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

    /// What a start command that has ended left behind ends too.
    pub(super) fn end_what_is_left(&mut self, of: Mark) {
        self.commands.end_what_is_left(of);
    }

    /// Whether none runs, and none has left anything behind that is to be ended.
    pub(super) fn is_done(&mut self) -> bool {
        self.stops.is_empty() && !self.commands.have_left_something()
    }

    /// Whether one more of this line may run.
    pub(super) fn may_run(&self, line: &Line) -> bool {
        let limits = Limits { running: MOST, running_per_door: MOST, stops: STOPS, ..Limits::default() };
        self.places.stop_may_run(line, &limits)
    }

    /// When the next place comes free though nothing ends.
    pub(super) fn next_place(&self) -> Option<Duration> {
        self.places.next_release()
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
        line: Line,
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
        let pid = started?.pid;
        let limit = limit.map(|at| (at, Signal::Term));
        self.places.take(now, JobId(lease.0), Part::Stop, &line);
        let stop = Stop { recovered, line, pid, process: process::pidfd(pid).ok(), limit };
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
        }
        for signal in [Signal::Term, Signal::Kill] {
            settled.over_time.extend(self.signal_over_time(now, signal));
        }
        settled.stubborn = self.commands.handle_timeout(now);
        self.places.release(now);
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
        self.places.free(job, Part::Stop, &stop.line);
        let ended = self.commands.ended(pid, ending)?;
        Some(Ended { recovered: stop.recovered, outcome: ended.outcome, output: ended.output })
    }

    /// All that get this signal now.
    fn signal_over_time(&mut self, now: Duration, signal: Signal) -> Vec<(Record, What)> {
        let kill = (signal == Signal::Term).then(|| (now.saturating_add(KILL_AFTER), Signal::Kill));
        let (mut jobs, mut over_time) = (Vec::new(), Vec::new());
        for (job, stop) in &mut self.stops {
            if stop.limit.take_if(|(at, which)| *at <= now && *which == signal).is_some() {
                stop.limit = kill;
                jobs.push(*job);
                let what = What::TimeLimit { part: Part::Stop, signal };
                over_time.push((stop.recovered.record.clone(), what));
            }
        }
        self.commands.signal(&jobs, signal);
        over_time
    }
}

impl Ended {
    pub(super) fn has_closed(&self) -> bool {
        has_closed(&self.recovered, self.outcome)
    }
}

/// Whether the door is closed with that: as the runner sees it (spec/leases.md, "Command leases").
fn has_closed(recovered: &Recovered, outcome: Outcome) -> bool {
    outcome.is_success() || (recovered.record.style == Style::Knockd && outcome.ran())
}

const fn outcome(ending: Ending) -> Outcome {
    match ending {
        Ending::Exit(code) => Outcome::Exited(code),
        Ending::Signal(signal) => Outcome::Signalled(signal),
    }
}
