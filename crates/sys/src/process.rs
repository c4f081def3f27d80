//! Children and this process: reaping, process descriptors, signals to others, the process's name.
//!
//! Starting programs is [`reexec`](crate::reexec) for our own and the command runner's business for others.

pub(crate) mod stat;

use std::ffi::CString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use stat::Stat;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It returned this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Ending {
    fn of(status: WaitStatus) -> Option<Self> {
        let exit = status.exit_status().map(Self::Exit);
        exit.or_else(|| status.terminating_signal().map(Self::Signal))
    }
}

/// Takes one child that has ended, whichever; `None` when none has (or there is no child at all).
pub fn reap() -> io::Result<Option<(u32, Ending)>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            // A child that was only stopped or continued has not ended.
            Ok(Some((pid, status))) => {
                if let Some(ending) = Ending::of(status) {
                    return Ok(Some((pid.as_raw_nonzero().get().cast_unsigned(), ending)));
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// How this child has ended, without taking it: its number stays its own until [`reap_one`]. `None`: it runs.
pub fn ending(pid: u32) -> io::Result<Option<Ending>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(pid_of(pid)?), options)?;
    Ok(status.and_then(|status| {
        let exit = status.exit_status().map(Ending::Exit);
        exit.or_else(|| status.terminating_signal().map(Ending::Signal))
    }))
}

/// Takes this child, if it has ended.
pub fn reap_one(pid: u32) -> io::Result<Option<Ending>> {
    let taken = rustix::process::waitpid(Some(pid_of(pid)?), WaitOptions::NOHANG)?;
    Ok(taken.and_then(|(_, status)| Ending::of(status)))
}

/// A descriptor of a process, readable when it has ended. Call it before the child can have been reaped.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
}

/// Takes all children that have ended but for these: orphans that this process has adopted.
pub fn reap_others(ours: &[u32]) {
    for pid in own_children().filter(|pid| !ours.contains(pid)) {
        reap_one(pid).ok();
    }
}

/// This process's children, ended or not. The kernel lists them by the thread they belong to.
pub(crate) fn own_children() -> impl Iterator<Item = u32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.flat_map(|thread| children_in(&thread.path().join("children")))
}

/// The children of another process's first thread; programs that start others from a further one are rare.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    children_in(format!("/proc/{pid}/task/{pid}/children").as_ref())
}

fn children_in(file: &std::path::Path) -> Vec<u32> {
    let list = std::fs::read_to_string(file).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The number of the process that was started last, as far as that is seen from here (proc(5), `loadavg`).
pub(crate) fn newest() -> Option<u32> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().nth(4)?.parse().ok()
}

/// What the kernel says of a process now.
pub(crate) fn stat(pid: u32) -> io::Result<Stat> {
    let line = std::fs::read(format!("/proc/{pid}/stat"))?;
    Stat::parse(&line).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// When a process began, in the kernel's ticks since boot: with its number it names it for the life of this boot.
pub fn start_time(pid: u32) -> io::Result<u64> {
    Ok(stat(pid)?.began)
}

/// Whether the process behind a descriptor has ended; told also to who is not its parent.
#[must_use]
pub fn has_ended(process: BorrowedFd<'_>) -> bool {
    let ready = crate::poll::wait(&[(process, crate::poll::Interest::READ)], Some(std::time::Duration::ZERO));
    ready.is_ok_and(|ready| ready.contains(&true))
}

/// A signal for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL: end.
    Kill,
}

impl Kill {
    const fn signal(self) -> rustix::process::Signal {
        match self {
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Kill => rustix::process::Signal::KILL,
        }
    }
}

/// Signals the process behind a descriptor; one that has ended already is fine.
pub fn signal(process: BorrowedFd<'_>, kill: Kill) -> io::Result<()> {
    accept_gone(rustix::process::pidfd_send_signal(process, kill.signal()))
}

/// Signals a process group; one that has ended already is fine.
pub fn signal_group(group: u32, kill: Kill) -> io::Result<()> {
    accept_gone(rustix::process::kill_process_group(pid_of(group)?, kill.signal()))
}

/// Signals a process by its number, which must be a descendant that cannot have been reaped by others; one that has
/// ended already is fine.
pub fn signal_pid(pid: u32, kill: Kill) -> io::Result<()> {
    accept_gone(rustix::process::kill_process(pid_of(pid)?, kill.signal()))
}

/// The user this process acts as.
#[must_use]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// How many descriptors this process may have.
#[must_use]
pub fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Makes orphans of this process's descendants its own children, so that a command's tree can be followed.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Keeps what this process holds in memory to itself: no core dump, no debugger of the same user. What it executes starts
/// afresh in this.
pub fn hide_memory() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?)
}

/// This process's number.
#[must_use]
pub fn id() -> u32 {
    std::process::id()
}

/// The number of the process that started this one, as long as it lives.
#[must_use]
pub fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Names this process in process lists (the kernel keeps 15 bytes).
pub fn set_name(name: &str) -> io::Result<()> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::thread::set_name(&name)?)
}

fn pid_of(pid: u32) -> io::Result<Pid> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(invalid)
}

fn accept_gone(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::SRCH) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_read_behind_any_name() {
        let first = start_time(id()).unwrap();
        let before = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        set_name("a ) 1 2 (b").unwrap();
        let thread = std::fs::read_link("/proc/thread-self").unwrap();
        let thread = thread.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let later = start_time(thread).unwrap();
        set_name(before.trim_end()).unwrap();
        assert!(first > 0 && later >= first, "{first} {later}");
        assert!(start_time(u32::MAX).is_err());
    }

    #[test]
    fn numbers_that_are_no_process_are_refused() {
        // 0 would be our own group, and what does not fit would be another process.
        for pid in [0, u32::MAX, 1 << 31] {
            assert_eq!(pidfd(pid).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(signal_group(pid, Kill::Kill).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn the_name_is_set_for_this_thread() {
        std::thread::spawn(|| {
            set_name("a long name of a thread").unwrap();
            assert_eq!(rustix::thread::name().unwrap().as_bytes(), b"a long name of ");
        })
        .join()
        .unwrap();
        assert!(set_name("a\0b").is_err());
    }
}
