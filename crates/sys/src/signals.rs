//! Signals as something to read: blocked, and delivered through a descriptor.
//!
//! Block them in `main` before any thread starts: threads inherit the mask, and so do children that are not started
//! through `std::process::Command` (which clears it).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// The signals a daemon listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGINT: end.
    Interrupt,
    /// SIGTERM: end.
    Terminate,
    /// SIGCHLD: a child has ended.
    Child,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGXFSZ: a file would be longer than this process may make it.
    FileTooLong,
}

impl Signal {
    const ALL: [Self; 6] =
        [Self::Hangup, Self::Interrupt, Self::Terminate, Self::Child, Self::User1, Self::User2];

    /// Its number on this machine.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Hangup => libc::SIGHUP,
            Self::Interrupt => libc::SIGINT,
            Self::Terminate => libc::SIGTERM,
            Self::Child => libc::SIGCHLD,
            Self::User1 => libc::SIGUSR1,
            Self::User2 => libc::SIGUSR2,
            Self::FileTooLong => libc::SIGXFSZ,
        }
    }

    fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| u32::try_from(signal.number()) == Ok(number))
    }
}

/// Blocked signals, and the descriptor they come out of.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks these signals in this thread and the ones it starts, and opens their descriptor.
    pub fn block(signals: &[Signal]) -> io::Result<Self> {
        let set = set_of(signals)?;
        // SAFETY: the set is initialised; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has come, if any. Several of one kind may come out as one.
    pub fn poll(&self) -> io::Result<Option<Signal>> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        loop {
            match rustix::io::read(&self.0, &mut info) {
                Ok(length) if length >= 4 => {
                    let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
                    if let Some(signal) = Signal::of(number) {
                        return Ok(Some(signal));
                    }
                }
                Ok(_) | Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Ignores these signals in this process from now on; programs started from it do too.
pub fn ignore(signals: &[Signal]) -> io::Result<()> {
    for signal in signals {
        // SAFETY: no handler of ours is installed, the signal is only ignored.
        let previous = unsafe { libc::signal(signal.number(), libc::SIG_IGN) };
        if previous == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn set_of(signals: &[Signal]) -> io::Result<libc::sigset_t> {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the pointer is valid for a whole set, which the call fills.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has initialised it.
    let mut set: libc::sigset_t = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: the set is initialised, the number is one of Signal's.
        if unsafe { libc::sigaddset(&raw mut set, signal.number()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::poll::{Interest, wait};

    #[test]
    fn a_blocked_signal_comes_out_of_the_descriptor() {
        let signals = Signals::block(&[Signal::User1, Signal::User2]).unwrap();
        assert_eq!(signals.poll().unwrap(), None);
        // SAFETY: raises in this thread, where the signal is blocked.
        assert_eq!(unsafe { libc::raise(Signal::User2.number()) }, 0);
        let ready = wait(&[(signals.as_fd(), Interest::READ)], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(ready, [true]);
        assert_eq!(signals.poll().unwrap(), Some(Signal::User2));
        assert_eq!(signals.poll().unwrap(), None);
    }
}
