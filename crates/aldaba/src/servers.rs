//! The servers this device is enrolled with: a private file for each. spec/keys.md, section 4.4.

mod name;
mod stored;

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use aldaba_spa::{Bundle, Host, NotReplaced, OpenedBundle, PublicKey};

use crate::private_file::{self, PrivateFileError};
pub(crate) use name::Name;
pub(crate) use stored::StoredError;

/// A server, and the device that may knock there.
pub(crate) struct Server {
    /// What the user calls it.
    pub(crate) name: Name,
    /// Whose pre-shared key the bundle has.
    pub(crate) device: PublicKey,
    /// What there is to know of it.
    pub(crate) bundle: Bundle,
}

/// A server as somebody typed it.
pub(crate) struct Found {
    /// The server.
    pub(crate) server: Server,
    /// The one of its hosts that was typed; `None`: the server's name, which means all of them.
    pub(crate) host: Option<Host>,
}

/// Why there is no such server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServersError {
    #[error("no server {0} is enrolled here")]
    Unknown(String),
    #[error("{0} is a host of several servers: {1}")]
    Ambiguous(String, String),
    #[error(transparent)]
    File(#[from] PrivateFileError),
    #[error("{}: {}", .0.display(), .1)]
    Stored(PathBuf, StoredError),
    #[error("{0}: {1}")]
    NotReplaced(Name, NotReplaced, PathBuf),
    #[error("another command has changed the servers meanwhile")]
    Changed,
    #[error("cannot read {}: {}", .0.display(), .1)]
    Folder(PathBuf, io::Error),
}

impl ServersError {
    /// What to do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Unknown(_) => "which ones are: aldaba servers; to add it: aldaba enrol BUNDLE".to_owned(),
            Self::Ambiguous(..) => "say its name".to_owned(),
            Self::File(PrivateFileError::Open(path, _)) => format!(
                "chmod 600 {}; if anybody else uses this computer, ask the administrator for new keys",
                path.display()
            ),
            Self::File(error) => error.help(),
            Self::Stored(path, _) => format!("remove {} and enrol the bundle again", path.display()),
            Self::NotReplaced(_, NotReplaced::OtherServer, path) => format!(
                "another server gets another name: aldaba enrol --name NAME; \
                 if the administrator says that this one's key is new: remove {} and enrol again",
                path.display()
            ),
            Self::NotReplaced(_, NotReplaced::NotNewer, _) => {
                "ask the administrator for a new bundle if this one should count".to_owned()
            }
            Self::Changed => "say it once more".to_owned(),
            Self::Folder(..) => "is the folder yours?".to_owned(),
        }
    }
}

/// Where a bundle belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Under which name.
    pub(crate) name: Name,
    /// Beside what stands there.
    pub(crate) standing: Standing,
}

/// What a bundle is to the one that stands in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// None stands there.
    New,
    /// It is newer, and comes from a key that stands there.
    Newer,
    /// It is that one.
    Same,
}

/// The folder of all of them.
pub(crate) struct Servers {
    folder: PathBuf,
}

