//! The files a configuration is made of, behind a trait so that the worker can read the monitor's bytes.
//!
//! [`Disk`] reads the real ones. Facts are taken from the opened descriptor, never from a name, so a file exchanged
//! between check and reading cannot borrow another one's mode.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The largest file that is read: a registry of 100,000 devices has 7 to 20 MB.
pub const LARGEST_FILE: u64 = 32 << 20;

/// A file's bytes and what the system says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBytes {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// What the system says of it.
    pub facts: FileFacts,
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Whether it is a regular file.
    pub is_regular: bool,
}

impl FileFacts {
    fn of(metadata: &Metadata) -> Self {
        Self { mode: metadata.mode() & 0o7777, uid: metadata.uid(), is_regular: metadata.is_file() }
    }
}

/// Where the reader gets its files from.
pub trait Files {
    /// The bytes and facts of one file.
    fn read(&mut self, path: &Path) -> io::Result<FileBytes>;

    /// The same of a file with a secret, whose name may not be a link: [`IsLink`]. Who passes questions on passes this one on
    /// too; where there are no links there is nothing to refuse.
    fn read_secret(&mut self, path: &Path) -> io::Result<FileBytes> {
        self.read(path)
    }

    /// The names in a folder, in any order.
    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>>;

    /// What the system says of a file that is not read: a program that is to be started.
    fn facts(&mut self, path: &Path) -> io::Result<FileFacts>;
}

/// Why a secret is not read: its name is a link, and whoever can change that would choose the key.
#[derive(Debug, thiserror::Error)]
#[error("it is a link to {}", .0.display())]
pub struct IsLink(pub PathBuf);

/// The real files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        Opened::of(path, OFlags::empty())?.bytes()
    }

    fn read_secret(&mut self, path: &Path) -> io::Result<FileBytes> {
        match Opened::of(path, OFlags::NOFOLLOW) {
            Ok(opened) => opened.bytes(),
            Err(error) => Err(link_at(path, &error).unwrap_or(error)),
        }
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        Ok(FileFacts::of(&std::fs::metadata(path)?))
    }
}

/// What to say of a link that was not followed; `None`: the error has another reason.
fn link_at(path: &Path, error: &io::Error) -> Option<io::Error> {
    if error.raw_os_error() != Some(Errno::LOOP.raw_os_error()) {
        return None;
    }
    let to = std::fs::read_link(path).ok()?;
    let whole = path.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
    Some(io::Error::new(ErrorKind::InvalidInput, IsLink(whole)))
}

/// A file that has been opened and judged, and is read next: whatever its name leads to by then.
struct Opened {
    file: File,
    facts: FileFacts,
    len: u64,
}

impl Opened {
    fn of(path: &Path, flags: OFlags) -> io::Result<Self> {
        // Opening a FIFO or a device must not wait for somebody at its other end.
        let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        Ok(Self { file, facts: FileFacts::of(&metadata), len: metadata.len() })
    }

    fn bytes(self) -> io::Result<FileBytes> {
        let Self { file, facts, len } = self;
        if !facts.is_regular {
            // Said by the caller, who knows what the file was wanted for.
            return Ok(FileBytes { bytes: Vec::new(), facts });
        }
        // All the room at once: growing would leave a copy behind, and it may be a key.
        let room = len.min(LARGEST_FILE).saturating_add(1);
        let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
        file.take(LARGEST_FILE.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > LARGEST_FILE) {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "file is larger than 32 MiB"));
        }
        Ok(FileBytes { bytes, facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r17_what_was_judged_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("key"), dir.path().join("other"));
        std::fs::write(&path, "tight").unwrap();
        std::fs::write(&other, "loose").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let opened = Opened::of(&path, OFlags::NOFOLLOW).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let file = opened.bytes().unwrap();
        assert_eq!((file.bytes.as_slice(), file.facts.mode), (b"tight".as_slice(), 0o600));
        let file = Disk.read_secret(&path).unwrap();
        assert_eq!((file.bytes.as_slice(), file.facts.mode), (b"loose".as_slice(), 0o644));
    }

    #[test]
    fn a_link_is_followed_unless_a_secret_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::fs::write(dir.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(Disk.read(&link).unwrap().bytes, b"x");
        let error = Disk.read_secret(&link).unwrap_err();
        assert_eq!(error.to_string(), format!("it is a link to {}", dir.path().join("file").display()));
        // Only the last name counts: where the folder is, is the administrator's choice.
        let folder = dir.path().join("folder");
        std::os::unix::fs::symlink(dir.path(), &folder).unwrap();
        assert_eq!(Disk.read_secret(&folder.join("file")).unwrap().bytes, b"x");
    }
}
