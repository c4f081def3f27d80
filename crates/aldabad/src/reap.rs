//! `aldabad reap`: ends what a daemon that is gone has left open, each lease at its deadline, also when the closer was killed with
//! it (docs/reliability.md, R1). What is overdue is closed now; for the rest the service manager is asked to run this again at
//! the next deadline, or it is waited for here. A daemon that runs owns its leases: then nothing is done.

mod timer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_config::Disk;
use aldaba_sys::{clock, poll, process};
use clap::Args;

use crate::cli::DEFAULT_CONFIG;
use crate::closer::overdue::{Overdue, Pace, Turn};
use crate::closer::starts::Starts;
use crate::log::{Form, Log, aside};
use crate::role::{self, Role};
use crate::run::state_folder;
use crate::site::Failed;
use crate::surroundings::Surroundings;

/// The journal's name in a state folder.
const JOURNAL: &str = "leases.redb";
/// How soon a stop command that failed is run again.
const FAILED: Duration = Duration::from_secs(30);
/// How long it waits for stop commands before it has a timer armed, in case it does not live to see their end.
const HOLD: Duration = Duration::from_millis(1500);
/// How long a line of knockd.conf may take, which has no time limit.
const LIMIT_OF_KNOCKD: Duration = Duration::from_secs(60);
/// How long somebody who has the lock and is ending is waited for: a daemon whose end was seen already.
const DYING: Duration = Duration::from_millis(2500);
/// How long a daemon that seems to live may be about to end.
const LIVING: Duration = Duration::from_millis(250);
/// How long a closer is waited for. It does the same, but may be killed when this command has ended.
const CLOSING: Duration = Duration::from_secs(60);
/// How soon it is looked again whether the lock is free.
const LOOK: Duration = Duration::from_millis(50);
/// The longest rest: its clock stands still while the machine sleeps, and that of deadlines does not.
const SLICE: Duration = Duration::from_secs(5);

/// `aldabad reap`.
#[derive(Debug, Clone, Args)]
pub struct ReapArgs {
    /// The configuration the daemon was started with: it may say where leases are kept
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Where leases are kept; those of each knockd in a folder of its own there [default: as for `aldabad run`]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Stay until the last lease has ended, in place of a timer of systemd's
    #[arg(long)]
    wait: bool,
    /// Close everything now that commands hold open, in place of at its deadline: before the program is removed
    #[arg(long)]
    now: bool,
    /// Say only what went wrong: as what a service manager runs whenever the daemon has ended
    #[arg(long)]
    quiet: bool,
    /// The program that arms a timer, with the options of `systemd-run`
    #[arg(long, value_name = "PROGRAM", default_value = "systemd-run", conflicts_with = "wait")]
    timer: PathBuf,
    /// The boot whose clock deadlines are on, as who armed the timer sees it. A timer ends with its boot, so this one is right, and in
    /// a container, which has a boot id laid over the kernel's, a unit of systemd's may see the other of the two
    #[arg(long, value_name = "ID", value_parser = boot, hide = true)]
    boot: Option<[u8; 16]>,
}

fn boot(text: &str) -> Result<[u8; 16], &'static str> {
    clock::parse_boot_id(text).ok_or("not a boot id")
}

/// Runs the command.
#[must_use]
pub(crate) fn run(args: &ReapArgs, surroundings: &Surroundings) -> ExitCode {
    let configured = aldaba_config::state_dir(&args.config, &mut Disk);
    let systemd = surroundings.state_directory.as_deref();
    let base = state_folder(args.state_dir.clone(), systemd, configured.as_deref());
    reap(args, &base, surroundings).map_or_else(|failed| failed.told(), |()| ExitCode::SUCCESS)
}

