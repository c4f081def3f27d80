//! `aldabad run`: the daemon under its own name.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_config::{Disk, Kind};
use aldaba_sys::nft::Nft;

use crate::candidate;
use crate::cli::RunArgs;
use crate::control;
use crate::face::Face;
use crate::keeper::Keeper;
use crate::last_in_force::LastInForce;
use crate::left;
use crate::log::{Form, Level, Log, aside};
use crate::monitor::{Monitor, Overrides, Service, Setup};
use crate::moved;
use crate::own_table;
use crate::rights::Rights;
use crate::site::paint;
use crate::source::{Read, Source};
use crate::surroundings::Surroundings;
use crate::wording::quoted;

/// Where state is kept when nobody says otherwise.
pub const STATE_DIR: &str = "/var/lib/aldaba";
/// The configuration has errors.
const BAD_CONFIG: u8 = 2;

/// Runs the daemon until a signal ends it.
#[must_use]
pub fn run(args: RunArgs, surroundings: &Surroundings) -> ExitCode {
    match start(args, surroundings) {
        Ok(monitor) => monitor.run(),
        Err((code, message)) => {
            aside(&message);
            ExitCode::from(code)
        }
    }
}

fn start(args: RunArgs, surroundings: &Surroundings) -> Result<Monitor, (u8, String)> {
    let failed = |error: &dyn std::fmt::Display| (1, format!("aldabad: {error}"));
    // What it is about to read has keys in it.
    aldaba_sys::process::hide_memory().map_err(|error| failed(&error))?;
    let kind = Kind::of(&args.config);
    let source = Source::new(kind, &args.config, surroundings.uid).map_err(|error| failed(&error))?;
    let (read, state_folder) = read(&args, &source, surroundings).map_err(|report| (BAD_CONFIG, report))?;
    let is_told = is_told(args.state_dir.as_deref(), surroundings.state_directory.as_deref());
    for warning in &read.loaded.warnings {
        aside(&format!("{}\n", warning.render(paint())));
    }
    let daemon = &read.loaded.policy.daemon;
    let mut log = Log::new(Form::Native { journal: surroundings.journal });
    open_log(&mut log, &daemon.log);
    see_to_places(&source, &state_folder, is_told, &mut log);
    let rights =
        Rights::reduce(&read.loaded.policy, Keeper::owed(&state_folder)).map_err(|error| failed(&error))?;
    if let Some(errors) = read.stands_in_for {
        let config = quoted(&source.path().display().to_string());
        log.say(Level::Error, &format!("last-in-force config={config} errors={errors}"));
    }
    for file in candidate::clear_leftovers(&source) {
        let file = quoted(&file.display().to_string());
        log.say(Level::Warning, &format!("rolled-back file={file} why=restarted"));
    }
    if args.confirm.is_some() {
        is_first_start(&source, &state_folder, &daemon.table).map_err(|error| failed(&error))?;
    }
    let overrides =
        Overrides { interfaces: args.interface, ipv4_only: false, keep: args.keep, state_dir: is_told };
    let configured = daemon.control.clone();
    let control = control::socket(args.control.as_deref(), configured, surroundings.runtime_folder());
    let setup = Setup {
        service: Service::of(surroundings),
        face: Face::Aldabad,
        source,
        read,
        overrides,
        log,
        state_folder,
        rights,
        sandbox: !args.insecure_no_sandbox,
        control: Some(control),
        blank: None,
    };
    let mut monitor = Monitor::start(setup).map_err(|error| failed(&error))?;
    monitor.say_started(&args.config, args.insecure_no_sandbox);
    match args.confirm {
        Some(time) => monitor.try_start(Duration::from_secs(time)),
        None => monitor.write_down(),
    }
    Ok(monitor)
}

