//! The closer: runs stop commands at their time when the monitor is gone and no other has taken over
//! (docs/architecture.md, "Processes").
//!
//! It is the monitor's child, started before the first lease that has a stop command, and does nothing while its channel
//! lives but note which start commands run. Then it reads the journal, and at each deadline takes its lock to begin stop commands
//! and to take out what they have closed. Where somebody else has the lock it waits, and ends only when nothing is left to
//! close, or when a daemon has the lock that has started a closer of its own.
//!
//! A closer for what other runs have left (`crate::left`) is the same but for whom it waits: it acts at once, in many folders.

mod folder;
mod line;
mod others;
pub(crate) mod overdue;
mod running;
pub(crate) mod starts;
mod tries;
mod waiting;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_runner::lease::LeaseId;
use aldaba_sys::channel::{Channel, Received};
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::process::{self, Kill};
use aldaba_sys::reexec::{Program, Role as Start, Started};
use aldaba_sys::signals::{self, Signal};
use aldaba_sys::{clock, memory};

use crate::left;
use crate::log::{Form, Level, Log};
use crate::role::Role;
use line::{Charge, Line, Refused};
use overdue::{Overdue, Pace, Turn};
use starts::Starts;
use waiting::Waiting;

/// The longest pause: its clock stands still while the machine sleeps, and that of deadlines does not.
const SLICE: Duration = Duration::from_secs(5);

/// What stands behind the capabilities of one that closes what other runs have left; more folders follow.
const LEFT: &str = "left";
/// In place of capabilities, where none are named.
const NONE: &str = "-";

/// The monitor's end of the closer.
#[derive(Debug)]
pub struct CloserHandle {
    process: Started,
    /// While this is open, the closer listens; then it acts.
    channel: Channel,
}

impl CloserHandle {
    /// Starts the closer for this state folder, with this log; its commands have no more than these capabilities if any
    /// are named.
    pub fn start(
        program: &Program,
        folder: &Path,
        log: &LogTarget,
        capabilities: Option<u64>,
    ) -> std::io::Result<Self> {
        let (process, channel) = start(program, &log.arguments(folder, capabilities))?;
        Ok(Self { process, channel })
    }

    /// Says that the start command of this lease runs, and since when where that is known. What is not heard is closed at its deadline
    /// all the same.
    pub fn tell_start(&self, lease: LeaseId, pid: u32, began: Option<u64>) {
        if let Ok(process) = process::pidfd(pid) {
            self.channel.send(&starts::message(lease, pid, began), &[process.as_fd()]).ok();
        }
    }

    /// Its process number.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Ends it: nothing is left for it to do.
    pub fn dismiss(self) {
        process::signal(self.process.pidfd.as_fd(), Kill::Kill).ok();
    }
}

/// Starts a closer for what other runs have left in these folders. Nobody holds the other end of its channel: it acts at once.
pub fn start_for_left(program: &Program, folders: &[PathBuf], log: &LogTarget) -> std::io::Result<()> {
    let Some((first, others)) = folders.split_first() else { return Ok(()) };
    let mut arguments = log.arguments(first, None);
    arguments.push(LEFT.into());
    arguments.extend(others.iter().map(OsString::from));
    start(program, &arguments).map(drop)
}

fn start(program: &Program, arguments: &[OsString]) -> std::io::Result<(Started, Channel)> {
    let (ours, theirs) = Channel::pair()?;
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let process = program.start(&Start {
        name: Role::Closer.argv0(),
        arguments: &arguments,
        surroundings: aldaba_sys::reexec::Surroundings::Inherited,
        descriptors: &[theirs.as_fd()],
    })?;
    Ok((process, ours))
}

/// Where the closer's lines go: where the monitor's went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// The words to use.
    pub knockd: bool,
    /// Whether syslog gets them.
    pub syslog: bool,
    /// The file that gets them.
    pub file: Option<PathBuf>,
}

