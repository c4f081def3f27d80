//! The policy that was last in force, written down for a start that finds errors in the configuration: an edit with a mistake that
//! nobody has loaded is to leave no port unguarded and nobody outside (docs/reliability.md, "A configuration with errors at the start").
//!
//! What is written down is the policy's own text (`aldabad check --explain`) behind a head of a few remarks. Keys, the registry of
//! devices and one-time sequences are named in it and read where they lie, as at any start: what was taken from there is gone here too.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use aldaba_config::{
    Disk, FileBytes, FileFacts, Files, Kind, LARGEST_FILE, Options, Policy, Report, explain,
};
use aldaba_sys::files;

use crate::log::printable;
use crate::site::paint;
use crate::state::checksum;

/// Its name in the state folder.
pub const NAME: &str = "in-force.toml";
/// How its first line begins; the number of this form follows.
const MARK: &str = "# aldaba in-force ";
const FORM: &str = "1";
const SUM: &str = "# sum ";
const OF: &str = "# of ";
const REMARK: &str = "# Written by the daemon whenever a policy comes into force: aldabad(8), FILES. Once changed, it is not taken.\n";

/// There is no policy that could stand in for a configuration with errors.
#[derive(Debug, thiserror::Error)]
#[error("{}, the policy that was last in force, {why}", path.display())]
pub struct NoStandIn {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("is not there")]
    Missing,
    /// Others could have changed it, or it cannot be read at all.
    #[error("is not taken: {0}")]
    Unreadable(io::Error),
    #[error("is damaged")]
    Damaged,
    #[error("is of another version of aldabad (form {0})")]
    Form(String),
    #[error("is of another configuration, {0}")]
    Other(String),
    /// So has what it names, as a key that is missing.
    #[error("has errors too:\n\n{}", .0.render(paint()).trim_end())]
    Errors(Report),
}

impl NoStandIn {
    /// It has errors itself.
    #[must_use]
    pub const fn errors(path: PathBuf, report: Report) -> Self {
        Self { path, why: Why::Errors(report) }
    }

    /// It, with the next step.
    #[must_use]
    pub fn told(&self) -> String {
        format!("aldabad: {self}\n  help: mend the configuration; aldabad check shows what is wrong")
    }
}

/// Writes down the policy in force of this configuration; what is there already is left alone.
pub fn write(folder: &Path, config: &Path, policy: &Policy) -> io::Result<()> {
    let (path, text) = (folder.join(NAME), text(config, policy));
    if files::read_private(&path, LARGEST_FILE).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    files::replace_private(&path, text.as_bytes())
}

fn text(config: &Path, policy: &Policy) -> String {
    let summed = format!("{OF}{}\n{REMARK}\n{}", name(config), explain(policy));
    format!("{MARK}{FORM}\n{SUM}{:016x}\n{summed}", checksum(&summed))
}

/// A name of a configuration, in one line whatever is in it.
fn name(config: &Path) -> String {
    printable(&config.display().to_string())
}

/// The policy that was last in force, as it was written down.
#[derive(Debug)]
pub struct LastInForce {
    path: PathBuf,
    text: String,
    own_uid: u32,
}

impl LastInForce {
    /// What a daemon with this configuration has written down, if it can be believed: as it was written, in a file and a folder
    /// that nobody else can use.
    pub fn find(folder: &Path, config: &Path, own_uid: u32) -> Result<Self, NoStandIn> {
        let path = folder.join(NAME);
        match read(&path, config) {
            Ok(text) => Ok(Self { path, text, own_uid }),
            Err(why) => Err(NoStandIn { path, why }),
        }
    }

    /// What it says, for who is no daemon.
    pub fn load(mut self, options: &Options) -> Result<Policy, NoStandIn> {
        let path = self.path.clone();
        match aldaba_config::load(Kind::Toml, &path, &mut self, options) {
            Ok(loaded) => Ok(loaded.policy),
            Err(report) => Err(NoStandIn::errors(path, report)),
        }
    }

    /// Where it is written down.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read(path: &Path, config: &Path) -> Result<String, Why> {
    let bytes = files::read_private(path, LARGEST_FILE).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Why::Missing,
        _ => Why::Unreadable(error),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Why::Damaged)?;
    let (form, rest) = text.strip_prefix(MARK).and_then(|rest| rest.split_once('\n')).ok_or(Why::Damaged)?;
    if form != FORM {
        return Err(Why::Form(printable(form)));
    }
    let of = whole(rest).and_then(|summed| summed.strip_prefix(OF)?.lines().next()).ok_or(Why::Damaged)?;
    if of != name(config) {
        return Err(Why::Other(of.to_owned()));
    }
    Ok(text)
}

/// What the sum in front of it is of, if it is. A file cut short at the wrong place would be a policy with fewer doors.
fn whole(rest: &str) -> Option<&str> {
    let (sum, summed) = rest.strip_prefix(SUM)?.split_once('\n')?;
    (sum == format!("{:016x}", checksum(summed))).then_some(summed)
}

/// It has no drop-ins; what it names is on the disk.
impl Files for LastInForce {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        if path != self.path {
            return Disk.read(path);
        }
        let facts = FileFacts { mode: 0o600, uid: self.own_uid, is_regular: true };
        Ok(FileBytes { bytes: self.text.clone().into_bytes(), facts })
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        if path == aldaba_config::drop_ins(&self.path) {
            return Ok(Vec::new());
        }
        Disk.list_dir(path)
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        Disk.facts(path)
    }
}

#[cfg(test)]
mod tests;