/// The policy to start with, and where state is kept. With errors it is what was last in force, where that is wanted; they are
/// said all the same.
fn read(args: &RunArgs, source: &Source, surroundings: &Surroundings) -> Result<(Read, PathBuf), String> {
    let folder = |configured: Option<&Path>| {
        state_folder(args.state_dir.clone(), surroundings.state_directory.as_deref(), configured)
    };
    let refused = match source.read_at_start() {
        Ok(read) => {
            let folder = folder(read.loaded.policy.daemon.state_dir.as_deref());
            return Ok((read, folder));
        }
        Err(refused) => refused,
    };
    let report = refused.report.render(paint());
    if !args.or_last_in_force {
        return Err(report);
    }
    let folder = folder(aldaba_config::state_dir(source.path(), &mut Disk).as_deref());
    let last = LastInForce::find(&folder, source.path(), source.own_uid());
    match last.and_then(|last| source.stand_in(last, refused)) {
        Ok(read) => {
            aside(&report);
            Ok((read, folder))
        }
        Err(none) => Err(format!("{report}{}", none.told())),
    }
}

/// What was there before a trial could not be put back.
fn is_first_start(source: &Source, folder: &Path, table: &str) -> Result<(), String> {
    let found = Nft::open().and_then(|mut nft| {
        let marks = [vec![own_table::mark(source.path())], own_table::noted(folder)].concat();
        let ours = nft.guarding_tables(&marks)?.into_iter().find(|found| found.is_ours);
        let same = nft.ruleset()?.has_table(table).then(|| table.to_owned());
        Ok(same.or(ours.map(|found| found.table)))
    });
    let Ok(Some(table)) = found else { return Ok(()) };
    Err(format!(
        "table inet {table} is there already: this is no first start\n  help: start it without --confirm, then try a \
         new configuration with aldabad apply --confirm; or begin anew: aldabad firewall remove"
    ))
}

/// A log that cannot be opened is no reason not to start: doors matter more.
pub fn open_log(log: &mut Log, wanted: &aldaba_config::Log) {
    if wanted.syslog {
        log.use_syslog();
    }
    if let Some(file) = &wanted.file
        && let Err(error) = log.use_file(file)
    {
        let line = format!("degraded what=log error={}", quoted(&format!("{}: {error}", file.display())));
        log.say(Level::Warning, &line);
    }
}

/// Has closed what lies elsewhere, and writes down which folder the configuration names, for the day it names another one.
fn see_to_places(source: &Source, folder: &Path, is_told: bool, log: &mut Log) {
    left::see_to(folder, &places(folder, source.path(), is_told), log, false);
    let default = Path::new(STATE_DIR);
    if !is_told
        && folder != default
        && let Err(error) = moved::note(default, source.path(), folder)
    {
        let error = quoted(&format!("{STATE_DIR}: {error}"));
        log.say(Level::Warning, &format!("state-dir-unnoted error={error}"));
    }
}

/// Where leases of this configuration may lie, the folder in use first: others that it has named before, and the default one unless
/// somebody else has a say.
pub(crate) fn places(folder: &Path, config: &Path, is_told: bool) -> Vec<PathBuf> {
    let default = PathBuf::from(STATE_DIR);
    let mut places = vec![folder.to_owned()];
    places.extend(moved::noted(&default, config));
    places.extend((!is_told).then_some(default));
    let mut seen = BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// Whether the command line or the service manager says where state is kept.
pub(crate) fn is_told(named: Option<&Path>, systemd: Option<&OsStr>) -> bool {
    named.is_some() || of_systemd(systemd).is_some()
}

fn of_systemd(list: Option<&OsStr>) -> Option<PathBuf> {
    let first = list?.to_str()?.split(':').next()?;
    (!first.is_empty()).then(|| first.into())
}

/// The command line, then systemd, then the configuration, then the default.
#[must_use]
pub fn state_folder(named: Option<PathBuf>, systemd: Option<&OsStr>, configured: Option<&Path>) -> PathBuf {
    named
        .or_else(|| of_systemd(systemd))
        .or_else(|| configured.map(Path::to_owned))
        .unwrap_or_else(|| STATE_DIR.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_on_the_state_folder_counts() {
        let folder = |named: Option<&str>, systemd: Option<&str>, configured: Option<&str>| {
            state_folder(named.map(Into::into), systemd.map(OsStr::new), configured.map(Path::new))
        };
        assert_eq!(folder(Some("/a"), Some("/b"), Some("/c")), Path::new("/a"));
        assert_eq!(folder(None, Some("/b:/x"), Some("/c")), Path::new("/b"));
        assert_eq!(folder(None, Some(""), Some("/c")), Path::new("/c"));
        assert_eq!(folder(None, None, None), Path::new(STATE_DIR));
    }
}
