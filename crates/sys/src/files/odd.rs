//! Files of ours that are not as we leave them: of a backup that was restored, say. In a folder of this user's alone nobody else can
//! have put them there, so they need not be refused; in any other nothing is touched.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{existing_private_dir, own_uid};

/// What is odd about what has a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// It is a file of this user's with this mode, so that others could read it, and write nothing.
    Readable(u32),
    /// Others could write to it.
    Writable(u32),
    /// It belongs to this other user.
    Foreign(u32),
    /// It is no regular file, but this.
    NoFile(&'static str),
}

impl std::fmt::Display for Oddity {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Readable(mode) => write!(to, "others could read it (mode {mode:04o})"),
            Self::Writable(mode) => write!(to, "others could write to it (mode {mode:04o})"),
            Self::Foreign(uid) => write!(to, "it belonged to uid {uid}"),
            Self::NoFile(kind) => write!(to, "it was {kind}"),
        }
    }
}

/// What is odd about a file in a private folder; `None`: nothing, or it is not there.
pub fn oddity(path: &Path) -> io::Result<Option<Oddity>> {
    let (folder, name) = place(path)?;
    let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat?,
    };
    Ok(judge(&stat))
}

fn judge(stat: &Stat) -> Option<Oddity> {
    let mode = stat.st_mode & 0o7777;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_uid != own_uid() => Some(Oddity::Foreign(stat.st_uid)),
        FileType::RegularFile if mode & 0o022 != 0 => Some(Oddity::Writable(mode)),
        FileType::RegularFile if mode & 0o077 != 0 => Some(Oddity::Readable(mode)),
        FileType::RegularFile => None,
        FileType::Symlink => Some(Oddity::NoFile("a link")),
        FileType::Directory => Some(Oddity::NoFile("a folder")),
        FileType::Fifo => Some(Oddity::NoFile("a pipe")),
        _ => Some(Oddity::NoFile("no regular file")),
    }
}

/// Makes a file in a private folder this user's alone, who has it already.
pub fn narrow(path: &Path) -> io::Result<()> {
    let (folder, name) = place(path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
    super::regular(&file)?;
    Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o600))?)
}

/// Gives what has this name in a private folder a name that nothing has: NAME.damaged-NUMBER.
pub fn set_aside(path: &Path, number: u64) -> io::Result<PathBuf> {
    let (folder, name) = place(path)?;
    let aside = |number: u64| format!("{}.damaged-{number}", name.to_string_lossy());
    // Two within a second, where the number is a time.
    let is_free = |number: &u64| {
        rustix::fs::statat(&folder, aside(*number), AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT)
    };
    let number = (number..=u64::MAX).take(1000).find(is_free).ok_or(io::ErrorKind::AlreadyExists)?;
    rustix::fs::renameat(&folder, name, &folder, aside(number))?;
    Ok(path.with_file_name(aside(number)))
}

/// The folder of a file, which must be private, and its name there.
fn place(path: &Path) -> io::Result<(OwnedFd, &std::ffi::OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((existing_private_dir(path.parent().unwrap_or(Path::new(".")))?, name))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::files::{open_private, open_private_read_only};

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    #[test]
    fn what_is_odd_is_named_and_gives_way() {
        let dir = folder();
        let path = dir.path().join("f");
        assert_eq!(oddity(&path).unwrap(), None, "not there");
        for kind in ["a link", "a folder", "a pipe"] {
            match kind {
                "a link" => symlink("nowhere", &path).unwrap(),
                "a folder" => std::fs::create_dir(&path).unwrap(),
                _ => {
                    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
                }
            }
            assert_eq!(oddity(&path).unwrap(), Some(Oddity::NoFile(kind)));
            assert!(open_private(&path).is_err() && open_private_read_only(&path).is_err(), "{kind}");
            assert!(std::fs::symlink_metadata(set_aside(&path, 7).unwrap()).is_ok());
            open_private(&path).unwrap();
            assert_eq!(oddity(&path).unwrap(), None);
            std::fs::remove_file(&path).unwrap();
        }
        let aside = |number| dir.path().join(format!("f.damaged-{number}"));
        assert!(
            aside(7).is_symlink() && aside(8).is_dir() && aside(9).exists(),
            "each has a name of its own"
        );
    }

    #[test]
    fn a_file_is_made_private_in_a_private_folder_alone() {
        let dir = folder();
        let path = dir.path().join("f");
        std::fs::write(&path, "x").unwrap();
        let set_mode =
            |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        set_mode(&path, 0o660);
        assert_eq!(oddity(&path).unwrap(), Some(Oddity::Writable(0o660)));
        set_mode(&path, 0o644);
        assert_eq!(oddity(&path).unwrap(), Some(Oddity::Readable(0o644)));
        set_mode(dir.path(), 0o750);
        assert!(oddity(&path).is_err() && narrow(&path).is_err() && set_aside(&path, 7).is_err());
        set_mode(dir.path(), 0o700);
        narrow(&path).unwrap();
        assert_eq!(oddity(&path).unwrap(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
    }
}
