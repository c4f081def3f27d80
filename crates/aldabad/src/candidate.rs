//! A new text for one file of the configuration: which file it is for, and how it gets there.
//!
//! While it is on trial, the disk holds what was in force before: a daemon that is killed meanwhile starts with that. Its own
//! bytes wait beside the file as `.NAME.trial` and take its place in one step once they are confirmed; what stood there stays
//! as `NAME.before`. An edit made in place is moved out of the way as `NAME.new` for that time.

use std::io;
use std::path::{Path, PathBuf};

use aldaba_config::{Disk, Files as _, Kind};
use aldaba_sys::files::{self, Staged};
use zeroize::Zeroizing;

use crate::source::{Instead, Source, Texts};

/// A new text for one file.
#[derive(Debug)]
pub struct Candidate {
    /// The file it is for.
    target: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
    /// Where it stands now.
    file: PathBuf,
    stands: Stands,
}

/// Where a new text was written.
#[derive(Debug)]
enum Stands {
    /// In a file of its own.
    Beside,
    /// In the place it is for; what is in force there, if anything.
    InPlace(Option<Zeroizing<Vec<u8>>>),
}

/// A new text that waits to take its place.
#[derive(Debug)]
pub struct Waiting {
    target: PathBuf,
    staged: Staged,
    /// Where an edit made in place was put.
    aside: Option<PathBuf>,
}

fn wrong(what: impl std::fmt::Display, help: impl std::fmt::Display) -> String {
    format!("{what}\n  help: {help}")
}

/// With another ending behind its name.
fn named(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Candidate {
    /// The file an administrator names, or the one that was changed where it stands. `in_force`: what the others must still
    /// be, or a daemon that starts anew in the trial would find something else. `stands_in`: those are texts with errors, in whose
    /// place the policy in force stands, and would stand again.
    pub fn find(
        source: &Source,
        in_force: &Texts,
        stands_in: bool,
        file: Option<&Path>,
    ) -> Result<Self, String> {
        let changed = changed(source, in_force);
        match file {
            Some(file) if !is_of(source, file) => {
                if let Some(path) = changed.first() {
                    let help = "run aldabad reload to take it without a trial, or put it back: one file can be on trial";
                    return Err(wrong(
                        format!("{} has changed since it came into force", path.display()),
                        help,
                    ));
                }
                Self::beside(source, file)
            }
            _ if stands_in && changed.is_empty() => {
                let help = "aldabad reload takes it, or says what is wrong; then change it and try again";
                Err(wrong(
                    "the configuration on the disk is as it was at the start, when it had errors",
                    help,
                ))
            }
            named => Self::in_place(&changed, in_force, named),
        }
    }

    /// The file an administrator names, whatever else has changed: without a trial.
    pub fn at_once(source: &Source, file: &Path) -> Result<Self, String> {
        if is_of(source, file) {
            let help = "run aldabad reload: that reads it where it stands";
            return Err(wrong(format!("{} is the configuration itself", file.display()), help));
        }
        Self::beside(source, file)
    }

    fn beside(source: &Source, file: &Path) -> Result<Self, String> {
        let target = target_of(source, file)?;
        let read = Disk.read(file).and_then(|read| {
            if read.facts.is_regular { Ok(read.bytes) } else { Err(io::ErrorKind::InvalidInput.into()) }
        });
        let help = "the daemon reads it itself: put it beside the configuration";
        let bytes =
            read.map_err(|error| wrong(format!("{} cannot be read: {error}", file.display()), help))?;
        Ok(Self { target, bytes: Zeroizing::new(bytes), file: file.to_owned(), stands: Stands::Beside })
    }

    fn in_place(changed: &[PathBuf], in_force: &Texts, named: Option<&Path>) -> Result<Self, String> {
        let path = match changed {
            [path] if named.is_none_or(|named| named == path) => path,
            [] => {
                let help = "change it, or name the new one: cp aldaba.toml aldaba.toml.new, then edit that";
                return Err(wrong(
                    "the configuration on the disk is what is in force: there is nothing to try",
                    help,
                ));
            }
            several => {
                let list: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
                let help = "one file can be on trial: put the others back, or move them to NAME.new";
                return Err(wrong(format!("changed since it came into force: {}", list.join(", ")), help));
            }
        };
        let bytes = Disk.read(path).map_err(|error| {
            let help = "a file that goes cannot be on trial: empty it instead";
            wrong(format!("{} cannot be read: {error}", path.display()), help)
        })?;
        let old = in_force.iter().find(|(known, _)| known == path).map(|(_, bytes)| bytes.clone());
        let bytes = Zeroizing::new(bytes.bytes);
        Ok(Self { target: path.clone(), bytes, file: path.clone(), stands: Stands::InPlace(old) })
    }

    /// Whether the next start would find it as it is.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        matches!(self.stands, Stands::InPlace(_))
    }

    /// The configuration as it would be.
    #[must_use]
    pub fn files(&self, own_uid: u32) -> Instead<'_> {
        Instead { path: &self.target, bytes: &self.bytes, own_uid }
    }

    /// A report that names the file it is about.
    #[must_use]
    pub fn reported(&self, report: &str) -> String {
        report.replace(&format!("{}:", self.target.display()), &format!("{}:", self.file.display()))
    }

    /// Puts its bytes on the disk where they wait. When this returns, the disk holds what was in force before.
    pub fn stage(self) -> Result<Waiting, String> {
        let help = "the daemon puts the file in place once it is confirmed: it must be able to write into that folder \
                    (ReadWritePaths= of its systemd unit)";
        let failed = |path: &Path, error: &io::Error| wrong(format!("{}: {error}", path.display()), help);
        // Behind a link stands the file that is to change.
        let target = std::fs::canonicalize(&self.target).unwrap_or_else(|_| self.target.clone());
        let staged = Staged::write(&target, &self.bytes).map_err(|error| failed(&target, &error))?;
        let aside = match &self.stands {
            Stands::Beside => None,
            Stands::InPlace(old) => {
                let aside = named(&target, ".new");
                let old = old.as_ref().map(|old| old.as_slice());
                put_aside(&target, &aside, &self.bytes, old).map_err(|error| failed(&aside, &error))?;
                Some(aside)
            }
        };
        Ok(Waiting { target, staged, aside })
    }
}