impl LogTarget {
    /// That of this log.
    #[must_use]
    pub fn of(log: &Log, knockd: bool) -> Self {
        Self { knockd, syslog: log.uses_syslog(), file: log.file().map(ToOwned::to_owned) }
    }

    /// How many arguments it takes.
    const WORDS: usize = 4;

    /// The words of a closer with this log, for this folder, which stands first: `role::has_another_closer` reads it.
    fn arguments(&self, folder: &Path, capabilities: Option<u64>) -> Vec<OsString> {
        let face = if self.knockd { "knockd" } else { "aldabad" };
        let syslog = if self.syslog { "syslog" } else { "-" };
        let file = self.file.clone().unwrap_or_default();
        let most = capabilities.map_or_else(|| NONE.to_owned(), |set| set.to_string());
        vec![folder.into(), face.into(), syslog.into(), file.into(), most.into()]
    }

    fn from_arguments(arguments: &[OsString]) -> Option<(PathBuf, Self)> {
        let [folder, face, syslog, file] = arguments else { return None };
        let file = (!file.is_empty()).then(|| PathBuf::from(file));
        Some((folder.into(), Self { knockd: face == "knockd", syslog: syslog == "syslog", file }))
    }

    fn open(&self) -> Log {
        let form = if self.knockd { Form::Knockd { echo: false } } else { Form::Native { journal: false } };
        let mut log = Log::new(form);
        if self.syslog {
            log.use_syslog();
        }
        if let Some(file) = &self.file {
            log.use_file(file).ok();
        }
        log
    }
}

/// Runs the closer.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    let (log, rest) = arguments.split_at(arguments.len().min(LogTarget::WORDS));
    let (most, others) = rest.split_at(rest.len().min(2));
    let capabilities = most.first().and_then(|word| word.to_str()?.parse().ok());
    let is_left = most.get(1).is_some_and(|word| word == LEFT);
    let Some((folder, log)) = LogTarget::from_arguments(log) else { return ExitCode::FAILURE };
    let Ok(channel) = Channel::inherited() else { return ExitCode::FAILURE };
    if signals::ignore(&[Signal::Hangup, Signal::Interrupt, Signal::Terminate]).is_err() {
        return ExitCode::FAILURE;
    }
    // What a command over its time limit has left behind is found among its own children.
    process::adopt_orphans().ok();
    // Mostly it does no more than wait.
    memory::give_back();
    let starts = listen_to_the_end(&channel);
    let mut closers = Closers { log, capabilities, all: Vec::new(), line: Line::default() };
    if is_left {
        closers.line = Line::of(std::iter::once(folder).chain(others.iter().map(PathBuf::from)));
    } else {
        closers.add(folder, starts, None);
    }
    while let Some(pause) = closers.turn() {
        let ours: Vec<u32> = closers.all.iter().flat_map(|closer| closer.overdue.commands()).collect();
        process::reap_others(&ours);
        let interests: Vec<_> = closers.all.iter().flat_map(|closer| closer.overdue.interests()).collect();
        poll::wait(&interests, Some(slice(pause))).ok();
    }
    ExitCode::SUCCESS
}

/// How much of a pause passes before the clock is looked at again.
fn slice(pause: Duration) -> Duration {
    pause.min(SLICE)
}

/// Returns when the monitor is gone.
fn listen_to_the_end(channel: &Channel) -> Starts {
    let mut starts = Starts::default();
    loop {
        match channel.receive() {
            Ok(Received::Nothing) => {
                poll::wait(&[(channel.as_fd(), Interest::READ)], None).ok();
            }
            Ok(Received::Message { bytes, fds }) => starts.take(&bytes, fds),
            Ok(Received::End) | Err(_) => {
                // Those that ended before were the monitor's.
                starts.forget_ended();
                return starts;
            }
        }
    }
}

