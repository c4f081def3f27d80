//! Commands under way: started, their output drained, their end told to the runner.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::{JobId, Outcome, Part, Rendered, Signal};
use aldaba_sys::clock;
use aldaba_sys::process::{Ending, Kill};
use aldaba_sys::spawn::{self, Child, Conduct, Mark, Note, Program};

use super::survivors::Survivors;
use crate::fault::{self, Point};

/// What is kept of a command's output, to be shown when it fails.
const KEPT: usize = 4096;
/// Ended commands whose leftovers may live until their time limit; beyond this number the first ones end early.
const LEFTOVERS: usize = 64;

/// Starts a command by the rules of its door's file, with no more than these capabilities if any are named; it writes this note first. One
/// of aldaba.toml with a time limit bears a mark.
pub fn spawn_with(
    style: Style,
    command: &Rendered,
    is_limited: bool,
    capabilities: Option<u64>,
    note: Option<&Note<'_>>,
) -> std::io::Result<Child> {
    let program = match command {
        Rendered::Argv(words) => Program::Argv(words.iter().map(Into::into).collect()),
        Rendered::Shell(line) => Program::Shell(line.into()),
    };
    let conduct = match style {
        Style::Native => Conduct::Confined { marked: is_limited },
        Style::Knockd => Conduct::AsTheDaemon,
    };
    match capabilities {
        Some(capabilities) => spawn::start_with(&program, conduct, note, capabilities),
        None => spawn::start(&program, conduct, note),
    }
}

/// How soon it is looked again whether what was killed is gone, and which part of its time this process spends on that at most.
const AGAIN: Duration = Duration::from_millis(50);
const SPENT: u32 = 10;
/// What lives on for so long though it is killed again and again is told of.
const STUBBORN: Duration = Duration::from_secs(1);
/// So many looks in a row have to find nothing of a command of another process's: what begins another and ends is seen only while it lives.
const QUIET: u8 = 4;
/// For so long a daemon that ends waits for what is left to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// All commands under way; their number is bounded by the runner.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    running: BTreeMap<JobId, Running>,
    /// What they may; `None`: all that the daemon may.
    capabilities: Option<u64>,
    /// What ended commands have left behind.
    leftovers: Vec<Leftover>,
    /// Since when all of them are to be gone.
    ending: Option<Duration>,
    /// Whether some more have ended than may leave something behind.
    is_crowded: bool,
    /// It is not looked for before.
    look_again: Duration,
    /// Start commands of an earlier daemon.
    pub(super) survivors: Survivors,
}

/// What an ended command has left behind, as long as any of it lives.
#[derive(Debug)]
struct Leftover {
    mark: Mark,
    /// Until when it may live; then, when it is looked for again.
    next: Duration,
    /// Since when it is killed.
    since: Option<Duration>,
    told: bool,
    /// Of a command of another process's, whose orphans are not our children: how many looks in a row have found nothing.
    elsewhere: Option<u8>,
}

/// A command's own process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    /// Its number.
    pub pid: u32,
    /// When it began, in the kernel's ticks since boot, as far as that could be read.
    pub began: Option<u64>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    part: Part,
    kept: Vec<u8>,
    /// When its time limit is over.
    limit: Option<Duration>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Which.
    pub job: JobId,
    /// Its process number.
    pub pid: u32,
    /// Whether it opened or closed.
    pub part: Part,
    /// How it ended.
    pub outcome: Outcome,
    /// The beginning of what it printed.
    pub output: String,
}

impl Commands {
    /// What commands may from now on.
    pub(crate) const fn set_capabilities(&mut self, capabilities: Option<u64>) {
        self.capabilities = capabilities;
    }

