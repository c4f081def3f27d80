//! Starting the commands of doors, and ending them with everything they have started.
//!
//! `posix_spawn` with a fixed list of actions: nothing of ours runs in the child, and no address space is copied. The
//! child has descriptors 0, 1 and 2 and no others, its own session, no signal blocked or ignored.

use std::ffi::{CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::io::Errno;

use crate::notify::VARIABLES;

mod tree;

pub use tree::{Mark, signal_tree};

/// The environment of a confined command.
const ENVIRONMENT: [&std::ffi::CStr; 2] =
    [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", c"LC_ALL=C"];
/// The folders in which a program without a slash in its name is looked for.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A program with its arguments, without a shell.
    Argv(Vec<OsString>),
    /// A line for `/bin/sh -c`.
    Shell(OsString),
}

/// How it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Fixed environment, directory `/`, no input, output captured.
    Confined,
    /// The daemon's environment (without what its service manager has set for it alone), directory, input and output.
    AsTheDaemon,
}

/// A command that was started.
#[derive(Debug)]
pub struct Child {
    /// Its process number, which is also its session's and its group's.
    pub pid: u32,
    /// Where a confined command's output comes out; it never blocks.
    pub output: Option<OwnedFd>,
    /// How to find what a confined command leaves behind.
    pub mark: Option<Mark>,
}

/// Starts a command. A program that cannot be executed is an error here, not an exit status.
pub fn start(program: &Program, conduct: Conduct) -> io::Result<Child> {
    let (file, words) = words(program)?;
    let mut actions = Actions::new()?;
    let output = match conduct {
        Conduct::Confined => {
            let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&ours, true)?;
            actions.open_null_as_input()?;
            actions.duplicate(&theirs, 1)?;
            actions.duplicate(&theirs, 2)?;
            actions.change_directory_to_root()?;
            Some((ours, theirs))
        }
        Conduct::AsTheDaemon => None,
    };
    actions.close_from_three()?;
    let mark = (conduct == Conduct::Confined).then(Mark::fresh);
    let inherited = if mark.is_none() { inherited() } else { Vec::new() };
    let environment = match &mark {
        Some(mark) => {
            let [path, locale] = ENVIRONMENT;
            pointers(&[path, locale, mark.variable()])
        }
        None => pointers(&inherited),
    };
    let pid = spawn(&file, &words, &environment, &actions)?;
    Ok(Child { pid, output: output.map(|(ours, _)| ours), mark })
}

/// The same, with no more than these capabilities of ours; bit *n* is the kernel's capability *n*.
///
/// A thread of its own gives up the others before it starts the command: they belong to threads.
pub fn start_with(program: &Program, conduct: Conduct, capabilities: u64) -> io::Result<Child> {
    std::thread::scope(|scope| {
        let starter = std::thread::Builder::new().spawn_scoped(scope, || {
            crate::privileges::leave_for_child(capabilities)?;
            start(program, conduct)
        })?;
        starter.join().map_err(|_| io::Error::other("the thread that starts commands has failed"))?
    })
}

