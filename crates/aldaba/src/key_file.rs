//! Files of secret keys: made private, never written over, refused when others can read them. spec/keys.md, section 2.
//!
//! Whether others can read a file is asked on Unix only: elsewhere a user's folder keeps them out.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use aldaba_spa::{KeyKind, PublicKey, SecretKey, TextError};
use zeroize::Zeroizing;

/// More than any file of keys has.
const LIMIT: usize = 64 * 1024;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("{} is there already, and a key is never written over", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, io::Error),
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    #[error("{} is open to others (mode {:04o}): whoever has read it can open your doors", .0.display(), .1)]
    Open(PathBuf, u32),
    #[error("{} is no file of keys: it is too long", .0.display())]
    TooLong(PathBuf),
    #[error("{} holds no key", .0.display())]
    Empty(PathBuf),
    #[error("{}, line {}: {}", .0.display(), .1, .2)]
    Line(PathBuf, usize, TextError),
}

/// Makes the folder of a file, for this user only, where there is none.
pub(crate) fn make_folder(path: &Path) -> Result<(), KeyFileError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| KeyFileError::Write(folder.to_owned(), error))
}

/// Writes a new file that only this user can read.
pub(crate) fn create(path: &Path, content: &str) -> Result<(), KeyFileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => KeyFileError::Write(path.to_owned(), error),
    })?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is none, and would be in the way of the next one.
        let _ = std::fs::remove_file(path);
        KeyFileError::Write(path.to_owned(), error)
    })
}

/// A secret key, and whose.
pub(crate) struct Secret {
    key: SecretKey,
    public_kind: KeyKind,
}

impl Secret {
    /// The text of its public key.
    pub(crate) fn public_text(&self) -> String {
        PublicKey::to_text(self.key.public(), self.public_kind)
    }

    fn from_text(text: &str) -> Result<Self, TextError> {
        let (kind, public_kind) = match KeyKind::claimed_by(text) {
            Some(KeyKind::ServerSecret) => (KeyKind::ServerSecret, KeyKind::Server),
            _ => (KeyKind::DeviceSecret, KeyKind::Device),
        };
        Ok(Self { key: SecretKey::from_text(kind, text)?, public_kind })
    }
}

/// The secret keys of a file that only its owner can read; at least one.
pub(crate) fn open(path: &Path) -> Result<Vec<Secret>, KeyFileError> {
    let failed = |error| KeyFileError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    // Of what was opened: a name may lead elsewhere a moment later.
    if let Some(mode) = open_mode(&file.metadata().map_err(failed)?) {
        return Err(KeyFileError::Open(path.to_owned(), mode));
    }
    read(file, path)
}

/// The secret keys that `from`, called `name`, holds: one a line, between empty lines and lines that begin with #.
pub(crate) fn read(from: impl Read, name: &Path) -> Result<Vec<Secret>, KeyFileError> {
    let text = contents(from, name)?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let secrets = lines
        .map(|(before, line)| {
            Secret::from_text(line).map_err(|error| KeyFileError::Line(name.to_owned(), before + 1, error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if secrets.is_empty() { Err(KeyFileError::Empty(name.to_owned())) } else { Ok(secrets) }
}

fn contents(from: impl Read, name: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |error| KeyFileError::Read(name.to_owned(), error);
    // All the room at once: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LIMIT + 1));
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    from.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if text.len() > LIMIT { Err(KeyFileError::TooLong(name.to_owned())) } else { Ok(text) }
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
