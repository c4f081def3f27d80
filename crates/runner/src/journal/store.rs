//! The bytes under the journal: a file that is given its room in advance, so that a full disk does not keep the
//! administrator out (spec/leases.md, "Room").

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Room for some ten thousand leases of usual size.
pub(super) const ROOM: u64 = 4 << 20;

/// What the store needs of a file; tests put one in between that fails.
pub trait Store: Debug + Send + Sync {
    /// How many bytes there are.
    fn len(&self) -> io::Result<u64>;
    /// Whether there is none.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads all of `out`.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Cuts, or goes on with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes all that was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Writes all of `data`.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
}

/// A file with its blocks reserved.
#[derive(Debug)]
pub(super) struct Room {
    file: File,
}

impl Room {
    /// Reserves blocks without changing the length, which redb insists on. A file system that cannot reserve is left
    /// alone: then a full disk is met when writing, and the start command is not run.
    fn reserve(&self, len: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, len) {
            Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) if len > ROOM => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

impl Store for Room {
    fn len(&self) -> io::Result<u64> {
        // Not by name and not by its facts: a worker in its sandbox may ask for neither.
        (&self.file).seek(SeekFrom::End(0))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.reserve(len.max(ROOM))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// The same without waiting for the disk: what is written outlives the process, not the machine.
#[derive(Debug)]
pub(super) struct Unsynced(pub(super) Arc<dyn Store>);

impl Store for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// A copy of a file.
#[derive(Debug)]
pub(super) struct InMemory(Mutex<Vec<u8>>);

impl InMemory {
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self(Mutex::new(bytes))
    }

    /// What a thread has left half done is read like any damage.
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where `length` bytes from `offset` on stand.
fn range(offset: u64, length: usize) -> io::Result<Range<usize>> {
    let from = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let to = from.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(from..to)
}

impl Store for InMemory {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.bytes().len()).unwrap_or(u64::MAX))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let range = range(offset, out.len())?;
        let bytes = self.bytes();
        out.copy_from_slice(bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes().resize(range(len, 0)?.start, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = range(offset, data.len())?;
        let mut bytes = self.bytes();
        let room = bytes.get_mut(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        room.copy_from_slice(data);
        Ok(())
    }
}

/// The bytes of a store as redb wants them, given out any number of times. It takes no lock: that is the caller's, for the
/// life of the daemon.
#[derive(Debug, Clone)]
pub struct Storage(pub(super) Arc<dyn Store>);

impl Storage {
    /// A file opened for reading and writing.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self::over(Arc::new(Room { file }))
    }

    /// Any other store.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> io::Result<bool> {
        self.0.is_empty()
    }
}

impl StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
