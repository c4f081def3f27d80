//! A server as its administrator's commands see it: the configuration read whole, and where its files are.

use std::io::{self, ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aldaba_config::{Diagnostic, Disk, Files, Kind, Options, Paint, Policy, Report, Spa};

use crate::cli::AskArgs;
use crate::log::aside;
use crate::source::Instead;
use crate::surroundings::Surroundings;

/// The configuration has errors.
const BAD_CONFIG: u8 = 2;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The configuration cannot be used.
    #[error("{}", .0.render(paint()))]
    Config(Report),
    /// Anything else, with the next step behind `help:`.
    #[error("aldabad: {0}")]
    Other(String),
}

impl Failed {
    /// What is wrong, and the next step.
    pub fn new(what: impl std::fmt::Display, help: impl std::fmt::Display) -> Self {
        Self::Other(format!("{what}\n  help: {help}"))
    }

    /// A file that cannot be written. What stood there stands there still.
    pub fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let help = match error.kind() {
                ErrorKind::PermissionDenied => "run this as root (sudo); nothing was changed",
                ErrorKind::StorageFull => "make room on its disk, then run this again; nothing was changed",
                ErrorKind::NotFound => "name a folder that is there; nothing was changed",
                _ => "nothing was changed: mend that, then run this again",
            };
            Self::new(format!("cannot write {}: {error}", path.display()), help)
        }
    }

    /// A file that cannot be read.
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let help = match error.kind() {
                ErrorKind::PermissionDenied => "run this as root (sudo)",
                _ => "nothing was changed: mend that, then run this again",
            };
            Self::new(format!("cannot read {}: {error}", path.display()), help)
        }
    }

    /// Something the kernel has always granted so far.
    pub fn kernel(what: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            Self::new(format!("{what}: {error}"), "run this again; if it stays, look at the kernel's log")
        }
    }

    /// Says it, and gives the exit code.
    #[must_use]
    pub fn told(&self) -> ExitCode {
        aside(&self.to_string());
        match self {
            Self::Config(_) => ExitCode::from(BAD_CONFIG),
            Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

/// Colours where somebody looks.
#[must_use]
pub fn paint() -> Paint {
    if io::stderr().is_terminal() { Paint::Colour } else { Paint::Plain }
}

/// A server and its policy.
#[derive(Debug)]
pub struct Site {
    config: PathBuf,
    own_uid: u32,
    socket: PathBuf,
    /// All that its configuration says.
    pub policy: Policy,
    /// Its part on datagrams.
    pub spa: Spa,
    /// What is doubtful in it.
    pub warnings: Vec<Diagnostic>,
}

impl Site {
    /// Reads the configuration. One without `[spa]` has no devices.
    pub fn open(server: &AskArgs, surroundings: &Surroundings) -> Result<Self, Failed> {
        let config = std::path::absolute(&server.config).map_err(Failed::kernel("the current folder"))?;
        if !config.exists() {
            let what = format!("there is no {}", config.display());
            return Err(Failed::new(
                what,
                "run aldabad init, which makes it; or name another one: --config FILE",
            ));
        }
        Self::load(config, surroundings.uid, server.socket(surroundings), &mut Disk)
    }

    /// A server without a daemon that could be asked.
    pub(crate) fn without_daemon(config: &Path, own_uid: u32) -> Result<Self, Failed> {
        Self::load(config.to_owned(), own_uid, PathBuf::new(), &mut Disk)
    }

    /// What the server would be if this file held these bytes. Nothing is written.
    pub fn with(&self, file: &Path, bytes: &[u8]) -> Result<Self, Failed> {
        let mut files = Instead { path: file, bytes, own_uid: self.own_uid };
        Self::load(self.config.clone(), self.own_uid, self.socket.clone(), &mut files)
    }

    fn load(config: PathBuf, own_uid: u32, socket: PathBuf, files: &mut dyn Files) -> Result<Self, Failed> {
        let options = Options { own_uid, ..Options::default() };
        let loaded =
            aldaba_config::load(Kind::of(&config), &config, files, &options).map_err(Failed::Config)?;
        let policy = loaded.policy;
        let Some(spa) = policy.spa.clone() else {
            let what = format!("{} has no [spa]: no door is opened by keys", config.display());
            return Err(Failed::new(what, "run aldabad init, which makes the keys and writes the section"));
        };
        Ok(Self { config, own_uid, socket, policy, spa, warnings: loaded.warnings })
    }

    /// The configuration's file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The registry of devices.
    #[must_use]
    pub fn registry(&self) -> &Path {
        &self.spa.files.registry
    }

    /// Where its daemon answers.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How this program is called again with the same configuration.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        command(&self.config, words)
    }

    /// What was found at a line of a file.
    pub fn found_at<'a>(&'a self, file: &Path, line: usize) -> impl Iterator<Item = &'a Diagnostic> {
        let name = file.display().to_string();
        self.warnings.iter().filter(move |found| {
            found.place.source.name() == name && found.place.line_column().is_some_and(|(at, _)| at == line)
        })
    }
}

/// How this program is called with a configuration.
#[must_use]
pub fn command(config: &Path, words: &str) -> String {
    if config == Path::new(crate::cli::DEFAULT_CONFIG) {
        format!("aldabad {words}")
    } else {
        format!("aldabad {words} --config {}", config.display())
    }
}
