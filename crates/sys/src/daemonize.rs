//! Into the background, knockd's way: the parent's exit status tells whether the start has worked.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

/// Which of the two we are.
#[derive(Debug)]
pub enum Parent {
    /// The process that was called; the other one has started, or failed to.
    Parent {
        /// Whether it works.
        child_works: bool,
    },
    /// The one in the background.
    Child(Child),
}

/// The process in the background, which the caller still waits for.
#[derive(Debug)]
pub struct Child {
    report: OwnedFd,
}

/// Splits this process in two. To be called while it has one thread only.
pub fn fork() -> io::Result<Parent> {
    let (reading, writing) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: there is one thread, so that the child has everything the parent had.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(reading);
            rustix::process::setsid()?;
            Ok(Parent::Child(Child { report: writing }))
        }
        _ => {
            drop(writing);
            // One byte when it works; the end of the file when it has gone without.
            let mut byte = [0];
            let child_works = File::from(reading).read(&mut byte)? == 1;
            Ok(Parent::Parent { child_works })
        }
    }
}

impl Child {
    /// Lets go of the terminal and the directory, and tells the caller that the start has worked.
    pub fn ready(self) -> io::Result<()> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        rustix::process::chdir("/")?;
        File::from(self.report).write_all(&[1])
    }
}
