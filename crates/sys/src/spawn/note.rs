//! A note of a command, written by its own process before it becomes the command: so there is no command without its note,
//! whatever becomes of who has started it.
//!
//! What is private here runs in that child ([`enter`](super::enter)): it calls the kernel and nothing else.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use crate::process::stat::Stat;

/// Where a note goes, and whose command it is.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    raw: Raw,
    file: PhantomData<BorrowedFd<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    file: RawFd,
    at: u64,
    whose: u64,
}

impl<'a> Note<'a> {
    /// A note at this place of the file. A place that is not the file's takes none.
    #[must_use]
    pub fn new(file: BorrowedFd<'a>, at: u64, whose: u64) -> Self {
        Self { raw: Raw { file: file.as_raw_fd(), at, whose }, file: PhantomData }
    }

    pub(super) const fn raw(&self) -> Raw {
        self.raw
    }
}

/// What a note says, each a u64, little-endian: whose command, its process number, and when that process began.
#[must_use]
pub fn bytes(whose: u64, pid: u32, began: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    let fields = [whose, u64::from(pid), began];
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

impl Raw {
    /// Writes down who this process is. One that cannot say when it began writes nothing: its number alone means nobody.
    pub(super) fn write(self, began: u64) {
        let Ok(at) = libc::off_t::try_from(self.at) else { return };
        if began > 0 {
            let bytes = bytes(self.whose, own_pid(), began);
            // SAFETY: valid bytes of that length.
            unsafe { libc::pwrite(self.file, bytes.as_ptr().cast(), bytes.len(), at) };
        }
    }
}

/// This process's number, also in a child that shares its parent's memory.
pub(super) fn own_pid() -> u32 {
    // SAFETY: no argument; it cannot fail.
    unsafe { libc::getpid() }.cast_unsigned()
}

/// When this process began, in the kernel's ticks since boot; 0: that cannot be read.
pub(super) fn own_start_time() -> u64 {
    let mut line = [0; 1024];
    let length = read_own_stat(&mut line);
    line.get(..length).and_then(Stat::parse).map_or(0, |stat| stat.began)
}

fn read_own_stat(line: &mut [u8]) -> usize {
    // SAFETY: a static path.
    let file: c_int = unsafe { libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return 0;
    }
    // SAFETY: a valid buffer of that length.
    let length = unsafe { libc::read(file, line.as_mut_ptr().cast(), line.len()) };
    // SAFETY: a descriptor of this function's own.
    unsafe { libc::close(file) };
    usize::try_from(length).unwrap_or(0)
}