    /// Starts a command, which writes this note first.
    pub(crate) fn start(
        &mut self,
        job: JobId,
        part: Part,
        style: Style,
        command: &Rendered,
        limit: Option<Duration>,
        note: Option<&Note<'_>>,
    ) -> std::io::Result<Started> {
        fault::at(Point::before(part))?;
        let child = spawn_with(style, command, limit.is_some(), self.capabilities, note)?;
        fault::pass(Point::after(part));
        let started = Started { pid: child.pid, began: child.began };
        self.running.insert(job, Running { child, part, kept: Vec::new(), limit });
        Ok(started)
    }

    /// Signals commands and everything they have started.
    pub(crate) fn signal(&mut self, jobs: &[JobId], signal: Signal) {
        let kill = match signal {
            Signal::Term => Kill::Terminate,
            Signal::Kill => Kill::Kill,
        };
        let children: Vec<&Child> =
            jobs.iter().filter_map(|job| Some(&self.running.get(job)?.child)).collect();
        if !children.is_empty() {
            spawn::signal_trees(&children, &self.processes(), kill);
        }
        self.survivors.signal(jobs, kill);
    }

    /// The processes of all that run.
    fn processes(&self) -> BTreeSet<u32> {
        self.running.values().map(|running| running.child.pid).collect()
    }

    /// The outputs to wait on.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (JobId, BorrowedFd<'_>)> {
        self.running.iter().filter_map(|(job, running)| Some((*job, running.child.output.as_ref()?.as_fd())))
    }

    /// Reads what a command printed; the beginning is kept, the rest read and dropped, so that it never waits.
    pub(crate) fn drain(&mut self, job: JobId) {
        let Some(running) = self.running.get_mut(&job) else { return };
        running.drain();
    }

    /// Whether this ended process was a command's.
    pub(crate) fn ended(&mut self, pid: u32, ending: Ending) -> Option<Ended> {
        let job = *self.running.iter().find(|(_, running)| running.child.pid == pid)?.0;
        let mut running = self.running.remove(&job)?;
        running.drain();
        if let (Some(mark), Some(limit)) = (running.child.mark.take(), running.limit) {
            self.leave(limit, mark);
        }
        let outcome = match ending {
            Ending::Exit(code) => Outcome::Exited(code),
            Ending::Signal(signal) => Outcome::Signalled(signal),
        };
        let output = String::from_utf8_lossy(&running.kept).into_owned();
        Some(Ended { job, pid, part: running.part, outcome, output })
    }
}

impl Commands {
    /// A command has ended; what it left behind has the rest of its time.
    fn leave(&mut self, limit: Duration, mark: Mark) {
        self.add(Leftover { mark, next: limit, since: None, told: false, elsewhere: None });
    }

    /// A command of another process's has ended. What it left behind ends too: how much of its time is left, nobody knows.
    pub(crate) fn end_what_is_left(&mut self, of: Mark) {
        let elsewhere = Some(0);
        self.add(Leftover { mark: of, next: Duration::ZERO, since: None, told: false, elsewhere });
    }

    fn add(&mut self, leftover: Leftover) {
        self.leftovers.push(leftover);
        self.is_crowded |= self.leftovers.len() > LEFTOVERS;
    }

    /// What has ended is a child of ours until it is reaped: so nothing that ends while another begins is overlooked.
    fn forget_gone(&mut self) {
        let strays = spawn::strays(&self.processes());
        self.leftovers.retain(|leftover| leftover.elsewhere.is_some() || strays.contains(&leftover.mark));
    }

    /// Where too many have left something behind, the oldest are cut short; those that are forgotten, to be killed once more.
    fn make_room(&mut self) -> Vec<Leftover> {
        self.is_crowded = false;
        let forgotten = self.leftovers.len().saturating_sub(LEFTOVERS.saturating_mul(2));
        let forgotten = self.leftovers.drain(..forgotten).collect();
        let dying = self.leftovers.iter().filter(|leftover| leftover.since.is_some()).count();
        let too_many = self.leftovers.len().saturating_sub(LEFTOVERS.saturating_add(dying));
        let lasting = self.leftovers.iter_mut().filter(|leftover| leftover.since.is_none());
        lasting.take(too_many).for_each(|leftover| leftover.next = Duration::ZERO);
        forgotten
    }

