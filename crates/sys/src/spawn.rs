//! Starting the commands of doors, and ending them with everything they have started.
//!
//! A command has descriptors 0, 1 and 2 and no others, its own session, no signal blocked or ignored. No address space is copied
//! for it (`spawn/enter.rs`).

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::io::Errno;

use crate::notify::VARIABLES;

mod enter;
mod limits;
mod mark;
mod note;
mod tree;

pub use mark::Mark;
pub use note::{Note, bytes as note_bytes};
pub use tree::{kill_marked, kill_strays, signal_marked, signal_trees, strays};

/// The environment of a confined command.
const ENVIRONMENT: [&CStr; 2] =
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
    /// Fixed environment, directory `/`, no input, output captured, limits of its own.
    Confined {
        /// It is to end with all it has started, which bears its mark for that.
        marked: bool,
    },
    /// The daemon's environment (without what its service manager has set for it alone), directory, input and output.
    AsTheDaemon,
}

/// A command that was started.
#[derive(Debug)]
pub struct Child {
    /// Its process number, which is also its session's and its group's.
    pub pid: u32,
    /// When it began, in the kernel's ticks since boot, as far as that could be read.
    pub began: Option<u64>,
    /// Where a confined command's output comes out; it never blocks.
    pub output: Option<OwnedFd>,
    /// What it and all it starts bear.
    pub mark: Option<Mark>,
}

/// Starts a command, which writes this note of itself first. A program that cannot be executed is an error here, not an exit
/// status, though its note may be written; one whose file cannot be read yet counts as running, and ends with status 127 if it
/// never can.
pub fn start(program: &Program, conduct: Conduct, note: Option<&Note<'_>>) -> io::Result<Child> {
    start_as(program, conduct, note, None)
}

/// The same, with no more than these capabilities of ours; bit *n* is the kernel's capability *n*.
pub fn start_with(
    program: &Program,
    conduct: Conduct,
    note: Option<&Note<'_>>,
    capabilities: u64,
) -> io::Result<Child> {
    start_as(program, conduct, note, Some(capabilities))
}

fn start_as(
    program: &Program,
    conduct: Conduct,
    note: Option<&Note<'_>>,
    capabilities: Option<u64>,
) -> io::Result<Child> {
    let (files, words) = words(program)?;
    let (is_confined, is_marked) = match conduct {
        Conduct::Confined { marked } => (true, marked),
        Conduct::AsTheDaemon => (false, false),
    };
    let (output, theirs) = is_confined.then(output).transpose()?.unzip();
    let (pid, began) = enter::start(enter::Plan {
        files,
        words,
        environment: if is_confined { ENVIRONMENT.map(CStr::to_owned).into() } else { inherited() },
        output: theirs.as_ref().map(AsRawFd::as_raw_fd),
        is_marked,
        note: note.map(Note::raw),
        capabilities,
    })?;
    let mark = began.filter(|_| is_marked).and_then(|began| Mark::of(pid, began));
    Ok(Child { pid, began, output, mark })
}

/// Starts a thread that does nothing and waits for it, as a command's start has one. At the first of them the C library looks up
/// functions by their names, in tables that nothing else needs: whoever gives pages back afterwards is rid of them.
pub fn rehearse() {
    // Where there can be no thread now there may be one when it is needed.
    if let Ok(thread) = std::thread::Builder::new().spawn(|| ()) {
        let _ = thread.join();
    }
}

/// A pipe for what a command prints: our end, which never blocks, and its own.
fn output() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
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

/// The files to try, in their order, and the words of the command.
fn words(program: &Program) -> io::Result<(Vec<CString>, Vec<CString>)> {
    let text = |word: OsString| CString::new(word.into_vec()).map_err(|_| io::ErrorKind::InvalidInput.into());
    match program {
        Program::Shell(line) => {
            let words = vec![c"sh".to_owned(), c"-c".to_owned(), text(line.clone())?];
            Ok((vec![c"/bin/sh".to_owned()], words))
        }
        Program::Argv(words) => {
            let words = words.iter().cloned().map(text).collect::<io::Result<Vec<_>>>()?;
            let name = words.first().ok_or(io::ErrorKind::InvalidInput)?;
            Ok((files(name)?, words))
        }
    }
}

/// Whether there is a program of this name that can be started.
#[must_use]
pub fn is_there(name: &str) -> bool {
    let files = CString::new(name).ok().and_then(|name| files(&name).ok()).unwrap_or_default();
    files.iter().any(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

/// The files that a program's name may mean: the search path is the fixed one, whatever the daemon's environment says.
fn files(name: &CString) -> io::Result<Vec<CString>> {
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![name.clone()]);
    }
    let in_folder = |folder: &&str| CString::new([folder.as_bytes(), b"/", name.as_bytes()].concat());
    PATH.iter().map(|folder| in_folder(folder).map_err(|_| io::ErrorKind::InvalidInput.into())).collect()
}

/// This process's environment as a command may have it.
fn inherited() -> Vec<CString> {
    let ours = std::env::vars_os().filter(|(name, _)| VARIABLES.iter().all(|kept| name != kept));
    // Neither part of a variable can hold a zero.
    ours.filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}

#[cfg(test)]
mod tests;