impl Waiting {
    /// The file it is for.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// It takes its place; what the file was before, and what went wrong.
    pub fn keep(self) -> (PathBuf, io::Result<()>) {
        let before = named(&self.target, ".before");
        let kept = self.staged.put_in_place(&before);
        if let Some(aside) = self.aside.filter(|_| kept.is_ok()) {
            // It says nothing that the file does not say now.
            std::fs::remove_file(aside).ok();
        }
        (before, kept)
    }

    /// It does not; where an edit made in place is kept.
    #[must_use]
    pub fn drop_it(self) -> Option<PathBuf> {
        self.aside
    }
}

/// Moves an edit to another name and puts back what was there.
fn put_aside(target: &Path, aside: &Path, bytes: &[u8], old: Option<&[u8]>) -> io::Result<()> {
    match files::create_whole(aside, bytes, 0o600) {
        // Of an earlier trial of the same text.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && Disk.read(aside)?.bytes == bytes => {}
        made => made?,
    }
    match old {
        Some(old) => files::replace_whole(target, old),
        None => std::fs::remove_file(target),
    }
}

/// Whether a daemon reads this file as a part of its configuration.
fn is_of(source: &Source, file: &Path) -> bool {
    file == source.path()
        || (source.kind() == Kind::Toml && aldaba_config::is_drop_in_of(source.path(), file))
}

/// The file a new text is for: the main one, or in conf.d the one it has its name from.
fn target_of(source: &Source, file: &Path) -> Result<PathBuf, String> {
    if source.kind() == Kind::Knockd || file.parent() != Some(&aldaba_config::drop_ins(source.path())) {
        return Ok(source.path().to_owned());
    }
    let target = file.extension().filter(|ending| *ending == "new").map(|_| file.with_extension(""));
    target.filter(|target| is_of(source, target)).ok_or_else(|| {
        wrong(
            format!("{} is for no file of the configuration", file.display()),
            "in conf.d, NAME.toml.new is the new text of NAME.toml",
        )
    })
}

/// The files of the configuration that are not on the disk as they are in force.
fn changed(source: &Source, in_force: &Texts) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = in_force.iter().map(|(path, _)| path.clone()).collect();
    if source.kind() == Kind::Toml {
        let folder = aldaba_config::drop_ins(source.path());
        let names = Disk.list_dir(&folder).unwrap_or_default();
        let on_disk = names.iter().map(|name| folder.join(name)).filter(|path| is_of(source, path));
        paths.extend(on_disk);
    }
    paths.sort();
    paths.dedup();
    let known =
        |path: &Path| in_force.iter().find(|(known, _)| known == path).map(|(_, bytes)| bytes.as_slice());
    let is_as_before = |path: &Path| match (Disk.read(path), known(path)) {
        (Ok(file), Some(known)) => Zeroizing::new(file.bytes).as_slice() == known,
        (read, known) => read.is_err() && known.is_none(),
    };
    paths.retain(|path| !is_as_before(path));
    paths
}

/// What trials that nobody ended have left beside a configuration; they are taken away, and named.
#[must_use]
pub fn clear_leftovers(source: &Source) -> Vec<PathBuf> {
    let main = source.path().to_owned();
    let folder = aldaba_config::drop_ins(&main);
    let names = Disk.list_dir(&folder).unwrap_or_default();
    let drafts = names.iter().filter_map(|name| {
        let name = name.to_str()?.strip_prefix('.')?.strip_suffix(".trial")?;
        Some(folder.join(name))
    });
    let targets = std::iter::once(std::fs::canonicalize(&main).unwrap_or(main)).chain(drafts);
    let left = targets.filter(|target| {
        let draft = Staged::draft_of(target);
        draft.is_ok_and(|draft| draft.exists() && std::fs::remove_file(draft).is_ok())
    });
    left.collect()
}
