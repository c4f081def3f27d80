//! Waiting for descriptors: one poll call, signals and rounding handled.
//!
//! It says which descriptors want attention (hang-ups and errors included), not why: the reader finds out by reading.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

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

    const fn events(self) -> libc::c_short {
        (if self.read { libc::POLLIN } else { 0 }) | (if self.write { libc::POLLOUT } else { 0 })
    }
}

/// Waits again and again, in room that is kept: a wait for no more descriptors than before allocates nothing.
#[derive(Debug, Default)]
pub struct Waiter {
    fds: Vec<libc::pollfd>,
}

impl Waiter {
    /// Waits until a descriptor is ready or the time is over (`None`: for ever).
    ///
    /// Never returns before the time is over with nothing ready, except when a signal came: then all are "not ready",
    /// so that the caller computes its deadline afresh.
    pub fn wait<'a>(
        &mut self,
        interests: impl IntoIterator<Item = (BorrowedFd<'a>, Interest)>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.fds.clear();
        self.fds.extend(interests.into_iter().map(|(fd, interest)| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: interest.events(),
            revents: 0,
        }));
        // ppoll takes nanoseconds and the kernel rounds up; what does not fit a timespec is for ever.
        match poll(&mut self.fds, timeout.and_then(timespec).as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.fds.iter_mut().for_each(|fd| fd.revents = 0);
                Ok(())
            }
            result => result,
        }
    }

    /// Of each descriptor of the last wait, in their order, whether it is ready.
    pub fn ready(&self) -> impl Iterator<Item = bool> {
        self.fds.iter().map(|fd| fd.revents != 0)
    }
}

/// The same once, where it does not matter what it allocates.
pub fn wait(interests: &[(BorrowedFd<'_>, Interest)], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut waiter = Waiter::default();
    waiter.wait(interests.iter().copied(), timeout)?;
    Ok(waiter.ready().collect())
}

fn poll(fds: &mut [libc::pollfd], timeout: Option<&libc::timespec>) -> io::Result<()> {
    let length = libc::nfds_t::try_from(fds.len()).map_err(io::Error::other)?;
    let timeout = timeout.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the pointer and the length are of one list, the time is one or null, and all outlive the call.
    let result = unsafe { libc::ppoll(fds.as_mut_ptr(), length, timeout, std::ptr::null()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn timespec(time: Duration) -> Option<libc::timespec> {
    let seconds = libc::time_t::try_from(time.as_secs()).ok()?;
    Some(libc::timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().cast_signed().into() })
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
    fn waiting_again_allocates_nothing() {
        let (idle, _idle_peer) = UnixStream::pair().unwrap();
        let (ready, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").unwrap();
        let interests = [(ready.as_fd(), Interest::READ), (idle.as_fd(), Interest::READ)];
        let mut waiter = Waiter::default();
        waiter.wait(interests, None).unwrap();
        let cost = allocation_counter::measure(|| {
            waiter.wait([interests[1], interests[0]], None).unwrap();
            assert!(waiter.ready().eq([false, true]));
        });
        assert_eq!(cost.count_total, 0);
    }

    #[test]
    fn a_time_too_long_for_the_kernel_is_for_ever() {
        let (end, _peer) = UnixStream::pair().unwrap();
        assert_eq!(wait(&[(end.as_fd(), Interest::WRITE)], Some(Duration::MAX)).unwrap(), [true]);
    }
}
