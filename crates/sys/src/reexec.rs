//! Starting our own program again in another role, from a descriptor opened at start.
//!
//! A program file replaced meanwhile never mixes versions: the descriptor keeps the old one. The new process has a
//! fresh address space, an empty environment, a session of its own, the descriptors it is given and no other. It ends
//! with its channel, not with a signal from a dying parent: that signal follows the parent's *thread*.
//!
//! The descriptor is executed as `/proc/self/fd/N`, so `/proc` must be mounted where the role is started. That works
//! for a program, not for a script: its interpreter would find the descriptor closed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::channel;

/// What to start.
#[derive(Debug, Clone, Copy)]
pub struct Role<'a> {
    /// Its argument 0, as process lists show it: `aldabad: worker`.
    pub name: &'a str,
    /// Its arguments after that.
    pub arguments: &'a [&'a OsStr],
    /// What it finds around itself.
    pub surroundings: Surroundings<'a>,
    /// Its descriptors, numbered from [`channel::FD`] on: the channel first.
    pub descriptors: &'a [BorrowedFd<'a>],
}

/// Environment, directory and standard descriptors of a started role.
#[derive(Debug, Clone, Copy)]
pub enum Surroundings<'a> {
    /// No environment, directory `/`, everything to /dev/null.
    Nothing,
    /// The same, but it keeps our standard error, to explain why it ends.
    StandardError,
    /// The same, but its standard error goes there.
    ErrorTo(BorrowedFd<'a>),
    /// All of ours: it starts commands that are to find them.
    Inherited,
}

/// A process that was started.
#[derive(Debug)]
pub struct Started {
    /// Its number, until it is reaped.
    pub pid: u32,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

/// This program's file, whatever becomes of its name.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// Opens the file this process runs. To be called at start.
    pub fn open() -> io::Result<Self> {
        Ok(Self(rustix::fs::open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Starts it in this role.
    pub fn start(&self, role: &Role<'_>) -> io::Result<Started> {
        let count = RawFd::try_from(role.descriptors.len()).map_err(io::Error::other)?;
        let end = channel::FD + count;
        // Copies above the target numbers: no target then overwrites a descriptor still to be placed.
        let copies = role
            .descriptors
            .iter()
            .map(|fd| fcntl_dupfd_cloexec(fd, end))
            .collect::<Result<Vec<OwnedFd>, Errno>>()?;
        let program = fcntl_dupfd_cloexec(&self.0, end)?;
        // And no target may be free here, or the pipe by which the standard library hears of a failed exec takes it.
        let placeholders = occupy(end)?;
        let mut command = command(&program, role)?;
        let sources: Vec<RawFd> = copies.iter().map(OwnedFd::as_raw_fd).collect();
        let prepare = move || prepare(&sources);
        // SAFETY: the closure makes system calls only: no allocation, no lock.
        unsafe { command.pre_exec(prepare) };
        let child = command.spawn()?;
        drop((placeholders, copies, program));
        let pidfd = crate::process::pidfd(child.id())?;
        Ok(Started { pid: child.id(), pidfd })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where our own program is started")]
fn command(program: &OwnedFd, role: &Role<'_>) -> io::Result<Command> {
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0(role.name).args(role.arguments);
    let error = match role.surroundings {
        Surroundings::Inherited => return Ok(command),
        Surroundings::Nothing => Stdio::null(),
        Surroundings::StandardError => Stdio::inherit(),
        Surroundings::ErrorTo(fd) => fd.try_clone_to_owned()?.into(),
    };
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(error);
    Ok(command)
}

/// Takes every free number below `end`, for as long as the result lives.
fn occupy(end: RawFd) -> io::Result<Vec<OwnedFd>> {
    let null = rustix::fs::open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mut taken = Vec::new();
    loop {
        let fd = fcntl_dupfd_cloexec(null.as_fd(), channel::FD)?;
        if fd.as_raw_fd() >= end {
            if null.as_raw_fd() < end {
                taken.push(null);
            }
            return Ok(taken);
        }
        taken.push(fd);
    }
}

/// In the child, just before it becomes the role.
fn prepare(sources: &[RawFd]) -> io::Result<()> {
    rustix::process::setsid()?;
    for (source, target) in sources.iter().zip(channel::FD..) {
        // SAFETY: system call on two numbers; the source is open, the target ours to overwrite.
        if unsafe { libc::dup2(*source, target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let first = channel::FD.cast_unsigned() + u32::try_from(sources.len()).unwrap_or(u32::MAX);
    // Closed by the exec, not now: the standard library still needs its pipe.
    // SAFETY: system call on numbers.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    // Linux before 5.11 cannot do that. All our own descriptors are closed on exec anyway.
    match io::Error::last_os_error() {
        error if result < 0 && !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}
