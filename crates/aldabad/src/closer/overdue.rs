//! What is due in a state folder whose daemon is gone: one turn takes the lock, closes it, and says when to come again.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use aldaba_runner::Outcome;
use aldaba_runner::door::Style;
use aldaba_runner::event::{Event, What, Why};
use aldaba_runner::lease::Held;
use aldaba_runner::record::{self, BootId, Due, Moment, Record, Recovered};
use aldaba_sys::clock;
use aldaba_sys::files::LockError;
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::process::{self, Ending, Kill};
use aldaba_sys::spawn::{self, Child};

use super::starts::Starts;
use crate::keeper::{Keeper, KeeperError};
use crate::log::{Level, Log};
use crate::wording;

/// How long a stop command may take while the lock is held; a longer one goes on without it.
const HOLD: Duration = Duration::from_millis(1500);
/// How soon a stop command that failed is run again, where somebody waits for it.
const AGAIN: Duration = Duration::from_secs(1);
/// How long after its deadline a door of ours waits for its start command, whose time limit nobody watches any more.
const HUNG: Duration = Duration::from_secs(10);
/// How often a failing stop command of ours is run before it is given up.
const TRIES: u32 = 5;
/// How long a command may take once its lease is done with: ours their usual limit, lines of knockd.conf a minute.
const LIMIT: Duration = Duration::from_secs(10);
const LIMIT_OF_KNOCKD: Duration = Duration::from_secs(60);

/// What becomes of a lease whose stop command fails again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// It is given up.
    Dropped,
    /// It stays in the journal and is tried again after this time, for ever.
    Kept(Duration),
}

/// What a turn has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing is left to close.
    Done,
    /// The next turn has its time.
    Later(Duration),
    /// Somebody has the lock.
    Held(Option<u32>),
    /// The folder or its journal cannot be used.
    Broken(String),
}

/// A state folder, and what is known of its leases.
pub(crate) struct Overdue {
    folder: PathBuf,
    knockd: bool,
    log: Log,
    /// Start commands that have outlived the monitor.
    starts: Starts,
    failing: Failing,
    /// What its commands may; `None`: all that it may itself.
    capabilities: Option<u64>,
    /// The boot whose clock deadlines are on, where another one is seen here; `None`: the one that is seen.
    boot: BootId,
    /// Whether all that is open is due.
    at_once: bool,
    tries: u32,
    failures: u32,
    /// Stop commands that took longer than the lock was held, each with its limit.
    running: Vec<(Child, Duration)>,
}

impl Overdue {
    pub(crate) const fn new(
        folder: PathBuf,
        knockd: bool,
        log: Log,
        starts: Starts,
        failing: Failing,
    ) -> Self {
        Self {
            folder,
            knockd,
            log,
            starts,
            failing,
            capabilities: None,
            boot: None,
            at_once: false,
            tries: 0,
            failures: 0,
            running: Vec::new(),
        }
    }

    /// The same, whose commands have these capabilities and no more.
    pub(super) const fn with_capabilities(mut self, capabilities: Option<u64>) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same, told by somebody who sees the boot as the daemon did.
    pub(crate) const fn in_boot(mut self, boot: BootId) -> Self {
        self.boot = boot;
        self
    }

    /// The same, for which all that is open is due.
    pub(crate) const fn at_once(mut self, at_once: bool) -> Self {
        self.at_once = at_once;
        self
    }

