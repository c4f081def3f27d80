//! Descriptors a started role finds beside its channel (see [`reexec`](crate::reexec)).

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;

use crate::channel;

/// The `count` descriptors that follow the channel, in the order they were given. Once in a process, before anything
/// else is opened.
pub fn take(count: usize) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("the inherited descriptors have been taken already"));
    }
    let first = channel::FD + 1;
    let end = first + RawFd::try_from(count).map_err(io::Error::other)?;
    for number in first..end {
        // SAFETY: only looked at; a number that is not open makes the call fail.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    }
    // SAFETY: open, as seen above, and by their numbers ours alone: whoever started us put them there for this.
    Ok((first..end).map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
}