    /// Whether ended commands have left something behind that still lives and will be ended.
    pub(crate) fn have_left_something(&mut self) -> bool {
        if !self.leftovers.is_empty() {
            self.forget_gone();
        }
        !self.leftovers.is_empty()
    }

    /// When [`Commands::handle_timeout`] has something to end.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let over = self.leftovers.iter().map(|leftover| leftover.next).min();
        let next = if self.is_crowded { Some(Duration::ZERO) } else { over };
        next.map(|next| next.max(self.look_again))
    }

    /// Kills what ended commands have left behind and whose time is over, again and again until nothing of it is found: what
    /// starts itself anew faster than it is looked for is met sooner or later. The process numbers of those commands of which
    /// something lives on though, each told once.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Vec<u32> {
        if self.poll_timeout().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let begin = clock::boottime();
        self.forget_gone();
        let forgotten = self.make_room();
        let is_over = |leftover: &&mut Leftover| leftover.next <= now;
        let over = self.leftovers.iter().filter(|leftover| leftover.next <= now).chain(&forgotten);
        let found = kill(&over.collect::<Vec<_>>(), &self.processes());
        self.leftovers.retain_mut(|leftover| leftover.next > now || leftover.may_live(&found));
        let spent = clock::boottime().saturating_sub(begin);
        self.look_again = now.saturating_add(AGAIN);
        let next = now.saturating_add(AGAIN.max(spent.saturating_mul(SPENT)));
        let mut stubborn = Vec::new();
        for leftover in self.leftovers.iter_mut().filter(is_over) {
            leftover.next = next;
            let since = *leftover.since.get_or_insert(now);
            if now.saturating_sub(since) >= STUBBORN && !std::mem::replace(&mut leftover.told, true) {
                stubborn.push(leftover.mark.pid());
            }
        }
        stubborn
    }

    /// Ends all that ended commands have left behind, since nobody will watch its time any more. Whether it is gone, or has outlived all
    /// patience.
    pub(crate) fn end_leftovers(&mut self, now: Duration) -> bool {
        for leftover in self.leftovers.iter_mut().filter(|leftover| leftover.since.is_none()) {
            leftover.next = now;
        }
        let since = *self.ending.get_or_insert(now);
        !self.have_left_something() || now.saturating_sub(since) >= PATIENCE
    }
}

impl Leftover {
    /// After it was looked for and this was found of commands of other processes.
    fn may_live(&mut self, found: &[Mark]) -> bool {
        let Some(quiet) = &mut self.elsewhere else { return true };
        *quiet = if found.contains(&self.mark) { 0 } else { quiet.saturating_add(1) };
        *quiet < QUIET
    }
}

/// Kills what is left of these; those of which something was found that may be anybody's child.
fn kill(leftovers: &[&Leftover], running: &BTreeSet<u32>) -> Vec<Mark> {
    let marks = |elsewhere: bool| {
        let these = leftovers.iter().filter(|leftover| leftover.elsewhere.is_some() == elsewhere);
        these.map(|leftover| leftover.mark).collect::<Vec<Mark>>()
    };
    spawn::kill_strays(&marks(false), running);
    spawn::kill_marked(&marks(true))
}

impl Running {
    fn drain(&mut self) {
        let Some(output) = &self.child.output else { return };
        let mut part = [0; 4096];
        // Bounded: a command that prints without end has its turn again with the next poll.
        for _ in 0..64 {
            match spawn::read_output(output.as_fd(), &mut part) {
                Ok(Some(0)) | Err(_) => {
                    self.child.output = None;
                    return;
                }
                Ok(Some(length)) => {
                    let room = KEPT.saturating_sub(self.kept.len()).min(length);
                    self.kept.extend_from_slice(&part[..room]);
                }
                Ok(None) => return,
            }
        }
    }
}