    /// Stop commands that failed.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// What ends a pause early.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, Interest)> {
        self.starts.interests()
    }

    pub(super) fn say(&mut self, level: Level, line: &str) {
        self.log.say(level, line);
    }

    /// Closes what is due.
    pub(crate) fn turn(&mut self) -> Turn {
        let mut keeper = match Keeper::open(&self.folder) {
            Ok(keeper) => keeper,
            Err(KeeperError::Locked { source: LockError::Held { holder }, .. }) => return Turn::Held(holder),
            Err(error) => return Turn::Broken(error.to_string()),
        };
        let boot = self.boot.or_else(clock::boot_id);
        let now = Moment { now: clock::boottime(), boot, wall: clock::wall() };
        let entries = match keeper.load() {
            Ok(entries) => entries,
            Err(error) => return Turn::Broken(error.to_string()),
        };
        self.starts.forget_ended();
        self.starts.join(keeper.survivors());
        let mut next: Option<Duration> = None;
        for recovered in record::recover(entries, &now) {
            let left = match recovered.due {
                // The kernel ends it, and whoever reads the journal next forgets it.
                Due::At(_) if matches!(recovered.record.held, Held::Element(_)) => None,
                Due::At(deadline) if !self.at_once => Some(deadline.saturating_sub(now.now)),
                Due::Forget => {
                    keeper.remove(recovered.record.id).ok();
                    None
                }
                Due::Now | Due::At(_) | Due::OtherBoot
                    if self.waits_for_start(&recovered.record, now.now) =>
                {
                    Some(AGAIN)
                }
                Due::Now | Due::At(_) | Due::OtherBoot | Due::Starting => self.close(&mut keeper, &recovered),
            };
            next = [next, left].into_iter().flatten().min();
        }
        if next.is_none() && self.knockd {
            keeper.leave_nothing_behind();
        }
        next.map_or(Turn::Done, Turn::Later)
    }

    /// What a stop command took back before it was there would stay.
    fn waits_for_start(&self, record: &Record, now: Duration) -> bool {
        let is_hung = record.style == Style::Native && now > record.deadline.saturating_add(HUNG);
        self.starts.is_running(record.id) && !is_hung
    }

    /// Runs a stop command. When to try again; `None`: the lease is done with.
    fn close(&mut self, keeper: &mut Keeper, recovered: &Recovered) -> Option<Duration> {
        let record = &recovered.record;
        let Held::Command { stop: Some(stop), .. } = &record.held else {
            return keeper.remove(record.id).err().map(|_| AGAIN);
        };
        if self.knockd {
            self.log.say(Level::Notice, &format!("{}: {}: command timeout", record.address, record.door));
            let line = format!("{}: running command: {}", record.door, wording::command_text(stop));
            self.log.say_and_blank(Level::Notice, &line);
        }
        let failure = match crate::monitor::spawn_with(record.style, stop, self.capabilities) {
            Ok(child) => self.wait_for(child, record.style).err(),
            Err(error) => Some(Outcome::NotStarted(error.raw_os_error().unwrap_or_default())),
        };
        if let Some(outcome) = failure {
            self.failures = self.failures.saturating_add(1);
            self.tell(record, What::CommandFailed { part: aldaba_runner::Part::Stop, outcome });
            if recovered.due != Due::OtherBoot
                && let Some(pause) = self.again()
            {
                return Some(pause);
            }
        } else {
            self.tell(record, What::Closed { why: Why::Overdue });
        }
        self.tries = 0;
        keeper.remove(record.id).err().map(|_| AGAIN)
    }

    /// When a stop command that has just failed is run again, if ever.
    fn again(&mut self) -> Option<Duration> {
        self.tries = self.tries.saturating_add(1);
        match self.failing {
            Failing::Kept(pause) => Some(pause),
            Failing::Dropped => (self.tries < TRIES).then_some(AGAIN),
        }
    }

    fn tell(&mut self, record: &Record, what: What) {
        if !self.knockd {
            let (door, address) = (record.door.clone(), record.address);
            let line =
                wording::native(&Event { lease: Some(record.id), door, style: record.style, address, what });
            self.log.say(line.level, &line.text);
        }
    }

    /// Waits for the command, within bounds. One that takes longer goes on; as in knockd it counts as run.
    fn wait_for(&mut self, child: Child, style: Style) -> Result<(), Outcome> {
        let start = clock::boottime();
        while clock::boottime().saturating_sub(start) < HOLD {
            match process::reap() {
                Ok(Some((ended, ending))) if ended == child.pid => {
                    return match ending {
                        Ending::Exit(0) => Ok(()),
                        _ if style == Style::Knockd => Ok(()),
                        Ending::Exit(code) => Err(Outcome::Exited(code)),
                        Ending::Signal(signal) => Err(Outcome::Signalled(signal)),
                    };
                }
                Ok(Some((ended, _))) => self.running.retain(|(child, _)| child.pid != ended),
                Ok(None) | Err(_) => {
                    poll::wait(&[], Some(Duration::from_millis(10))).ok();
                }
            }
        }
        let limit = if style == Style::Knockd { LIMIT_OF_KNOCKD } else { LIMIT };
        self.running.push((child, start.saturating_add(limit)));
        Ok(())
    }

    /// Waits for commands that took longer, to their limits: what is left of them then is ended.
    pub(crate) fn see_commands_out(&mut self) {
        while !self.running.is_empty() {
            if let Ok(Some((ended, _))) = process::reap() {
                self.running.retain(|(child, _)| child.pid != ended);
                continue;
            }
            let now = clock::boottime();
            for (child, _) in self.running.extract_if(.., |(_, limit)| *limit <= now) {
                spawn::signal_tree(&child, Kill::Kill);
            }
            poll::wait(&[], Some(Duration::from_millis(20))).ok();
        }
    }
}