impl Servers {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of a server.
    pub(crate) fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(name.as_str())
    }

    /// The names of all, in their order. Files with other names are not ours.
    pub(crate) fn names(&self) -> Result<Vec<Name>, ServersError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ServersError::Folder(self.folder.clone(), error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<Name> = names.filter_map(|name| Name::of_file(&name)).collect();
        names.sort();
        Ok(names)
    }

    /// A server by its name.
    pub(crate) fn read(&self, name: &Name) -> Result<Server, ServersError> {
        let path = self.path(name);
        let text = private_file::read(&path)?;
        let (device, bundle) = stored::read(&text).map_err(|error| ServersError::Stored(path, error))?;
        Ok(Server { name: name.clone(), device, bundle })
    }

    /// A server as it was typed: its name, or one of its hosts.
    pub(crate) fn find(&self, typed: &str) -> Result<Found, ServersError> {
        if let Ok(name) = typed.parse::<Name>() {
            match self.read(&name) {
                Err(ServersError::File(error)) if error.is_not_found() => {}
                read => return read.map(|server| Found { server, host: None }),
            }
        }
        let unknown = || ServersError::Unknown(typed.to_owned());
        let host: Host = typed.parse().map_err(|_| unknown())?;
        self.with_host(&host)?.ok_or_else(unknown)
    }

    fn with_host(&self, host: &Host) -> Result<Option<Found>, ServersError> {
        let (mut found, mut unreadable) = (Vec::new(), None);
        for name in self.names()? {
            match self.read(&name) {
                Ok(server) if server.bundle.hosts.contains(host) => found.push(server),
                Ok(_) => {}
                Err(error) => unreadable = Some(error),
            }
        }
        if found.len() > 1 {
            let names: Vec<&str> = found.iter().map(|server| server.name.as_str()).collect();
            return Err(ServersError::Ambiguous(host.to_string(), names.join(", ")));
        }
        match (found.pop(), unreadable) {
            (Some(server), _) => Ok(Some(Found { server, host: Some(host.clone()) })),
            // It may be that one.
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Where a bundle belongs, and whether it may stand there.
    pub(crate) fn place(
        &self,
        name: Option<&Name>,
        device: &PublicKey,
        opened: &OpenedBundle,
    ) -> Result<Place, ServersError> {
        let name = match name {
            Some(name) => name.clone(),
            None => self.same_server(opened)?.unwrap_or_else(|| Name::of_bundle(&opened.bundle)),
        };
        let old = match self.read(&name) {
            Err(ServersError::File(error)) if error.is_not_found() => {
                return Ok(Place { name, standing: Standing::New });
            }
            read => read?,
        };
        let is_same = old.bundle.encode().ok() == opened.bundle.encode().ok();
        if is_same && old.device == *device {
            return Ok(Place { name, standing: Standing::Same });
        }
        match opened.may_replace(&old.bundle) {
            Ok(()) => Ok(Place { name, standing: Standing::Newer }),
            Err(why) => {
                let path = self.path(&name);
                Err(ServersError::NotReplaced(name, why, path))
            }
        }
    }

    /// The server that a bundle is a later one of, whatever the user calls it: it has a lock in common, and the sender's key.
    fn same_server(&self, opened: &OpenedBundle) -> Result<Option<Name>, ServersError> {
        for name in self.names()? {
            let Ok(Server { bundle, .. }) = self.read(&name) else { continue };
            let has_sender = bundle.locks.iter().any(|lock| lock.server == opened.sender);
            let in_common = bundle.locks.iter().any(|ours| {
                opened
                    .bundle
                    .locks
                    .iter()
                    .any(|lock| lock.server == ours.server && lock.audience == ours.audience)
            });
            if has_sender && in_common {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Stores a bundle in the place found for it before.
    pub(crate) fn store(
        &self,
        place: &Place,
        device: &PublicKey,
        opened: &OpenedBundle,
    ) -> Result<(), ServersError> {
        let path = self.path(&place.name);
        private_file::make_folder(&path)?;
        let _lock = self.lock()?;
        // Asked again: now nobody else writes.
        if self.place(Some(&place.name), device, opened)? != *place {
            return Err(ServersError::Changed);
        }
        if place.standing != Standing::Same {
            let text = stored::write(device, &opened.bundle)
                .map_err(|error| ServersError::Stored(path.clone(), error.into()))?;
            private_file::replace(&path, &text)?;
        }
        Ok(())
    }

    /// Keeps others from storing until it is dropped.
    fn lock(&self) -> Result<File, ServersError> {
        let path = self.folder.join(".lock");
        let failed = |error| PrivateFileError::Write(path.clone(), error);
        let file = private_file::private().create(true).truncate(false).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }
}
