//! Files that only their user may read: made private, replaced whole or not at all, refused when others can read them.
//! spec/keys.md, section 2.
//!
//! Whether others can read a file is asked on Unix only: elsewhere a user's folder keeps them out.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// More than any file of keys or bundles has.
const LIMIT: usize = 64 * 1024;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateFileError {
    #[error("{} is there already, and a key is never written over", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, io::Error),
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    #[error("{} is open to others (mode {:04o}): whoever has read it can open your doors", .0.display(), .1)]
    Open(PathBuf, u32),
    #[error("{} is too long for what belongs there", .0.display())]
    TooLong(PathBuf),
}

impl PrivateFileError {
    /// Whether there is no such file.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Read(_, error) if error.kind() == ErrorKind::NotFound)
    }

    /// What to do about it, whatever the file is for.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Exists(_) => "name another file".to_owned(),
            Self::Write(..) => "is the folder yours, and is there room on its disk?".to_owned(),
            Self::Read(..) => "is that its path, and may you read it?".to_owned(),
            Self::Open(path, _) => format!("chmod 600 {}", path.display()),
            Self::TooLong(_) => "name the file that aldaba has made, or a copy of it".to_owned(),
        }
    }
}

/// Makes the folder of a file, for this user only, where there is none.
pub(crate) fn make_folder(path: &Path) -> Result<(), PrivateFileError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| PrivateFileError::Write(folder.to_owned(), error))
}

/// To open a file that is made private where there is none.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a new file that only this user can read.
pub(crate) fn create(path: &Path, content: &str) -> Result<(), PrivateFileError> {
    let mut file = private().create_new(true).open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => PrivateFileError::Exists(path.to_owned()),
        _ => PrivateFileError::Write(path.to_owned(), error),
    })?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is none, and would be in the way of the next one.
        let _ = fs::remove_file(path);
        PrivateFileError::Write(path.to_owned(), error)
    })
}

/// Writes a file in the place of the one there is: whoever reads finds the old or the new one, whole, whatever happens.
/// Who calls keeps others from doing it at the same time.
pub(crate) fn replace(path: &Path, content: &str) -> Result<(), PrivateFileError> {
    let new = path.with_file_name(".new");
    // Left behind by one that was stopped in the middle.
    let _ = fs::remove_file(&new);
    create(&new, content)?;
    fs::rename(&new, path).and_then(|()| sync_folder(path)).map_err(|error| {
        let _ = fs::remove_file(&new);
        PrivateFileError::Write(path.to_owned(), error)
    })
}

/// Makes a new name durable, where folders can be opened.
fn sync_folder(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// What a file holds that only its owner can read.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let failed = |error| PrivateFileError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    // Of what was opened: a name may lead elsewhere a moment later.
    if let Some(mode) = open_mode(&file.metadata().map_err(failed)?) {
        return Err(PrivateFileError::Open(path.to_owned(), mode));
    }
    contents(file, path)
}

/// All that `from`, called `name`, holds.
pub(crate) fn contents(from: impl Read, name: &Path) -> Result<Zeroizing<String>, PrivateFileError> {
    let failed = |error| PrivateFileError::Read(name.to_owned(), error);
    // All the room at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LIMIT + 1));
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    from.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if text.len() > LIMIT { Err(PrivateFileError::TooLong(name.to_owned())) } else { Ok(text) }
}

/// The mode of a file that others than its owner can read or write.
#[cfg(unix)]
pub(crate) fn open_mode(of: &Metadata) -> Option<u32> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&of.permissions()) & 0o7777;
    (of.is_file() && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(crate) fn open_mode(_: &Metadata) -> Option<u32> {
    None
}
