//! Where leases of a configuration have been kept, noted in a place that does not depend on it: who changes `state-dir` while doors are
//! open, and then everything is killed, has a next start and an `aldabad reap` that find the folder of before (spec/leases.md, "Folders of
//! other runs").
//!
//! Only folders that the configuration names are noted. Who names one on a command line, as the service manager does in the
//! environment, knows it.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use aldaba_sys::files;

use crate::state::checksum;

/// So many are remembered, the one in use among them.
const MOST: usize = 8;
/// The largest note there can be.
const LARGEST: u64 = 64 << 10;
/// How its first line begins; the configuration follows.
const OF: &[u8] = b"# of ";
const REMARK: &[u8] = b"# Where its leases have been kept, the latest last: aldabad(8), FILES.";

/// The folders that this configuration has named, the latest last. A note that others could have written is none.
#[must_use]
pub fn noted(place: &Path, config: &Path) -> Vec<PathBuf> {
    let bytes = files::read_private(&path(place, config), LARGEST).unwrap_or_default();
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if lines.next().and_then(|line| line.strip_prefix(OF)) != Some(config.as_os_str().as_bytes()) {
        return Vec::new();
    }
    let folders =
        lines.filter(|line| line.starts_with(b"/")).map(|line| PathBuf::from(OsStr::from_bytes(line)));
    folders.take(MOST).collect()
}

/// Notes that it names this one. Durable when it returns, since doors are open longer than the machine runs.
pub fn note(place: &Path, config: &Path, folder: &Path) -> io::Result<()> {
    let before = noted(place, config);
    if before.last().is_some_and(|last| last == folder) {
        return Ok(());
    }
    let kept = before.iter().map(PathBuf::as_path).filter(|other| *other != folder);
    let mut all: Vec<&Path> = kept.chain([folder]).collect();
    all.drain(..all.len().saturating_sub(MOST));
    let names = || std::iter::once(config).chain(all.iter().copied()).map(|path| path.as_os_str().as_bytes());
    if names().any(|name| name.contains(&b'\n')) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "its name has more than one line"));
    }
    let head = [OF, config.as_os_str().as_bytes(), b"\n", REMARK, b"\n"].concat();
    let lines = names().skip(1).flat_map(|name| [name, b"\n"]).collect::<Vec<_>>().concat();
    files::replace_private(&path(place, config), &[head, lines].concat())
}

fn path(place: &Path, config: &Path) -> PathBuf {
    place.join(format!("folders-{:016x}", checksum(config.as_os_str().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_every_folder_of_before_is_remembered() {
        let dir = tempfile::tempdir().expect("a folder");
        let (place, config) = (dir.path().join("place"), Path::new("/etc/aldaba/aldaba.toml"));
        let at = |number: usize| PathBuf::from(format!("/srv/state-{number}"));
        assert_eq!(noted(&place, config), Vec::<PathBuf>::new());
        for number in [1, 2, 1, 3, 3] {
            note(&place, config, &at(number)).expect("noted");
        }
        assert_eq!(noted(&place, config), [at(2), at(1), at(3)]);
        let other = Path::new("/etc/aldaba/other.toml");
        note(&place, other, &at(9)).expect("noted");
        assert_eq!(noted(&place, other), [at(9)]);
        for number in 10..20 {
            note(&place, config, &at(number)).expect("noted");
        }
        assert_eq!(noted(&place, config), (12..20).map(at).collect::<Vec<_>>());
        let error = note(&place, config, Path::new("/srv/a\n/srv/b")).expect_err("two lines");
        assert!(error.to_string().contains("one line"), "{error}");
    }

    #[test]
    fn a_note_that_others_can_write_or_of_another_file_is_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let (place, config) = (dir.path().join("place"), Path::new("/etc/aldaba/aldaba.toml"));
        note(&place, config, Path::new("/srv/state")).expect("noted");
        let note = path(&place, config);
        let bytes = std::fs::read(&note).expect("it is there");
        let renamed = [b"# of /etc/aldaba/other.toml".as_slice(), &bytes[bytes.len() - 12..]].concat();
        std::fs::write(&note, renamed).expect("written");
        assert!(noted(&place, config).is_empty());
        std::fs::write(&note, bytes).expect("written");
        assert_eq!(noted(&place, config).len(), 1);
        std::fs::set_permissions(&note, std::os::unix::fs::PermissionsExt::from_mode(0o620)).expect("set");
        assert!(noted(&place, config).is_empty());
    }
}