fn reap(args: &ReapArgs, base: &Path, surroundings: &Surroundings) -> Result<(), Failed> {
    let base = std::path::absolute(base).map_err(Failed::kernel("the current folder"))?;
    let folder = |path| Folder::new(path, surroundings.journal, args);
    let mut folders: Vec<Folder> = folders(&base).into_iter().map(folder).collect();
    // What a command over its time limit has left behind is found among its own children.
    process::adopt_orphans().ok();
    let (start, mut is_guarded) = (clock::boottime(), args.wait);
    let armed = loop {
        let next = folders.iter_mut().filter_map(Folder::turn).min();
        let runs = folders.iter_mut().any(|folder| folder.overdue.runs());
        let ours: Vec<u32> = folders.iter().flat_map(|folder| folder.overdue.commands()).collect();
        process::reap_others(&ours);
        if runs && !is_guarded && clock::boottime().saturating_sub(start) > HOLD {
            // Before the commands have ended: it counts whatever becomes of this process.
            timer::arm(&args.timer, &base, args.boot, FAILED).ok();
            is_guarded = true;
        }
        match next {
            Some(pause) if args.wait || runs => rest(&folders, pause.clamp(LOOK, SLICE)),
            Some(pause) => break timer::arm(&args.timer, &base, args.boot, pause),
            None => break Ok(()),
        }
    };
    let mut failed = Vec::new();
    for folder in folders {
        failed.extend(folder.finish());
    }
    armed?;
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failed::new(first, "mend what it names, then run: aldabad reap")),
    }
}

/// Until the time is over, or a command has ended.
fn rest(folders: &[Folder], pause: Duration) {
    let interests: Vec<_> = folders.iter().flat_map(|folder| folder.overdue.interests()).collect();
    poll::wait(&interests, Some(pause)).ok();
}

/// All folders with a journal: the daemon's own and those of knockd.
fn folders(base: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path());
    let knockd = inside.filter(|path| is_knockd(path));
    let mut found: Vec<PathBuf> = std::iter::once(base.to_owned()).chain(knockd).collect();
    found.retain(|folder| folder.join(JOURNAL).is_file());
    found.sort();
    found
}

fn is_knockd(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"knockd-"))
}

/// How long whoever has the lock is waited for.
fn patience(holder: Option<u32>) -> Duration {
    let name = holder.and_then(role::name_of);
    match name.map(|name| Role::of(&[name])) {
        Some(Some(Role::Closer)) => CLOSING,
        Some(_) => LIVING,
        None => DYING,
    }
}

/// A state folder on its way to having no lease.
struct Folder {
    path: PathBuf,
    overdue: Overdue,
    /// When it is looked at again; `None`: it is done with.
    due: Option<Duration>,
    trouble: Option<String>,
    /// That a daemon has its leases is not worth a line.
    quiet: bool,
}

impl Folder {
    fn new(path: PathBuf, journal: bool, args: &ReapArgs) -> Self {
        let log = Log::new(Form::Native { journal });
        let overdue =
            Overdue::new(path.clone(), is_knockd(&path), log, Starts::default(), Pace::Steady(FAILED))
                .with_patience(LIMIT_OF_KNOCKD);
        Self {
            path,
            overdue: overdue.in_boot(args.boot).at_once(args.now),
            due: Some(Duration::ZERO),
            trouble: None,
            quiet: args.quiet,
        }
    }

    /// Closes what is due, if anything can be. How long until the next turn.
    fn turn(&mut self) -> Option<Duration> {
        if self.due? <= clock::boottime() || self.overdue.runs() {
            self.due = self.close().map(|pause| clock::boottime().saturating_add(pause));
        }
        self.due.map(|due| due.saturating_sub(clock::boottime()))
    }

    fn close(&mut self) -> Option<Duration> {
        let start = clock::boottime();
        loop {
            match self.overdue.turn() {
                Turn::Done => return None,
                Turn::Later(pause) => return Some(pause),
                Turn::Held(holder) => {
                    if clock::boottime().saturating_sub(start) > patience(holder) {
                        self.say_held(holder);
                        return None;
                    }
                }
                Turn::Broken(error) => {
                    self.trouble = Some(error);
                    return None;
                }
            }
            clock::rest(LOOK);
        }
    }

    fn say_held(&self, holder: Option<u32>) {
        if !self.quiet {
            let who = holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            aside(&format!("{}: a daemon{who} has these leases", self.path.display()));
        }
    }

    /// What went wrong, if anything.
    fn finish(self) -> Option<String> {
        let (path, failing) = (self.path.display(), self.overdue.failing());
        let failed =
            (failing > 0).then(|| format!("{path}: {failing} stop commands failed; they are run again"));
        let unremoved = self.overdue.unremoved().map(|error| {
            format!(
                "{path}: what is closed cannot be taken out of the journal and is closed again later: {error}"
            )
        });
        self.trouble.or(failed).or(unremoved)
    }
}
