//! The closer: runs stop commands at their time when the monitor is gone and no other has taken over
//! (docs/architecture.md, "Processes").
//!
//! It is the monitor's child, started with the first lease that has a stop command, and does nothing while its channel
//! lives but note which start commands run. Then it reads the journal, and at each deadline takes its lock for as long as
//! a stop command needs; when somebody else has the lock, the doors are in good hands and it ends.

mod starts;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_runner::door::Style;
use aldaba_runner::lease::{Held, LeaseId};
use aldaba_runner::record::{self, Due, Moment, Record, Recovered};
use aldaba_sys::channel::{Channel, Received};
use aldaba_sys::clock;
use aldaba_sys::files::LockError;
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::process::{self, Ending, Kill};
use aldaba_sys::reexec::{Program, Role as Start, Started};
use aldaba_sys::signals::{self, Signal};

use crate::keeper::{Keeper, KeeperError};
use crate::log::{Form, Level, Log};
use crate::role::Role;
use crate::wording;
use starts::Starts;

/// How long a stop command may take while the lock is held; a longer one goes on without it.
const HOLD: Duration = Duration::from_millis(1500);
/// How soon a stop command that failed, or a lock that could not be had for another reason, is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How soon to look again whether a monitor that is ending has let go of its lock: mostly it has at once, but the kernel may
/// take seconds to clear up after it. Beyond the last look it is stuck in the kernel, and its lock with it.
const DYING: Duration = Duration::from_millis(5);
const DYING_SLOWLY: Duration = Duration::from_millis(100);
const SLOWLY_AFTER: u32 = 100;
const LAST_LOOK: u32 = 700;
/// How long after its deadline a door of ours waits for its start command, whose time limit nobody watches any more.
const HUNG: Duration = Duration::from_secs(10);
/// How often a failing stop command of ours is run before it is left to the next start.
const TRIES: u32 = 5;

/// The monitor's end of the closer.
#[derive(Debug)]
pub struct CloserHandle {
    process: Started,
    /// While this is open, the closer listens; then it acts.
    channel: Channel,
}

impl CloserHandle {
    /// Starts the closer for this state folder, with this log.
    pub fn start(program: &Program, folder: &Path, log: &LogTarget) -> std::io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let arguments = log.arguments(folder);
        let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
        let process = program.start(&Start {
            name: Role::Closer.argv0(),
            arguments: &arguments,
            surroundings: aldaba_sys::reexec::Surroundings::Inherited,
            descriptors: &[theirs.as_fd()],
        })?;
        Ok(Self { process, channel: ours })
    }

    /// Says that the start command of this lease runs. What is not heard is closed at its deadline all the same.
    pub fn tell_start(&self, lease: LeaseId, pid: u32) {
        if let Ok(process) = process::pidfd(pid) {
            self.channel.send(&starts::message(lease), &[process.as_fd()]).ok();
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
    fn arguments(&self, folder: &Path) -> Vec<OsString> {
        let face = if self.knockd { "knockd" } else { "aldabad" };
        let syslog = if self.syslog { "syslog" } else { "-" };
        let file = self.file.clone().unwrap_or_default();
        vec![folder.into(), face.into(), syslog.into(), file.into()]
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
    let Some((folder, target)) = LogTarget::from_arguments(arguments) else { return ExitCode::FAILURE };
    let Ok(channel) = Channel::inherited() else { return ExitCode::FAILURE };
    if signals::ignore(&[Signal::Hangup, Signal::Interrupt, Signal::Terminate]).is_err() {
        return ExitCode::FAILURE;
    }
    let monitor = process::parent_id();
    let starts = listen_to_the_end(&channel);
    let mut closer =
        Closer { folder, knockd: target.knockd, log: target.open(), starts, monitor, waits: 0, tries: 0 };
    while let Some(pause) = closer.turn() {
        poll::wait(&closer.starts.interests(), Some(pause)).ok();
    }
    ExitCode::SUCCESS
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
            Ok(Received::End) | Err(_) => return starts,
        }
    }
}

