//! `knockd`: the daemon with the command line, the messages and the exit codes of the one it replaces (spec/knock.md).

mod interface;
pub mod options;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aldaba_config::{Interfaces, Kind, Paint, Report};
use aldaba_gate::knock::{Outcome, Protocol};
use aldaba_sys::daemonize::{self, Parent};
use aldaba_sys::files::PidFile;
use jiff::ZonedDateTime;

use crate::face::{Face, Knockd};
use crate::keeper::Keeper;
use crate::left;
use crate::log::{Form, Log, aloud, aside, show};
use crate::monitor::{Monitor, Overrides, Service, Setup};
use crate::rights::Rights;
use crate::run::state_folder;
use crate::source::{Read, Source};
use crate::state::knockd_folder;
use crate::surroundings::Surroundings;
use interface::Device;
use options::{Asked, Options, USAGE, VERSION};

/// Its exit code when it cannot start.
const CANNOT_START: u8 = 1;
/// The pid file when nobody names one.
const PID_FILE: &str = "/var/run/knockd.pid";

/// Runs `knockd`.
#[must_use]
pub fn run(surroundings: &Surroundings) -> ExitCode {
    match options::parse(surroundings.arguments.iter().skip(1).cloned()) {
        Asked::Version => {
            // What scripts compare stands on standard output.
            show(VERSION);
            aside(concat!(
                "(this is aldaba ",
                env!("CARGO_PKG_VERSION"),
                ", which does what that version does)"
            ));
            ExitCode::SUCCESS
        }
        Asked::Usage(wrong) => {
            if let Some(wrong) = wrong {
                let program = surroundings.arguments.first().map(|name| name.to_string_lossy());
                aside(&format!("{}: {wrong}", program.as_deref().unwrap_or("knockd")));
            }
            show(USAGE);
            ExitCode::SUCCESS
        }
        Asked::Run(options) => serve(&options, surroundings).unwrap_or_else(|code| code),
    }
}

fn serve(options: &Options, surroundings: &Surroundings) -> Result<ExitCode, ExitCode> {
    aldaba_sys::process::hide_memory().map_err(|error| fail(&error))?;
    let source =
        Source::new(Kind::Knockd, &options.config, surroundings.uid).map_err(|error| fail(&error))?;
    let read = source.read(false).map_err(|report| refuse(&report))?;
    for warning in &read.loaded.warnings {
        aside(&warning.to_string());
    }
    let interface = interface(options, &read);
    if options.debug {
        debug("config: ", aldaba_config::explain(&read.loaded.policy).lines());
    }
    let (device, blank) = Device::find(&interface).map_err(|error| fail(&error))?;
    if options.debug {
        debug("", device.describe());
    }
    let mut log = open_log(options, &source, &read);
    let pid_file = read.loaded.policy.daemon.pid_file.clone().or_else(|| options.pid_file.clone());
    let daemon = if options.daemon { Some(into_background()?) } else { None };
    let base = state_folder(None, surroundings.state_directory.as_deref(), None);
    // In the background nobody hears it; the terminal it was started from is no longer its own.
    let verbose = options.verbose && !options.daemon;
    let face = Knockd { verbose, debug: options.debug, lookup: options.lookup };
    let control = read.loaded.policy.daemon.control.clone();
    let state_folder = knockd_folder(&base, source.path(), &interface);
    left::see_to(&state_folder, &[base], &mut log, true);
    let rights =
        Rights::reduce(&read.loaded.policy, Keeper::owed(&state_folder)).map_err(|error| fail(&error))?;
    let setup = Setup {
        service: Service::of(surroundings),
        rights,
        control,
        state_folder,
        face: Face::Knockd(face),
        overrides: Overrides {
            interfaces: vec![interface.clone()],
            ipv4_only: options.only_ipv4,
            keep: false,
            state_dir: false,
        },
        source,
        read,
        log,
        sandbox: true,
        blank: Some(blank),
    };
    let mut monitor = Monitor::start(setup).map_err(|error| fail(&error))?;
    if verbose {
        aloud(&format!("listening on {interface}..."));
    }
    if let Some(daemon) = daemon {
        monitor.write_pid_file(&pid_file.unwrap_or_else(|| PathBuf::from(PID_FILE)));
        daemon.ready().map_err(|error| fail(&error))?;
    }
    monitor.say_knockd_started(&interface);
    Ok(monitor.run())
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    aside(&error.to_string());
    ExitCode::from(CANNOT_START)
}

