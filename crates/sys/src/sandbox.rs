//! The worker's sandbox: the system calls it may still make. Anything else kills it.
//!
//! A packet socket is a power in itself: its holder can detach the filter, bind it elsewhere and send, all without a
//! capability. So there is no `setsockopt`, `bind`, `connect`, `socket` or `ioctl` here; sending and writing reach
//! the channel's descriptor only; and there is no `dup` in any form (of `fcntl`, only two questions are allowed), or
//! that number could be made to mean the capture socket. There is no call that takes a path;
//! [`landlock`](crate::landlock) denies them once more.
//!
//! Nor may it do what a panic does: the message cannot be written, and trying kills the process. That is wanted.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Why the sandbox could not be closed. The process must not go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot close the sandbox: {0}")]
pub struct SandboxError(#[from] seccompiler::Error);

impl From<seccompiler::BackendError> for SandboxError {
    fn from(error: seccompiler::BackendError) -> Self {
        Self(seccompiler::Error::Backend(error))
    }
}

/// Calls that are allowed whatever their arguments: reading, waiting, time, memory, the replay store, ending. Without
/// handlers there is no return from a signal, and without threads none ends alone.
const FREELY: &[libc::c_long] = &[
    libc::SYS_pread64,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_ppoll,
    // pnet waits with it.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_close,
    // Where the clock cannot be read without a call.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // What a wait goes on with after the process was stopped and continued.
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_sigaltstack,
    // The replay store: by descriptor, and of no use on a socket.
    libc::SYS_lseek,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fdatasync,
    libc::SYS_exit_group,
];

/// Standard error as it was, for a sandbox that cannot be closed: dropped when it is.
#[derive(Debug)]
pub struct Stderr(OwnedFd);

/// Puts /dev/null in the place of standard error. A log file or a terminal there could be read, overwritten and cut
/// through calls that the list allows for the replay store.
pub fn let_go_of_stderr() -> std::io::Result<Stderr> {
    let before = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stderr(null)?;
    Ok(Stderr(before))
}

impl Stderr {
    /// Back in its place, so that the reason is heard.
    pub fn put_back(self) -> std::io::Result<()> {
        Ok(rustix::stdio::dup2_stderr(self.0)?)
    }
}

/// Closes the sandbox around the calling thread, for good: to be called before any other is started.
/// No room on a disk is taken for more than this many bytes of a file: not every file system asks for the limit on its length there.
pub fn enter(channel: BorrowedFd<'_>, longest: u64) -> Result<(), SandboxError> {
    // The first look at a clock finds where the kernel's own code for it stands, with calls that are denied later.
    let _ = crate::clock::boottime();
    Ok(seccompiler::apply_filter(&program(channel, longest)?)?)
}

fn program(channel: BorrowedFd<'_>, longest: u64) -> Result<BpfProgram, SandboxError> {
    let mut rules: Vec<(libc::c_long, Vec<SeccompRule>)> =
        FREELY.iter().map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_write] {
        rules.push((call, only(0, Is::Eq, u64::from(channel.as_raw_fd().cast_unsigned()))?));
    }
    let executes_not = word(2, Is::MaskedEq(u64::from(libc::PROT_EXEC.cast_unsigned())), 0)?;
    rules.push((libc::SYS_mprotect, vec![SeccompRule::new(vec![executes_not.clone()])?]));
    // Memory that is shared and no file's counts for no limit of the process's: it is a file's, or private.
    let mut maps = Vec::new();
    for flag in [libc::MAP_ANONYMOUS, libc::MAP_SHARED] {
        let has_not = word(3, Is::MaskedEq(u64::from(flag.cast_unsigned())), 0)?;
        maps.push(SeccompRule::new(vec![executes_not.clone(), has_not])?);
    }
    rules.push((libc::SYS_mmap, maps));
    let keeps_size = word(1, Is::Eq, u64::from(libc::FALLOC_FL_KEEP_SIZE.cast_unsigned()))?;
    let from_the_first = Condition::new(2, Width::Qword, Is::Eq, 0)?;
    let up_to = Condition::new(3, Width::Qword, Is::Le, longest)?;
    rules.push((libc::SYS_fallocate, vec![SeccompRule::new(vec![keeps_size, from_the_first, up_to])?]));
    let mut questions = Vec::new();
    // The second is asked by the standard library, in debug builds, of every descriptor it closes.
    for question in [libc::F_GET_SEALS, libc::F_GETFD] {
        questions.extend(only(1, Is::Eq, u64::from(question.cast_unsigned()))?);
    }
    rules.push((libc::SYS_fcntl, questions));
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = rules.into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    Ok(filter.try_into()?)
}

/// The one rule that this argument must be so.
fn only(argument: u8, is: Is, value: u64) -> Result<Vec<SeccompRule>, SandboxError> {
    Ok(vec![SeccompRule::new(vec![word(argument, is, value)?])?])
}

/// An argument that the kernel takes as 32 bits.
fn word(argument: u8, is: Is, value: u64) -> Result<Condition, SandboxError> {
    Ok(Condition::new(argument, Width::Dword, is, value)?)
}
