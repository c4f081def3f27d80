//! `aldabad check`: what is wrong with a configuration, what it means, and what captured packets would have done to it.

mod replay;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aldaba_config::{Disk, Kind, Loaded, Options};

use crate::cli::{CheckArgs, DEFAULT_CONFIG};
use crate::knockd::options::DEFAULT_CONFIG as KNOCKD_CONFIG;
use crate::log::aside;
use crate::site::{Failed, paint};

/// The configuration has errors, or cannot be read.
const BAD_CONFIG: u8 = 2;

/// Runs the command.
pub fn run(args: &CheckArgs, own_uid: u32) -> ExitCode {
    let path = args.config.clone().unwrap_or_else(default_config);
    let strict_check = !args.explain && args.pcap.is_none();
    let options = Options { strict_check, own_uid, ..Options::default() };
    let loaded = match aldaba_config::load(Kind::of(&path), &path, &mut Disk, &options) {
        Ok(loaded) => loaded,
        Err(report) => {
            let (found, count) = (report.render(paint()), problems(report.errors()));
            aside(&format!("{found}{}: {count}", path.display()));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    for warning in &loaded.warnings {
        aside(&format!("{}\n", warning.render(paint())));
    }
    let said = match &args.pcap {
        Some(capture) => replay(&loaded, capture, args),
        None if args.explain => say(&aldaba_config::explain(&loaded.policy)),
        None => say(&summary(&path, &loaded)),
    };
    said.unwrap_or_else(|failed| failed.told())
}

/// The file that is there; ours where both are, since that is what `aldabad run` reads.
fn default_config() -> PathBuf {
    let ours = PathBuf::from(DEFAULT_CONFIG);
    let knockd = PathBuf::from(KNOCKD_CONFIG);
    if !ours.exists() && knockd.exists() { knockd } else { ours }
}

fn problems(errors: usize) -> String {
    match errors {
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    }
}

fn summary(path: &Path, loaded: &Loaded) -> String {
    let doors = loaded.policy.catalogue.doors.len();
    let warnings = loaded.warnings.len();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let all = loaded.policy.command_capabilities() == aldaba_config::Capabilities::ALL;
    let note = if all {
        "commands of its doors have all that the daemon may (capabilities in aldaba.toml(5))\n"
    } else {
        ""
    };
    format!(
        "{}: good: {doors} door{}, {warnings} warning{}\n{note}",
        path.display(),
        plural(doors),
        plural(warnings)
    )
}

/// A reader who has seen enough is no failure.
fn say(text: &str) -> Result<ExitCode, Failed> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failed::new(format!("standard output: {error}"), "is the disk full it goes to?"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What could be read is said first; a damaged end must not look like a whole file.
fn replay(loaded: &Loaded, capture: &Path, args: &CheckArgs) -> Result<ExitCode, Failed> {
    let named = |error: &dyn Display| format!("{}: {error}", capture.display());
    let bytes = std::fs::read(capture).map_err(|error| Failed::new(named(&error), unreadable(&error)))?;
    let report = replay::run(&loaded.policy, &bytes, &args.address)
        .map_err(|error| Failed::new(named(&error), error.help()))?;
    say(&report.to_string())?;
    match report.damage {
        Some(damage) => Err(Failed::new(named(&damage), replay::help(damage.kind))),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What to do about a capture that cannot be read.
fn unreadable(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "make one: tcpdump -i any -s 0 -w FILE",
        ErrorKind::PermissionDenied => "run this as root (sudo)",
        _ => "name a file that tcpdump or Wireshark has written",
    }
}
