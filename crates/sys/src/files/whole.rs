//! Files that are written whole or not at all: whoever looks sees the old bytes or the new ones, and what is there after
//! a crash is one of the two.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::{open, private_dir, regular};
use crate::{clock, random};

/// How long a lock is waited for: its holder asks nobody anything while it has it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// Makes a file of this mode with these bytes. One that is there is left as it is: `AlreadyExists`.
pub fn create_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = Draft::write(path, bytes)?;
    rustix::fs::fchmod(&draft.file, Mode::from_raw_mode(mode))?;
    draft.file.sync_all()?;
    // A link, unlike a change of name, never takes the place of a file.
    std::fs::hard_link(&draft.path, path)?;
    drop(draft);
    sync_folder(path)
}

/// Puts these bytes into the place of a file's, which keeps its owner and its mode. A link is refused.
pub fn replace_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0)?;
    let stat = regular(&old)?;
    let draft = Draft::write(path, bytes)?;
    take_after(&draft.file, &stat)?;
    draft.file.sync_all()?;
    std::fs::rename(&draft.path, path)?;
    sync_folder(path)
}

/// Makes a file of this user's alone in a private folder, or takes the place of what has its name, in one step and durably. What a
/// crash leaves of it is one draft at most, which the next call takes away.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    private_dir(folder)?;
    let draft = path.with_file_name(format!(".{name}.new"));
    remove(&draft)?;
    let draft = Draft::write_as(draft, bytes)?;
    draft.file.sync_all()?;
    std::fs::rename(&draft.path, path)?;
    sync_folder(path)
}

/// Gives a file another one's owner and mode.
fn take_after(file: &File, stat: &Stat) -> io::Result<()> {
    // The owner first: a change of owner takes bits of the mode away.
    rustix::fs::fchown(file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}

/// The next bytes of a file, durable beside it as `.NAME.trial` until they take its place or are dropped. What a crash
/// leaves of them is nothing but that file.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    draft: PathBuf,
}

impl Staged {
    /// Puts bytes beside the file they are for, with its owner and mode; one that is not there yet is this user's alone.
    pub fn write(target: &Path, bytes: &[u8]) -> io::Result<Self> {
        let staged = Self { target: target.to_owned(), draft: Self::draft_of(target)? };
        remove(&staged.draft)?;
        let draft = Draft::write_as(staged.draft.clone(), bytes)?;
        if let Some(old) = existing(target)? {
            take_after(&draft.file, &regular(&old)?)?;
        }
        draft.file.sync_all()?;
        draft.keep();
        sync_folder(target)?;
        Ok(staged)
    }

    /// Where the next bytes of a file stand while they wait.
    pub fn draft_of(target: &Path) -> io::Result<PathBuf> {
        let name = target.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
        Ok(target.with_file_name(format!(".{name}.trial")))
    }

    /// They take the file's place, in one step; what it was stays as `before`.
    pub fn put_in_place(self, before: &Path) -> io::Result<()> {
        if existing(&self.target)?.is_some() {
            remove(before)?;
            std::fs::hard_link(&self.target, before)?;
        }
        std::fs::rename(&self.draft, &self.target)?;
        sync_folder(&self.target)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already where they have become the file.
        std::fs::remove_file(&self.draft).ok();
    }
}

/// A file that may be missing; a link is refused.
fn existing(path: &Path) -> io::Result<Option<OwnedFd>> {
    match open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a file away that may be missing.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Keeps others who ask for the same lock out of a folder, until it is dropped.
pub fn lock_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let start = clock::boottime();
    loop {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(folder),
            Err(Errno::WOULDBLOCK) if clock::boottime().saturating_sub(start) < PATIENCE => {
                clock::rest(AGAIN);
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    ErrorKind::ResourceBusy,
                    "another command is changing files in it",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A file on its way to its name; what is left of it goes when it is dropped.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    /// Beside the file it is to become, for this user alone.
    fn write(beside: &Path, bytes: &[u8]) -> io::Result<Self> {
        let name = beside.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
        let number = u64::from_ne_bytes(random::bytes()?);
        Self::write_as(beside.with_file_name(format!(".{name}.{number:016x}")), bytes)
    }

    fn write_as(path: PathBuf, bytes: &[u8]) -> io::Result<Self> {
        let file = open(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o600)?.into();
        let mut draft = Self { path, file };
        draft.file.write_all(bytes)?;
        Ok(draft)
    }

    /// It stays when this is dropped.
    fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone already where it has become the file.
        std::fs::remove_file(&self.path).ok();
    }
}

fn sync_folder(of: &Path) -> io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(rustix::fs::fsync(open(folder, OFlags::RDONLY | OFlags::DIRECTORY, 0)?)?)
}
