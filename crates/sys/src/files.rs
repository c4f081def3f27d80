//! Files that matter: private folders, locks, logs, pid files. Opened first, then judged by the descriptor, so that
//! nothing can be exchanged in between.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

mod odd;
mod whole;

pub use odd::{Oddity, narrow, oddity, set_aside};
pub use whole::{Staged, create_whole, lock_folder, replace_private, replace_whole};

fn open(path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode))?)
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A folder for this user alone; made when it is missing, its parents too. One that others own or can enter is refused.
pub fn private_dir(path: &Path) -> io::Result<OwnedFd> {
    make_dirs(path)?;
    existing_private_dir(path)
}

/// Whether it is such a folder already, and no link to one.
#[must_use]
pub fn is_private_dir(path: &Path) -> bool {
    existing_private_dir(path).is_ok()
}

fn existing_private_dir(path: &Path) -> io::Result<OwnedFd> {
    let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0)?;
    let stat = rustix::fs::fstat(&folder)?;
    if stat.st_uid != own_uid() {
        return Err(wrong(format!("it belongs to uid {}, not to uid {}", stat.st_uid, own_uid())));
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(wrong(format!(
            "others can enter it (mode {:04o}); run: chmod 0700 {}",
            stat.st_mode & 0o7777,
            path.display()
        )));
    }
    Ok(folder)
}

/// A folder that others may look into and nobody but this user can change; made when it is missing, its parents too.
pub fn public_dir(path: &Path) -> io::Result<()> {
    make_dirs_with(path, 0o755)?;
    unchangeable_dir(path, &[own_uid()]).map(drop)
}

/// A folder that nobody but this user or root can change; made, private, where there is none.
pub fn own_dir(path: &Path) -> io::Result<OwnedFd> {
    make_dirs(path)?;
    unchangeable_dir(path, &[own_uid(), 0])
}

/// Opens a folder that one of `owners` has and nobody else can change.
fn unchangeable_dir(path: &Path, owners: &[u32]) -> io::Result<OwnedFd> {
    let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let stat = rustix::fs::fstat(&folder)?;
    if !owners.contains(&stat.st_uid) {
        return Err(wrong(format!(
            "{} belongs to uid {}, not to uid {}",
            path.display(),
            stat.st_uid,
            own_uid()
        )));
    }
    if stat.st_mode & 0o022 != 0 {
        let (path, mode) = (path.display(), stat.st_mode & 0o7777);
        return Err(wrong(format!("others can change {path} (mode {mode:04o}); run: chmod go-w {path}")));
    }
    Ok(folder)
}

fn make_dirs(path: &Path) -> io::Result<()> {
    make_dirs_with(path, 0o700)
}

fn make_dirs_with(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_dirs_with(parent, mode)?;
    }
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A file of ours in a private folder, made when it is missing, mode 0600. Links and foreign files are refused.
pub fn open_private(path: &Path) -> io::Result<File> {
    private(path, OFlags::RDWR | OFlags::CREATE)
}

/// The same for reading alone, of a file that is there.
pub fn open_private_read_only(path: &Path) -> io::Result<File> {
    private(path, OFlags::RDONLY)
}

fn private(path: &Path, flags: OFlags) -> io::Result<File> {
    // A pipe in its place is not waited for.
    let fd = open(path, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0o600)?;
    if is_loose(&fd)? {
        return Err(wrong(format!("it is not this user's alone; run: chmod 0600 {}", path.display())));
    }
    Ok(fd.into())
}

/// Whether others have, or can use, this regular file.
fn is_loose(fd: &impl AsFd) -> io::Result<bool> {
    let stat = regular(fd)?;
    Ok(stat.st_uid != own_uid() || stat.st_mode & 0o077 != 0)
}

/// The bytes of a file of ours, at most so many, from a folder that is as private as the file: nobody else can have written it, nor
/// put another one of ours in its place. Nothing is made, and links are refused.
pub fn read_private(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = existing_private_dir(path.parent().unwrap_or(Path::new(".")))?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
    if is_loose(&fd)? {
        return Err(wrong("others could use it, so that it may be theirs".to_owned()));
    }
    let mut bytes = Vec::new();
    File::from(fd).take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > most) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Takes disk space for a file's first `bytes` in advance, without changing its length. A file system that cannot do that is
/// left alone.
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes.max(1)) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// An existing regular file in which bytes are to be overwritten.
pub fn open_for_marking(path: &Path) -> io::Result<File> {
    let fd = open(path, OFlags::RDWR | OFlags::NONBLOCK, 0)?;
    regular(&fd)?;
    Ok(fd.into())
}

fn regular(fd: &impl AsFd) -> io::Result<Stat> {
    let stat = rustix::fs::fstat(fd)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok(stat)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Overwrites one byte; it is on the disk when this returns.
pub fn overwrite_byte_durably(file: &File, offset: u64, byte: u8) -> io::Result<()> {
    file.write_all_at(&[byte], offset)?;
    file.sync_data()
}

/// A log file, appended to; made when it is missing, with the mode the umask leaves of 0666, as it always was.
pub fn append_log(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOCTTY | OFlags::NONBLOCK;
    Ok(open(path, flags, 0o666)?.into())
}

/// Why a lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("another daemon uses it{}", holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// Its process number, if it has written one.
        holder: Option<u32>,
    },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// A lock that ends with the process, and says whose it is.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock, or says who has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let file = lock(path, open_private)?;
        file.set_len(0)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        Ok(Self { _file: file })
    }

    /// The same where nothing can be written: the file must be there, and does not say whose the lock is.
    pub fn acquire_read_only(path: &Path) -> Result<Self, LockError> {
        Ok(Self { _file: lock(path, open_private_read_only)? })
    }
}

/// Locks the file of this name. One that its holder took away in the moment between opening and locking is nobody's lock any
/// more: then the one that has its name now is tried.
fn lock(path: &Path, open: fn(&Path) -> io::Result<File>) -> Result<File, LockError> {
    loop {
        let mut file = open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if has_name(&file, path)? => return Ok(file),
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                return Err(LockError::Held { holder: text.trim().parse().ok() });
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// Whether an open file is still the one of this name.
fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let ours = rustix::fs::fstat(file)?;
    match rustix::fs::lstat(path) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The file with a daemon's process number.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes this process's number and a newline. A link is not followed.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = File::from(open(&path, flags, 0o666)?);
        let text = format!("{}\n", std::process::id());
        file.write_all(text.as_bytes())?;
        Ok(Self { path, text })
    }

    /// Takes the file away if it is still ours.
    pub fn remove(&self) {
        if std::fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            // What cannot be removed is stale, which every reader of pid files must expect.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Device and inode of standard error.
#[must_use]
pub fn identity_of_stderr() -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(io::stderr()).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// The C library's text for an error, without the number std adds.
#[must_use]
pub fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