/// Lines of `-D`, on standard output.
fn debug(head: &str, lines: impl IntoIterator<Item = impl std::fmt::Display>) {
    for line in lines {
        aloud(&format!("{head}{line}"));
    }
}

/// A segment that a sequence looked at, as `-D` shows it.
pub(crate) fn print_hit(
    source: (IpAddr, u16),
    protocol: Protocol,
    destination: (IpAddr, u16),
    outcome: Outcome,
) {
    let name = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let what = match outcome {
        Outcome::Started => "begins an attempt",
        Outcome::Advanced => "takes the attempt further",
        Outcome::Completed => "completes a sequence",
        Outcome::Broken | Outcome::Cancelled => "ends the attempt",
        Outcome::Retransmission => "has counted already",
        Outcome::Ignored | Outcome::Tolerated | Outcome::Invisible => "changes nothing",
    };
    let now = ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let ((from, from_port), (to, to_port)) = (source, destination);
    debug("", [format!("{now}: {name}: {from}:{from_port} -> {to}:{to_port} {what}")]);
}

/// knockd's own line first, since scripts look for it, then ours with line and caret; its usage text where it prints it.
fn refuse(report: &Report) -> ExitCode {
    if let Some(line) = report.knockd_line() {
        aside(line);
    }
    let found = report.render(Paint::Plain);
    aside(found.strip_suffix('\n').unwrap_or(&found));
    if !report.knockd_line().is_some_and(|line| line.starts_with("pcap_compile")) {
        show(USAGE);
    }
    ExitCode::from(CANNOT_START)
}

/// The option beats the configuration; without either the configuration's default stands.
fn interface(options: &Options, read: &Read) -> String {
    let configured = match &read.loaded.policy.daemon.interfaces {
        Interfaces::Named(names) => names.first().cloned(),
        Interfaces::All => Some("any".to_owned()),
    };
    options
        .interface
        .clone()
        .filter(|name| !name.is_empty())
        .or(configured)
        .unwrap_or_else(|| "eth0".to_owned())
}

/// The configuration beats the option. One that cannot be opened is a warning: the daemon runs on without.
fn open_log(options: &Options, source: &Source, read: &Read) -> Log {
    let wanted = &read.loaded.policy.daemon.log;
    let mut log = Log::new(Form::Knockd { echo: options.verbose && !options.daemon });
    if wanted.syslog {
        log.use_syslog();
    }
    if let Some(file) = wanted.file.as_ref().or(options.log_file.as_ref()) {
        let file = source.resolve(file);
        if let Err(error) = log.use_file(&file) {
            aside(&format!("warning: cannot open logfile {}: {error}", file.display()));
        }
    }
    log
}

/// The rest happens in the background; the parent waits for the word that the start has worked.
fn into_background() -> Result<daemonize::Child, ExitCode> {
    match daemonize::fork() {
        Ok(Parent::Child(child)) => Ok(child),
        Ok(Parent::Parent { child_works }) => {
            Err(if child_works { ExitCode::SUCCESS } else { ExitCode::from(CANNOT_START) })
        }
        Err(error) => Err(fail(&error)),
    }
}

impl Monitor {
    /// Writes the pid file; one that cannot be written is logged and done without. In the background, so a relative name
    /// is relative to the root folder.
    fn write_pid_file(&mut self, path: &Path) {
        match PidFile::create(&Path::new("/").join(path)) {
            Ok(file) => self.keep_pid_file(file),
            Err(error) => {
                let why = aldaba_sys::files::strerror(&error);
                let line = format!("could not create pid file {}: {why}", path.display());
                self.tell(&line);
            }
        }
    }

    fn say_knockd_started(&mut self, interface: &str) {
        self.tell_log(&format!("starting up, listening on {interface}"));
    }
}