/// Reads what a command has printed: `None`: nothing now; 0: nothing any more.
pub fn read_output(output: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::io::read(output, &mut *buffer) {
            Ok(length) => return Ok(Some(length)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn words(program: &Program) -> io::Result<(CString, Vec<CString>)> {
    let text = |word: OsString| CString::new(word.into_vec()).map_err(|_| io::ErrorKind::InvalidInput.into());
    match program {
        Program::Shell(line) => {
            let words = vec![c"sh".to_owned(), c"-c".to_owned(), text(line.clone())?];
            Ok((c"/bin/sh".to_owned(), words))
        }
        Program::Argv(words) => {
            let words = words.iter().cloned().map(text).collect::<io::Result<Vec<_>>>()?;
            let name = words.first().ok_or(io::ErrorKind::InvalidInput)?;
            Ok((resolve(name)?, words))
        }
    }
}

/// Whether there is a program of this name that can be started.
#[must_use]
pub fn is_there(name: &str) -> bool {
    let file = CString::new(name).ok().and_then(|name| resolve(&name).ok());
    file.is_some_and(|file| rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok())
}

/// The file of a program's name: the search path is the fixed one, whatever the daemon's environment says.
fn resolve(name: &CString) -> io::Result<CString> {
    let name_text = name.to_string_lossy();
    if name_text.contains('/') {
        return Ok(name.clone());
    }
    let found = PATH
        .iter()
        .map(|folder| format!("{folder}/{name_text}"))
        .find(|file| rustix::fs::access(file.as_str(), rustix::fs::Access::EXEC_OK).is_ok());
    let file = found.ok_or(io::ErrorKind::NotFound)?;
    CString::new(file).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// This process's environment as a command may have it.
fn inherited() -> Vec<CString> {
    let ours = std::env::vars_os().filter(|(name, _)| VARIABLES.iter().all(|kept| name != kept));
    // Neither part of a variable can hold a zero.
    ours.filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}

fn pointers<T: AsRef<std::ffi::CStr>>(words: &[T]) -> Vec<*mut libc::c_char> {
    let pointers = words.iter().map(|word| word.as_ref().as_ptr().cast_mut());
    pointers.chain(std::iter::once(std::ptr::null_mut())).collect()
}

fn spawn(
    file: &CString,
    words: &[CString],
    environment: &[*mut libc::c_char],
    actions: &Actions,
) -> io::Result<u32> {
    let attributes = Attributes::new()?;
    let words = pointers(words);
    let mut pid = 0;
    // SAFETY: all pointers are valid for the call; both lists end with a null pointer.
    let result = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            file.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            words.as_ptr(),
            environment.as_ptr(),
        )
    };
    check(result)?;
    Ok(pid.cast_unsigned())
}

unsafe extern "C" {
    /// glibc 2.34, 2021.
    fn posix_spawn_file_actions_addclosefrom_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        from: libc::c_int,
    ) -> libc::c_int;
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: a valid place to initialise.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised by the call that succeeded.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn open_null_as_input(&mut self) -> io::Result<()> {
        let path = c"/dev/null".as_ptr();
        // SAFETY: initialised actions and a static path.
        check(unsafe { libc::posix_spawn_file_actions_addopen(&raw mut self.0, 0, path, libc::O_RDONLY, 0) })
    }

    fn duplicate(&mut self, fd: &OwnedFd, number: libc::c_int) -> io::Result<()> {
        // SAFETY: initialised actions and numbers.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd.as_raw_fd(), number) })
    }

    fn change_directory_to_root(&mut self) -> io::Result<()> {
        // SAFETY: initialised actions and a static path.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, c"/".as_ptr()) })
    }

    fn close_from_three(&mut self) -> io::Result<()> {
        // SAFETY: initialised actions and a number.
        check(unsafe { posix_spawn_file_actions_addclosefrom_np(&raw mut self.0, 3) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used after.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// A new session, no signal blocked, and those we ignore or handle as they are by default.
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: a valid place to initialise.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised by the call that succeeded.
        let mut this = Self(unsafe { attributes.assume_init() });
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF | SETSID;
        let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
        // SAFETY: initialised attributes.
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut this.0, flags) })?;
        let (none, all) = signal_sets();
        // SAFETY: initialised attributes and set.
        check(unsafe { libc::posix_spawnattr_setsigmask(&raw mut this.0, &raw const none) })?;
        // SAFETY: initialised attributes and set.
        check(unsafe { libc::posix_spawnattr_setsigdefault(&raw mut this.0, &raw const all) })?;
        Ok(this)
    }
}

/// `POSIX_SPAWN_SETSID` of glibc 2.26 and musl.
const SETSID: libc::c_int = 0x80;

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used after.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

fn signal_sets() -> (libc::sigset_t, libc::sigset_t) {
    let mut none = MaybeUninit::uninit();
    let mut all = MaybeUninit::uninit();
    // SAFETY: a valid place to initialise; it cannot fail.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the same.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: initialised above.
    let none = unsafe { none.assume_init() };
    // SAFETY: initialised above.
    let all = unsafe { all.assume_init() };
    (none, all)
}

#[cfg(test)]
mod tests;
