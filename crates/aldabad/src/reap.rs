//! `aldabad reap`: ends what a daemon that is gone has left open, each lease at its deadline, also when the closer was killed with
//! it (docs/reliability.md, R1). What is overdue is closed now; for the rest the service manager is asked to run this again at
//! the next deadline, or it is waited for here. A daemon that runs owns its leases: then nothing is done.

mod timer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use aldaba_config::Disk;
use aldaba_sys::{clock, poll, process};
use clap::Args;

use crate::cli::DEFAULT_CONFIG;
use crate::closer::overdue::{Overdue, Pace, Turn};
use crate::closer::starts::Starts;
use crate::keeper::Keeper;
use crate::left;
use crate::log::{Form, Log, aside};
use crate::role::{self, Role};
use crate::run::{is_told, places, state_folder};
use crate::site::Failed;
use crate::surroundings::Surroundings;

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
    let bases = match (&args.state_dir, std::path::absolute(&args.config)) {
        (None, Ok(config)) => places(&base, &config, is_told(None, systemd)),
        // Who names one wants that one.
        _ => vec![base],
    };
    reap(args, &bases, surroundings).map_or_else(|failed| failed.told(), |()| ExitCode::SUCCESS)
}

fn reap(args: &ReapArgs, bases: &[PathBuf], surroundings: &Surroundings) -> Result<(), Failed> {
    let mut places = Vec::new();
    for (number, base) in bases.iter().enumerate() {
        let base = std::path::absolute(base).map_err(Failed::kernel("the current folder"))?;
        places.push(Place::new(base, number > 0, args, surroundings.journal));
    }
    // What a command over its time limit has left behind is found among its own children.
    process::adopt_orphans().ok();
    let (start, mut is_guarded) = (clock::boottime(), args.wait);
    let armed = loop {
        let next = places.iter_mut().filter_map(Place::turn).min();
        let runs = places.iter_mut().any(Place::runs);
        let ours: Vec<u32> =
            places.iter().flat_map(Place::folders).flat_map(|one| one.overdue.commands()).collect();
        process::reap_others(&ours);
        if runs && !is_guarded && clock::boottime().saturating_sub(start) > HOLD {
            // Before the commands have ended: it counts whatever becomes of this process.
            for place in places.iter_mut().filter_map(Place::that_runs) {
                timer::arm(&args.timer, &place.base, args.boot, FAILED).ok();
            }
            is_guarded = true;
        }
        match next {
            Some(pause) if args.wait || runs => rest(&places, pause.clamp(LOOK, SLICE)),
            Some(_) => break places.iter().map(|place| place.arm(args)).fold(Ok(()), Result::and),
            None => break Ok(()),
        }
    };
    let folders = places.into_iter().flat_map(|place| place.folders);
    let failed: Vec<String> = folders.filter_map(Folder::finish).collect();
    armed?;
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failed::new(first, "mend what it names, then run: aldabad reap")),
    }
}

/// Until the time is over, or a command has ended.
fn rest(places: &[Place], pause: Duration) {
    let folders = places.iter().flat_map(Place::folders);
    let interests: Vec<_> = folders.flat_map(|folder| folder.overdue.interests()).collect();
    poll::wait(&interests, Some(pause)).ok();
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

/// Folders that one timer comes back to: a daemon's own and those of knockd in it.
struct Place {
    base: PathBuf,
    folders: Vec<Folder>,
    /// How long until the next turn, as of the last one.
    next: Option<Duration>,
}

impl Place {
    /// `found`: nobody has named it to us, so that its doors may be elsewhere.
    fn new(base: PathBuf, found: bool, args: &ReapArgs, journal: bool) -> Self {
        let is_ours = |folder: &PathBuf| {
            let is_elsewhere = found && Keeper::is_elsewhere(folder);
            if is_elsewhere && !args.quiet {
                let folder = folder.display();
                aside(&format!(
                    "{folder}: its doors are in another network namespace\n  help: run there: aldabad reap --state-dir {folder}"
                ));
            }
            !is_elsewhere
        };
        let mut paths: Vec<PathBuf> = left::folders(&base).filter(is_ours).collect();
        paths.sort();
        let folders = paths.into_iter().map(|path| Folder::new(path, journal, args)).collect();
        Self { base, folders, next: None }
    }

    fn folders(&self) -> std::slice::Iter<'_, Folder> {
        self.folders.iter()
    }

    /// Closes what is due. How long until the next turn.
    fn turn(&mut self) -> Option<Duration> {
        self.next = self.folders.iter_mut().filter_map(Folder::turn).min();
        self.next
    }

    fn runs(&mut self) -> bool {
        self.folders.iter_mut().any(|folder| folder.overdue.runs())
    }

    fn that_runs(&mut self) -> Option<&mut Self> {
        self.runs().then_some(self)
    }

    /// Has this run again at the next turn.
    fn arm(&self, args: &ReapArgs) -> Result<(), Failed> {
        self.next.map_or(Ok(()), |pause| timer::arm(&args.timer, &self.base, args.boot, pause))
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
            Overdue::new(path.clone(), left::is_knockd(&path), log, Starts::default(), Pace::Steady(FAILED))
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
