//! The files a configuration is made of, behind a trait so that the worker can read the monitor's bytes.
//!
//! [`Disk`] reads the real ones. Facts are taken from the opened descriptor, never from a name, so a file exchanged
//! between check and reading cannot borrow another one's mode.

use std::ffi::OsString;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The largest file that is read: a registry of 100,000 devices has 7 to 20 MB.
pub const LARGEST_FILE: u64 = 32 << 20;

/// Opening a FIFO or a device must not wait for somebody at its other end (`O_NONBLOCK` of every Linux but the
/// ones on MIPS, PA-RISC, Alpha and SPARC, where this bit is harmless for reading).
const DO_NOT_WAIT: i32 = 0o4000;

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

    /// The names in a folder, in any order.
    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>>;

    /// What the system says of a file that is not read: a program that is to be started.
    fn facts(&mut self, path: &Path) -> io::Result<FileFacts>;
}

/// The real files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let file = OpenOptions::new().read(true).custom_flags(DO_NOT_WAIT).open(path)?;
        let metadata = file.metadata()?;
        let facts = FileFacts::of(&metadata);
        if !facts.is_regular {
            // Said by the caller, who knows what the file was wanted for.
            return Ok(FileBytes { bytes: Vec::new(), facts });
        }
        // All the room at once: growing would leave a copy behind, and it may be a key.
        let room = metadata.len().min(LARGEST_FILE).saturating_add(1);
        let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
        file.take(LARGEST_FILE.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > LARGEST_FILE) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file is larger than 32 MiB"));
        }
        Ok(FileBytes { bytes, facts })
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        Ok(FileFacts::of(&std::fs::metadata(path)?))
    }
}
