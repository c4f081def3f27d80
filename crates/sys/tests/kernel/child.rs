//! A child of the test program that does one thing and tells.
//!
//! The test program starts itself as a role, as the daemon does, with the name of one test: [`act`]. That test does
//! nothing unless it finds that name as its argument 0.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_sys::channel::{Channel, Received, Sent};
use aldaba_sys::poll::{Interest, wait};
use aldaba_sys::reexec::{Program, Role, Started, Surroundings};
use rustix::process::{WaitId, WaitIdOptions, waitid};

pub(crate) const NAME: &str = "aldaba-sys: test";
/// Set for a test that is the inside of another one: alone, it would take this process its file or its privileges.
pub(crate) const INSIDE: &str = "ALDABA_SYS_INSIDE";
const SOON: Duration = Duration::from_secs(20);

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Code(i32),
    Signal(i32),
}

pub(crate) struct Child {
    pub(crate) channel: Channel,
    pub(crate) started: Started,
}

impl Child {
    /// Starts one and gives it its task.
    pub(crate) fn start(task: &str, fds: &[BorrowedFd<'_>]) -> Self {
        Self::start_with(task, fds, &[])
    }

    /// With more descriptors behind its channel from the beginning.
    pub(crate) fn start_with(task: &str, fds: &[BorrowedFd<'_>], more: &[BorrowedFd<'_>]) -> Self {
        Self::start_from(&Program::open().unwrap(), task, fds, more)
    }

    pub(crate) fn start_from(
        program: &Program,
        task: &str,
        fds: &[BorrowedFd<'_>],
        more: &[BorrowedFd<'_>],
    ) -> Self {
        let (ours, theirs) = Channel::pair().unwrap();
        let arguments = ["--exact", "child::act", "--test-threads=1"].map(OsStr::new);
        let descriptors = [&[theirs.as_fd()], more].concat();
        let role = Role {
            name: NAME,
            arguments: &arguments,
            surroundings: Surroundings::StandardError,
            descriptors: &descriptors,
        };
        let started = program.start(&role).unwrap();
        assert_eq!(ours.send(task.as_bytes(), fds), Ok(Sent::Done));
        Self { channel: ours, started }
    }

    /// What it has to say.
    pub(crate) fn answer(&self) -> String {
        match receive(&self.channel) {
            Received::Message { bytes, .. } => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}, and the child ended: {:?}", self.ending()),
        }
    }

    pub(crate) fn ending(&self) -> Ending {
        ending(&self.started)
    }
}

/// Waits for it.
pub(crate) fn ending(started: &Started) -> Ending {
    let ended = wait(&[(started.pidfd.as_fd(), Interest::READ)], Some(SOON)).unwrap();
    assert_eq!(ended, [true], "it does not end");
    let status = waitid(WaitId::PidFd(started.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
    let signal = status.terminating_signal().map(Ending::Signal);
    signal.or_else(|| status.exit_status().map(Ending::Code)).unwrap()
}

/// The next message, waited for.
pub(crate) fn receive(channel: &Channel) -> Received {
    assert!(wait(&[(channel.as_fd(), Interest::READ)], Some(SOON)).unwrap()[0], "nothing comes");
    channel.receive().unwrap()
}

/// Ends this process now: nothing is written, no destructor runs.
pub(crate) fn end(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// The child's side.
#[test]
fn act() {
    if std::env::args_os().next().is_none_or(|name| name != NAME) {
        return;
    }
    let channel = Channel::inherited().unwrap();
    let Received::Message { bytes, fds } = receive(&channel) else { end(90) };
    let task = String::from_utf8(bytes).unwrap();
    let (kind, rest) = task.split_once(' ').unwrap_or((&task, ""));
    match kind {
        "sandbox" => crate::sandbox::act(&channel, rest, fds),
        "privileges" => crate::privileges::act(&channel, rest),
        "reexec" => crate::reexec::act(&channel),
        _ => end(91),
    }
    end(0)
}

/// Says a line to the parent.
pub(crate) fn tell(channel: &Channel, text: &str) {
    assert_eq!(channel.send(text.as_bytes(), &[]), Ok(Sent::Done));
}

/// A descriptor any program may have.
pub(crate) fn null() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open("/dev/null")?.into())
}

pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}
