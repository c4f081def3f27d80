//! A socket in the file system, for programs on the same machine (spec/control.md).
//!
//! Who may ask is decided twice: by the file's mode, which is right from its first moment, and by what the kernel says of
//! whoever has connected. A socket that a dead process has left is replaced, one that lives is never taken: a lock beside
//! it decides, and for foreign programs a connection attempt.

use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::files::{self, LockError, LockFile};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody has it.
    #[error("another daemon uses it{}", holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// The process, if it is one of ours.
        holder: Option<u32>,
    },
    /// Something else has this name.
    #[error("there is something that is no socket")]
    NoSocket,
    /// The kernel or the folder.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<LockError> for BindError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { holder } => Self::Held { holder },
            LockError::File(error) => Self::Io(error),
        }
    }
}

/// A socket that listens; its name goes with it.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the name, so that nobody else's is removed.
    identity: Option<(u64, u64)>,
    _lock: LockFile,
}

/// Somebody who has connected. Neither reading nor writing waits.
#[derive(Debug)]
pub struct LocalPeer {
    /// The connection.
    pub stream: UnixStream,
    /// The user who connected, as the kernel says.
    pub uid: u32,
}

impl LocalListener {
    /// Listens at this path, mode 0600. The folder is made, private, where there is none; one that others can change is
    /// refused.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let path = std::path::absolute(path)?;
        files::own_dir(path.parent().unwrap_or(Path::new("/")))?;
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        let lock = LockFile::acquire(Path::new(&lock))?;
        make_room(&path)?;
        let socket = stream_socket()?;
        // The name takes its mode from the socket: no moment in which others could connect.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
        bind(&socket, &address(&path)?).map_err(io::Error::from)?;
        let identity = std::fs::symlink_metadata(&path).ok().as_ref().map(identity_of);
        let bound = Self { listener: socket.into(), path, identity, _lock: lock };
        listen(&bound.listener, BACKLOG).map_err(io::Error::from)?;
        Ok(bound)
    }

    /// The next one who has connected, if there is one.
    pub fn accept(&self) -> io::Result<Option<LocalPeer>> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        Ok(Some(LocalPeer { stream, uid: peer.uid.as_raw() }))
    }
}

impl AsFd for LocalListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.path).ok().as_ref().map(identity_of);
        if self.identity.is_some() && found == self.identity {
            // What cannot be removed is stale, and the next daemon replaces it.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

fn identity_of(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Takes away what a dead process has left; nothing else.
fn make_room(path: &Path) -> Result<(), BindError> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NoSocket);
    }
    match connect(&stream_socket()?, &address(path)?) {
        Err(Errno::CONNREFUSED) => Ok(std::fs::remove_file(path)?),
        Err(Errno::NOENT) => Ok(()),
        // It lives, or one cannot know.
        _ => Err(BindError::Held { holder: None }),
    }
}

fn address(path: &Path) -> io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(path).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket may have at most 107 bytes")
    })
}

fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_this_user_may_connect_and_the_name_goes_with_the_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let listener = LocalListener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(listener.accept().unwrap().is_none());
        let _client = UnixStream::connect(&path).unwrap();
        let peer = listener.accept().unwrap().unwrap();
        assert_eq!(peer.uid, crate::process::effective_uid());
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_one_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the name");
        let listener = LocalListener::bind(&path).unwrap();
        let held = LocalListener::bind(&path).unwrap_err();
        assert!(matches!(held, BindError::Held { holder: Some(pid) } if pid == std::process::id()), "{held}");
        drop(listener);
        // One of a program that knows nothing of our lock.
        let foreign = UnixListener::bind(&path).unwrap();
        assert!(matches!(LocalListener::bind(&path), Err(BindError::Held { holder: None })));
        drop(foreign);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(LocalListener::bind(&path), Err(BindError::NoSocket)));
    }

    #[test]
    fn a_listener_removes_no_name_but_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = LocalListener::bind(&path).unwrap();
        // The first inode must stay in use, or the second could get its number.
        std::fs::rename(&path, dir.path().join("aside")).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop(listener);
        assert!(path.exists());
    }

    #[test]
    fn a_folder_others_can_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = LocalListener::bind(&dir.path().join("control.sock")).unwrap_err().to_string();
        assert!(refused.contains("chmod go-w"), "{refused}");
    }
}
