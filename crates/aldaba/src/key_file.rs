//! Files of secret keys: one a line. spec/keys.md, section 2.

use std::io::Read;
use std::path::{Path, PathBuf};

use aldaba_spa::{KeyKind, PublicKey, SecretKey, TextError};

use crate::private_file::{self, PrivateFileError};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error(transparent)]
    File(#[from] PrivateFileError),
    #[error("{} holds no key", .0.display())]
    Empty(PathBuf),
    #[error("{}, line {}: {}", .0.display(), .1, .2)]
    Line(PathBuf, usize, TextError),
}

impl KeyFileError {
    /// What to do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::File(PrivateFileError::Open(path, _)) => format!(
                "chmod 600 {}; if anybody else uses this computer, take a new key: aldaba keygen -o OTHER-FILE",
                path.display()
            ),
            Self::File(error) if error.is_not_found() => "make a key: aldaba keygen".to_owned(),
            Self::File(error) => error.help(),
            Self::Empty(_) | Self::Line(..) => {
                "name the file that aldaba keygen has written; another key: aldaba keygen -o OTHER-FILE"
                    .to_owned()
            }
        }
    }
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

    /// The key, if it is that of a device.
    pub(crate) fn into_device(self) -> Option<SecretKey> {
        (self.public_kind == KeyKind::Device).then_some(self.key)
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
    secrets(&private_file::read(path)?, path)
}

/// The secret keys that `from`, called `name`, holds.
pub(crate) fn read(from: impl Read, name: &Path) -> Result<Vec<Secret>, KeyFileError> {
    secrets(&private_file::contents(from, name)?, name)
}

/// One a line, between empty lines and lines that begin with #.
fn secrets(text: &str, name: &Path) -> Result<Vec<Secret>, KeyFileError> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let secrets = lines
        .map(|(before, line)| {
            // A server's key may have its dates in front of it.
            let key = line.rsplit(|c: char| c.is_ascii_whitespace()).next().unwrap_or(line);
            Secret::from_text(key).map_err(|error| KeyFileError::Line(name.to_owned(), before + 1, error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if secrets.is_empty() { Err(KeyFileError::Empty(name.to_owned())) } else { Ok(secrets) }
}
