//! Waiting for descriptors: one poll call, signals and rounding handled.
//!
//! It says which descriptors want attention (hang-ups and errors included), not why: the reader finds out by reading.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// What to wait for on a descriptor. Hang-ups and errors always count as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Something to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    /// Something to read.
    pub const READ: Self = Self { read: true, write: false };
    /// Room to write.
    pub const WRITE: Self = Self { read: false, write: true };

    fn flags(self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.read);
        flags.set(PollFlags::OUT, self.write);
        flags
    }
}

/// Waits until a descriptor is ready or the time is over (`None`: for ever); says of each whether it is ready.
///
/// Never returns before the time is over with nothing ready, except when a signal came: then all are "not ready",
/// so that the caller computes its deadline afresh.
pub fn wait(interests: &[(BorrowedFd<'_>, Interest)], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut fds: Vec<PollFd<'_>> =
        interests.iter().map(|(fd, interest)| PollFd::from_borrowed_fd(*fd, interest.flags())).collect();
    // ppoll takes nanoseconds and the kernel rounds up; what does not fit a timespec is for ever.
    let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
    match rustix::event::poll(&mut fds, timeout.as_ref()) {
        Ok(_) => Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect()),
        Err(Errno::INTR) => Ok(vec![false; interests.len()]),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::clock;

    #[test]
    fn tells_the_ready_one_from_the_others() {
        let (idle, _idle_peer) = UnixStream::pair().unwrap();
        let (ready, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").unwrap();
        let interests = [(idle.as_fd(), Interest::READ), (ready.as_fd(), Interest::READ)];
        assert_eq!(wait(&interests, None).unwrap(), [false, true]);
    }

    #[test]
    fn a_hang_up_is_ready_without_interest() {
        let (end, peer) = UnixStream::pair().unwrap();
        drop(peer);
        let none = Interest { read: false, write: false };
        assert_eq!(wait(&[(end.as_fd(), none)], Some(Duration::from_secs(5))).unwrap(), [true]);
    }

    #[test]
    fn never_returns_before_its_time() {
        let (idle, _peer) = UnixStream::pair().unwrap();
        for time in [Duration::from_micros(1_300), Duration::from_nanos(1)] {
            let before = clock::boottime();
            assert_eq!(wait(&[(idle.as_fd(), Interest::READ)], Some(time)).unwrap(), [false]);
            assert!(clock::boottime().saturating_sub(before) >= time);
        }
    }

    #[test]
    fn a_time_too_long_for_the_kernel_is_for_ever() {
        let (end, _peer) = UnixStream::pair().unwrap();
        assert_eq!(wait(&[(end.as_fd(), Interest::WRITE)], Some(Duration::MAX)).unwrap(), [true]);
    }
}
