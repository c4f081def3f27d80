//! From this process to a command: a child in this process's memory, which makes itself ready and becomes the program.
//!
//! `posix_spawn` does the same, but knows neither resource limits nor notes. The thread that makes the child is held until it has
//! left this memory, other threads are not: so the child calls the kernel and nothing else. It takes no lock, allocates nothing and
//! cannot panic; all it needs is made before ([`Plan`]).
//!
//! To become the program the kernel reads its file, and a file may be on a network file system that is dead, or wait for a scanner
//! that does not answer. So the thread that is held is one of its own: who asks for a command waits for a moment, and then takes
//! it for one that runs. It has its process number, and its time limit ends it.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::{limits, note};
use crate::privileges;

/// The child's stack until it is the program: a few frames, one of them with a page of text.
const STACK: usize = 64 * 1024;
/// The thread's, which lays out two lists of pointers and calls the kernel.
const THREAD_STACK: usize = 64 * 1024;
/// How long a child may take to become the program before it counts as running: far longer than it takes where nothing is in its way.
const PATIENCE: Duration = Duration::from_millis(200);
/// The same while another one is being waited for in vain: that its file system is dead is known then.
const LITTLE_PATIENCE: Duration = Duration::from_millis(5);

/// Threads that are held by a child nobody waits for any more.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// What the child is to do.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where it may be: the first one that is there.
    pub(super) files: Vec<CString>,
    pub(super) words: Vec<CString>,
    pub(super) environment: Vec<CString>,
    /// A confined command: its output goes there. The child has its own before [`start`] is done.
    pub(super) output: Option<RawFd>,
    pub(super) is_marked: bool,
    /// Its file is written to before [`start`] is done.
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
    /// Its process number, as soon as nothing but the program's own file can keep it waiting.
    ready: AtomicU32,
    /// Whoever comes first: the thread that has it behind it, or who waits no more.
    is_settled: AtomicBool,
}

/// A plan as the kernel takes it.
struct Errand<'a> {
    plan: &'a Plan,
    /// Both lists end with a null pointer.
    words: &'a [*mut c_char],
    environment: &'a [*mut c_char],
    report: &'a Report,
}

/// Starts it: its process number, and when it began as far as that can be read.
pub(super) fn start(plan: Plan) -> io::Result<(u32, Option<u64>)> {
    let report = Arc::new(Report::default());
    let (tell, told) = mpsc::sync_channel(1);
    let theirs = Arc::clone(&report);
    std::thread::Builder::new().stack_size(THREAD_STACK).spawn(move || {
        let cloned = make_child(&plan, &theirs);
        drop(plan);
        if theirs.is_settled.swap(true, Ordering::AcqRel) {
            HELD.fetch_sub(1, Ordering::AcqRel);
        }
        // Nobody may be waiting any more.
        let _ = tell.send(cloned);
    })?;
    let pid = loop {
        match told.recv_timeout(patience()) {
            Ok(cloned) => break cloned?,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(pid) = give_up_waiting(&report) {
                    break pid;
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the thread that starts it ended"));
            }
        }
    };
    match report.error.load(Ordering::Acquire) {
        0 => {
            let began = report.began.load(Ordering::Acquire);
            Ok((pid, (began > 0).then_some(began)))
        }
        error => {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed());
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).ok();
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

fn patience() -> Duration {
    if HELD.load(Ordering::Acquire) == 0 { PATIENCE } else { LITTLE_PATIENCE }
}

/// The process number of a child that has done all but become the program. `None`: it has more to do, or has just been told of.
fn give_up_waiting(report: &Report) -> Option<u32> {
    let pid = Some(report.ready.load(Ordering::Acquire)).filter(|pid| *pid != 0)?;
    HELD.fetch_add(1, Ordering::AcqRel);
    if report.is_settled.swap(true, Ordering::AcqRel) {
        HELD.fetch_sub(1, Ordering::AcqRel);
        return None;
    }
    Some(pid)
}

/// Makes the child, and goes on when it has become the program or has ended.
fn make_child(plan: &Plan, report: &Report) -> io::Result<u32> {
    let (words, environment) = (pointers(&plan.words), pointers(&plan.environment));
    let mut errand = Errand { plan, words: &words, environment: &environment, report };
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    // No handler of this process may run in the child, in our memory.
    block_all()?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone, aligned, and grows down from its end; stack, errand and what it refers to outlive the
    // child's use of them, since this thread goes on only when the child has become a program or has ended.
    let pid = unsafe { libc::clone(enter, top, flags, (&raw mut errand).cast()) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid.cast_unsigned()) }
}

fn pointers(words: &[CString]) -> Vec<*mut c_char> {
    let pointers = words.iter().map(|word| word.as_ptr().cast_mut());
    pointers.chain(std::iter::once(std::ptr::null_mut())).collect()
}

/// The child's whole life before it is the program.
extern "C" fn enter(errand: *mut c_void) -> c_int {
    // SAFETY: `start` gives an errand that outlives this.
    let Errand { plan, words, environment, report } = unsafe { &*errand.cast::<Errand<'_>>() };
    let error = match prepare(plan, report) {
        Ok(()) => {
            report.ready.store(note::own_pid(), Ordering::Release);
            become_program(&plan.files, words, environment)
        }
        Err(error) => error,
    };
    report.error.store(error, Ordering::Release);
    // SAFETY: ends this child at once; nothing of ours is run on the way.
    unsafe { libc::_exit(127) }
}

/// Does not return where one of the files is a program that can be executed; else the error's number.
fn become_program(files: &[CString], words: &[*mut c_char], environment: &[*mut c_char]) -> c_int {
    let mut said = libc::ENOENT;
    for file in files {
        // SAFETY: the file's name and both lists end with zero, and all pointers are valid.
        unsafe { libc::execve(file.as_ptr(), words.as_ptr().cast(), environment.as_ptr().cast()) };
        match last_error() {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => said = libc::EACCES,
            error => return error,
        }
    }
    said
}

fn last_error() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// All but the last step; the error's number where one of them fails.
fn prepare(plan: &Plan, report: &Report) -> Result<(), c_int> {
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

/// Blocks every signal for this thread.
fn block_all() -> io::Result<()> {
    let mut all = MaybeUninit::uninit();
    // SAFETY: a valid place to initialise; it cannot fail.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: an initialised set.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
