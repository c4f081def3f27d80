//! aldaba.toml or knockd.conf to one validated [`Policy`].
//!
//! Both kinds of file end as the same values. Everything that is wrong is said at once, each with file, line, column,
//! the line itself, a caret and what to do; a file is taken whole or not at all. What is legal but cannot work, or is
//! unsafe, is a warning. [`explain()`] writes any policy as aldaba.toml, which is how a knockd.conf migrates.
//!
//! Nothing here starts, opens or changes anything: files come through [`Files`], so that the worker builds its
//! policy from the very bytes the monitor read ([`Bundle`]).
#![forbid(unsafe_code)]

mod aldaba_toml;
mod authorized_keys;
mod bundle;
mod capabilities;
mod control;
mod diagnostic;
mod explain;
mod files;
mod knockd;
mod lint;
mod one_time;
mod plan;
mod policy;
mod sequence;
mod suggest;

pub use bundle::{Bundle, BundleError};
pub use capabilities::Capabilities;
pub use control::{control_socket, state_dir};
pub use diagnostic::{Diagnostic, Paint, Place, Report, Severity, Source};
pub use explain::explain;
pub use files::{Disk, FileBytes, FileFacts, Files, IsLink, LARGEST_FILE};
pub use policy::{
    AfterFlush, Capture, Current, Daemon, Interfaces, LockFiles, Log, OnExit, OneTime, Policy, Receive, Spa,
    SpaFiles,
};
pub use suggest::nearest;

use std::path::{Path, PathBuf};

use plan::{Findings, Plan};

/// Which grammar a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// aldaba.toml.
    Toml,
    /// knockd.conf.
    Knockd,
}

impl Kind {
    /// By its name: `.toml` is ours, anything else knockd's.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|extension| extension == "toml") { Self::Toml } else { Self::Knockd }
    }
}

/// How a configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Doubtful things that the original accepts are errors; what `check` does.
    pub strict_check: bool,
    /// It is read again by a running daemon: a used-up file of one-time sequences closes its door only.
    pub reload: bool,
    /// The user the daemon was started by; besides root, the only legitimate owner of its files.
    pub own_uid: u32,
    /// Keys, the registry of devices and files of one-time sequences are not read, and the policy is without them: enough for who
    /// only guards the ports, also where and when they are not there.
    pub keyless: bool,
}

/// A configuration that was taken.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub policy: Policy,
    /// What is doubtful in it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a configuration; it is taken whole or refused with every problem named.
pub fn load(kind: Kind, path: &Path, files: &mut dyn Files, options: &Options) -> Result<Loaded, Report> {
    let mut findings = findings(options);
    let plan = read(kind, path, files, options, &mut findings);
    if let Some(plan) = &plan {
        lint::all(plan, files, options, &mut findings);
    }
    match plan {
        Some(plan) if !findings.refused() => {
            diagnostic::sort(&mut findings.list);
            Ok(Loaded { policy: plan.policy, warnings: findings.list })
        }
        _ => Err(Report::new(findings.list)),
    }
}

/// Reads one that was taken before: what is doubtful in it was said then, and is not looked for again.
fn load_again(kind: Kind, path: &Path, files: &mut dyn Files, options: &Options) -> Result<Policy, Report> {
    let mut findings = findings(options);
    match read(kind, path, files, options, &mut findings) {
        Some(plan) if !findings.refused() => Ok(plan.policy),
        _ => Err(Report::new(findings.list)),
    }
}

fn findings(options: &Options) -> Findings {
    let Options { strict_check: strict, own_uid, keyless, .. } = *options;
    Findings { strict, own_uid, keyless, ..Findings::default() }
}

fn read(
    kind: Kind,
    path: &Path,
    files: &mut dyn Files,
    options: &Options,
    findings: &mut Findings,
) -> Option<Plan> {
    let source = open(path, files, findings)?;
    Some(match kind {
        Kind::Toml => aldaba_toml::read(path, &source, files, findings),
        Kind::Knockd => knockd::read(&source, files, options, findings),
    })
}

/// Reads a file of the configuration itself.
fn open(path: &Path, files: &mut dyn Files, findings: &mut Findings) -> Option<Source> {
    let name = path.display().to_string();
    let whole = Source::new(name.clone(), Vec::new()).whole();
    let is_ours = path.extension().is_some_and(|extension| extension == "toml");
    let (words, help) = match files.read(path) {
        Ok(file) if file.facts.is_regular => {
            let source = Source::new(name, file.bytes);
            findings.files.push((source.clone(), file.facts));
            return Some(source);
        }
        Ok(_) => ("not a regular file".to_owned(), "name the file itself; a link to one will do"),
        Err(error) => (system_words(&error), unreadable_help(error.kind(), is_ours)),
    };
    let found = Diagnostic::error("unreadable", &whole, format!("the configuration cannot be read: {words}"))
        .knockd(format!("{name}: {words}"));
    findings.add(found.help(help));
    None
}

/// What to do about a configuration that cannot be read.
const fn unreadable_help(kind: std::io::ErrorKind, is_ours: bool) -> &'static str {
    match kind {
        std::io::ErrorKind::NotFound if is_ours => {
            "aldabad init makes one for those who hold a key; aldaba.toml(5) says how to write one"
        }
        std::io::ErrorKind::NotFound => "is that its path? knockd.conf(5) says how to write one",
        std::io::ErrorKind::PermissionDenied => "run this as root (sudo)",
        _ => "mend that first: of a file that cannot be read nothing more can be said",
    }
}

/// The folder of a configuration's drop-ins.
#[must_use]
pub fn drop_ins(main: &Path) -> PathBuf {
    main.parent().unwrap_or(Path::new("")).join("conf.d")
}

/// Whether this is one of the drop-ins a configuration reads, or would if it were there.
#[must_use]
pub fn is_drop_in_of(main: &Path, path: &Path) -> bool {
    path.parent() == Some(&drop_ins(main)) && path.file_name().is_some_and(aldaba_toml::is_drop_in)
}

/// Ports as a door's `ports` names them: `22`, `22/tcp`, `60000-61000/udp`.
pub fn ports(text: &str) -> Result<aldaba_runner::door::PortRange, String> {
    aldaba_toml::ports(text)
}

/// A day in UTC, or a moment as RFC 3339 has it.
#[must_use]
pub fn moment(text: &str) -> Option<aldaba_gate::spa::Timestamp> {
    authorized_keys::time(text)
}

/// A moment as [`moment`] reads it.
#[must_use]
pub fn moment_text(moment: aldaba_gate::spa::Timestamp) -> String {
    authorized_keys::time_text(moment)
}

/// A length of time: `30s`, `12h`, `30d`.
#[must_use]
pub fn duration(text: &str) -> Option<std::time::Duration> {
    aldaba_toml::duration(text)
}

/// What the system says of an error, as C programs write it.
fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}