/// The folders of one process.
struct Closers {
    log: LogTarget,
    /// What its commands have at most, if it is less than all.
    capabilities: Option<u64>,
    all: Vec<Closer>,
    /// Those whose turn is still to come.
    line: Line,
}

impl Closers {
    fn add(&mut self, folder: PathBuf, starts: Starts, charge: Option<Charge>) {
        let knockd = if charge.is_some() { left::is_knockd(&folder) } else { self.log.knockd };
        let overdue = Overdue::new(folder.clone(), knockd, self.log.open(), starts, Pace::Growing);
        let overdue = overdue.with_capabilities(self.capabilities);
        self.all.push(Closer { overdue, folder, waiting: Waiting::default(), charge });
    }

    /// How long to wait for the next turn of any; `None`: nothing is left to do in all of them.
    fn turn(&mut self) -> Option<Duration> {
        let now = clock::boottime();
        for next in self.line.poll(now) {
            match next.charge() {
                Ok(charge) => self.add(next.folder, Starts::default(), Some(charge)),
                // Who has it may be about to end: once more, later.
                Err(Refused::Taken) if !next.again => self.line.push_again(next.folder),
                Err(Refused::Elsewhere) => {
                    let folder = next.folder.display();
                    let line =
                        format!("closer: {folder}: left alone, its doors are in another network namespace");
                    self.log.open().say(Level::Notice, &line);
                }
                Err(Refused::Taken | Refused::Gone) => {}
            }
        }
        let mut next = self.line.poll_timeout().map(|due| due.saturating_sub(now));
        self.all.retain_mut(|closer| {
            let pause = closer.turn();
            next = [next, pause].into_iter().flatten().min();
            pause.is_some()
        });
        next
    }
}

struct Closer {
    overdue: Overdue,
    folder: PathBuf,
    waiting: Waiting,
    /// Of what another run has left; `None`: its monitor's.
    charge: Option<Charge>,
}

impl Closer {
    /// Closes what is due. How long to wait for the next turn; `None`: there is nothing left to do, or somebody else does
    /// it.
    fn turn(&mut self) -> Option<Duration> {
        let turn = self.overdue.turn();
        if !matches!(turn, Turn::Held(_)) {
            self.waiting.free();
        }
        match turn {
            Turn::Done => None,
            Turn::Later(pause) => Some(pause),
            Turn::Held(holder) if waiting::is_relieved(holder, &self.folder) => None,
            Turn::Held(holder) if self.is_anothers(holder) => None,
            Turn::Held(_) => Some(self.waiting.held()),
            // It is tried again, with a pause of its own.
            Turn::Broken(_) => Some(SLICE),
        }
    }

    /// Whether the daemon that has left this folder lives, or another one has it now: it has a closer of its own when it needs one.
    fn is_anothers(&self, holder: Option<u32>) -> bool {
        self.charge.is_some() && self.waiting.is_long() && waiting::lives(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_what_a_daemon_has_that_lives_is_left_to_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("knockd-other");
        // This process is the daemon.
        let _keeper = crate::keeper::Keeper::open(&folder).expect("it opens");
        let log = LogTarget { knockd: true, syslog: false, file: None };
        let mut closers = Closers { log, capabilities: None, all: Vec::new(), line: Line::default() };
        closers.line = Line::of(std::iter::once(folder.clone()));
        let looks = std::iter::from_fn(|| closers.turn()).take(1000).count();
        assert!((50..500).contains(&looks), "one that was killed has the lock for a moment yet: {looks}");
        closers.add(folder, Starts::default(), None);
        assert_eq!(std::iter::from_fn(|| closers.turn()).take(1000).count(), 1000, "its own is waited for");
    }

    #[test]
    fn r4_no_rest_is_longer_than_a_slice() {
        assert_eq!(slice(Duration::from_secs(3600)), Duration::from_secs(5));
        assert_eq!(slice(Duration::from_millis(20)), Duration::from_millis(20));
    }
}