struct Closer {
    folder: PathBuf,
    knockd: bool,
    log: Log,
    /// Start commands that have outlived the monitor.
    starts: Starts,
    /// The process number of the monitor that started this closer.
    monitor: u32,
    /// Turns that found the lock still held by it.
    waits: u32,
    tries: u32,
}

impl Closer {
    /// Closes what is due. How long to wait for the next turn; `None`: there is nothing left to do, or somebody else
    /// does it.
    fn turn(&mut self) -> Option<Duration> {
        let mut keeper = match Keeper::open(&self.folder) {
            Ok(keeper) => keeper,
            Err(KeeperError::Locked { source: LockError::Held { holder }, .. }) => {
                return self.unless_dying(holder);
            }
            Err(error) => return self.try_again(&error.to_string()),
        };
        let now = Moment { now: clock::boottime(), boot: clock::boot_id(), wall: clock::wall() };
        let entries = match keeper.load() {
            Ok(entries) => entries,
            Err(error) => return self.try_again(&error.to_string()),
        };
        self.starts.forget_ended();
        let mut next: Option<Duration> = None;
        for recovered in record::recover(entries, &now) {
            match recovered.due {
                Due::At(deadline) => {
                    let left = deadline.saturating_sub(now.now);
                    next = Some(next.map_or(left, |next| next.min(left)));
                }
                Due::Forget => {
                    keeper.remove(recovered.record.id).ok();
                }
                Due::Now | Due::OtherBoot => {
                    let waits = self.waits_for_start(&recovered.record, now.now);
                    if waits || !self.close(&mut keeper, &recovered) {
                        next = Some(next.map_or(AGAIN, |next| next.min(AGAIN)));
                    }
                }
            }
        }
        if next.is_none() && self.knockd {
            keeper.leave_nothing_behind();
        }
        next
    }

    /// What a stop command took back before it was there would stay.
    fn waits_for_start(&self, record: &Record, now: Duration) -> bool {
        let is_hung = record.style == Style::Native && now > record.deadline.saturating_add(HUNG);
        self.starts.is_running(record.id) && !is_hung
    }

    /// Runs a stop command; whether the lease is done with.
    fn close(&mut self, keeper: &mut Keeper, recovered: &Recovered) -> bool {
        let record = &recovered.record;
        let Held::Command { stop: Some(stop), .. } = &record.held else {
            return keeper.remove(record.id).is_ok();
        };
        if self.knockd {
            self.log.say(Level::Notice, &format!("{}: {}: command timeout", record.address, record.door));
            let line = format!("{}: running command: {}", record.door, wording::command_text(stop));
            self.log.say_and_blank(Level::Notice, &line);
        }
        let started = crate::monitor::spawn_as(record.style, stop);
        let done = started.is_ok_and(|child| wait_for(child.pid, record.style));
        self.tries = self.tries.saturating_add(1);
        if done || recovered.due == Due::OtherBoot || self.tries >= TRIES {
            self.tries = 0;
            return keeper.remove(record.id).is_ok();
        }
        false
    }

    /// Somebody has the lock. The monitor itself still does for a moment after its end has been seen; anybody else has
    /// taken over.
    fn unless_dying(&mut self, holder: Option<u32>) -> Option<Duration> {
        let is_monitor = holder.is_none_or(|pid| pid == self.monitor);
        self.waits = self.waits.saturating_add(1);
        let pause = if self.waits < SLOWLY_AFTER { DYING } else { DYING_SLOWLY };
        (is_monitor && self.waits < LAST_LOOK).then_some(pause)
    }

    fn try_again(&mut self, error: &str) -> Option<Duration> {
        self.tries = self.tries.saturating_add(1);
        self.log.say(Level::Error, &format!("closer: {error}"));
        (self.tries < TRIES).then_some(AGAIN)
    }
}

/// Waits for the command, within bounds. One that takes longer goes on; as in knockd it counts as run.
fn wait_for(pid: u32, style: Style) -> bool {
    let start = clock::boottime();
    while clock::boottime().saturating_sub(start) < HOLD {
        match process::reap() {
            Ok(Some((ended, ending))) if ended == pid => {
                return style == Style::Knockd || ending == Ending::Exit(0);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                poll::wait(&[], Some(Duration::from_millis(10))).ok();
            }
        }
    }
    true
}
