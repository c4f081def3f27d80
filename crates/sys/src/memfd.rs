//! Bytes handed over once and for all: a memory file that nobody can change any more.
//!
//! The monitor seals a policy into one and gives it to the worker; both build from the same bytes.
//! Reading one needs `fcntl(F_GET_SEALS)`, `lseek` and `pread` only, which the [sandbox](crate::sandbox) allows.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, SeekFrom};
use rustix::io::Errno;

use crate::poll;

/// Why a memory file was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemfdError {
    /// Not a memory file, or one that somebody could still change.
    #[error("the memory file is not sealed")]
    NotSealed,
    /// More than the reader takes.
    #[error("the memory file is larger than {0} bytes")]
    TooLarge(usize),
    /// The kernel refuses.
    #[error("reading the memory file: {0}")]
    Kernel(#[from] Errno),
}

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// A sealed memory file with these bytes. The name is shown in /proc only.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    seal(&file)?;
    Ok(file.into())
}

/// Tries so often, and waits so long before each further time.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// To the kernel a page counts as somebody's for as long as another processor holds it for its own bookkeeping, which it may on a
/// large file: then it answers that the file is in use.
fn seal(file: &File) -> io::Result<()> {
    for _ in 1..TRIES {
        match rustix::fs::fcntl_add_seals(file, SEALS) {
            Err(Errno::BUSY) => drop(poll::wait(&[], Some(PAUSE))?),
            sealed => return Ok(sealed?),
        }
    }
    Ok(rustix::fs::fcntl_add_seals(file, SEALS)?)
}

/// All its bytes, if it is sealed and has at most `limit`. They are written to one place only: the caller can wipe them.
pub fn read(file: impl AsFd, limit: usize) -> Result<Vec<u8>, MemfdError> {
    let seals = rustix::fs::fcntl_get_seals(&file).map_err(|_| MemfdError::NotSealed)?;
    if !seals.contains(SEALS) {
        return Err(MemfdError::NotSealed);
    }
    // Sealed, it has this length for good.
    let length = usize::try_from(rustix::fs::seek(&file, SeekFrom::End(0))?).unwrap_or(usize::MAX);
    if length > limit {
        return Err(MemfdError::TooLarge(limit));
    }
    let mut bytes = vec![0; length];
    let mut read = 0;
    // At a given place: the file's own position is shared with whoever else holds it.
    while read < length {
        match rustix::io::pread(&file, &mut bytes[read..], read as u64) {
            Ok(0) => return Err(Errno::IO.into()),
            Ok(more) => read += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_however_often() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let fd = sealed("policy", &bytes).unwrap();
        assert_eq!(read(&fd, bytes.len()).unwrap(), bytes);
        assert_eq!(read(&fd, bytes.len()).unwrap(), bytes);
        assert_eq!(read(sealed("none", b"").unwrap(), 0).unwrap(), b"");
    }

    #[test]
    fn nobody_changes_it() {
        let file = File::from(sealed("policy", b"one").unwrap());
        assert!((&file).write_all(b"two").is_err());
        assert!(file.set_len(1).is_err());
        assert!(file.set_len(9).is_err());
        assert!(rustix::fs::fcntl_add_seals(&file, SealFlags::empty()).is_err());
    }

    #[test]
    fn what_can_still_change_is_refused() {
        assert_eq!(read(tempfile::tempfile().unwrap(), 9), Err(MemfdError::NotSealed));
        let open = rustix::fs::memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        for seal in [SealFlags::SEAL, SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE] {
            assert_eq!(read(&open, 9), Err(MemfdError::NotSealed));
            let other = rustix::fs::memfd_create("almost", MemfdFlags::ALLOW_SEALING).unwrap();
            rustix::fs::fcntl_add_seals(&other, SEALS - seal).unwrap();
            assert_eq!(read(&other, 9), Err(MemfdError::NotSealed));
        }
    }

    #[test]
    fn a_large_one_is_refused() {
        let fd = sealed("large", &vec![1; 100_001]).unwrap();
        assert_eq!(read(&fd, 100_000), Err(MemfdError::TooLarge(100_000)));
    }
}
