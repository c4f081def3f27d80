//! From this process to a command: a child in this process's memory, which makes itself ready and becomes the program.
//!
//! `posix_spawn` does the same, but knows neither resource limits nor notes. The thread that calls is held until the child has
//! left its memory, other threads are not: so the child calls the kernel and nothing else. It takes no lock, allocates nothing and
//! cannot panic; all it needs is made before ([`Plan`]).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::{limits, note};
use crate::privileges;

/// The child's stack until it is the program: a few frames, one of them with a page of text.
const STACK: usize = 64 * 1024;

/// What the child is to do.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) file: &'a CStr,
    /// Both lists end with a null pointer.
    pub(super) words: &'a [*mut c_char],
    pub(super) environment: &'a [*mut c_char],
    /// A confined command: its output goes there.
    pub(super) output: Option<RawFd>,
    pub(super) is_marked: bool,
    pub(super) note: Option<note::Raw>,
    /// No more than these; `None`: all it has.
    pub(super) capabilities: Option<u64>,
}

/// What has become of it.
#[derive(Debug, Default)]
struct Report {
    /// The error that kept it from becoming the program.
    error: AtomicI32,
    /// When it began, in the kernel's ticks; 0: that could not be read.
    began: AtomicU64,
}

struct Errand<'a> {
    plan: &'a Plan<'a>,
    report: &'a Report,
}

/// Starts it: its process number, and when it began as far as that can be read.
pub(super) fn start(plan: &Plan<'_>) -> io::Result<(u32, Option<u64>)> {
    let report = Report::default();
    let mut errand = Errand { plan, report: &report };
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    // No handler of this process may run in the child, in our memory.
    let before = block_all()?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone, aligned, and grows down from its end; stack, errand and what it refers to outlive the
    // child's use of them, since this thread goes on only when the child has become a program or has ended.
    let pid = unsafe { libc::clone(enter, top, flags, (&raw mut errand).cast()) };
    let error = io::Error::last_os_error();
    restore(&before);
    if pid < 0 {
        return Err(error);
    }
    match report.error.load(Ordering::Acquire) {
        0 => {
            let began = report.began.load(Ordering::Acquire);
            Ok((pid.cast_unsigned(), (began > 0).then_some(began)))
        }
        error => {
            let pid = rustix::process::Pid::from_raw(pid);
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).ok();
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

/// The child's whole life before it is the program.
extern "C" fn enter(errand: *mut c_void) -> c_int {
    // SAFETY: `start` gives an errand that outlives this.
    let Errand { plan, report } = unsafe { &*errand.cast::<Errand<'_>>() };
    let error = match prepare(plan, report) {
        Ok(()) => {
            // SAFETY: the file's name and both lists end with zero, and all pointers are valid.
            unsafe {
                libc::execve(plan.file.as_ptr(), plan.words.as_ptr().cast(), plan.environment.as_ptr().cast())
            };
            last_error()
        }
        Err(error) => error,
    };
    report.error.store(error, Ordering::Release);
    // SAFETY: ends this child at once; nothing of ours is run on the way.
    unsafe { libc::_exit(127) }
}

fn last_error() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// All but the last step; the error's number where one of them fails.
fn prepare(plan: &Plan<'_>, report: &Report) -> Result<(), c_int> {
    // SAFETY: no argument.
    if unsafe { libc::setsid() } < 0 {
        return Err(last_error());
    }
    if let Some(capabilities) = plan.capabilities {
        privileges::leave_for_program(capabilities).map_err(rustix::io::Errno::raw_os_error)?;
    }
    default_signals();
    let began = note::own_start_time();
    report.began.store(began, Ordering::Release);
    if let Some(note) = &plan.note {
        note.write(began);
    }
    if let Some(output) = plan.output {
        limits::confine();
        redirect(output)?;
    }
    if plan.is_marked {
        limits::mark(began);
    }
    // SAFETY: a number. What stays open are 0, 1 and 2.
    unsafe { closefrom(3) };
    unblock_all();
    Ok(())
}

unsafe extern "C" {
    /// glibc 2.34, 2021.
    fn closefrom(first: c_int);
}

/// No input, this output, directory `/`.
fn redirect(output: RawFd) -> Result<(), c_int> {
    // SAFETY: a static path.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
    // SAFETY: numbers; those that are no descriptors are refused.
    let placed = |from, to| unsafe { libc::dup2(from, to) } >= 0;
    let is_placed = null >= 0 && placed(null, 0) && placed(output, 1) && placed(output, 2);
    // SAFETY: a static path.
    let is_done = is_placed && unsafe { libc::chdir(c"/".as_ptr()) } == 0;
    if is_done { Ok(()) } else { Err(last_error()) }
}

/// Those this process ignores or handles are as they are by default, the two that the C library keeps to itself among them.
fn default_signals() {
    // All zero: the default, no flag, nothing blocked meanwhile. The kernel's own form of it is shorter than this.
    let default = [0_u64; 8];
    let size_of_set = size_of::<u64>();
    for signal in 1..=64 {
        let none = std::ptr::null_mut::<c_void>();
        // SAFETY: a valid action, and no place for the old one; the numbers that cannot be set are refused.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, size_of_set) };
    }
}

fn unblock_all() {
    let mut none = MaybeUninit::uninit();
    // SAFETY: a valid place to initialise; it cannot fail.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: an initialised set.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// Blocks every signal for this thread; says which were.
fn block_all() -> io::Result<libc::sigset_t> {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: a valid place to initialise; it cannot fail.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: an initialised set, and a valid place for the old one.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) } {
        // SAFETY: the call that succeeded has filled it.
        0 => Ok(unsafe { before.assume_init() }),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn restore(mask: &libc::sigset_t) {
    // SAFETY: an initialised set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}
