//! Files of the folder that are not as a daemon leaves them, made fit for use: those of a backup that was restored, say. Nobody else
//! can have put them into a private folder, and none of them is a reason to leave doors open or the administrator out.

use std::io;
use std::path::Path;

use aldaba_sys::clock;
use aldaba_sys::files::{self, Oddity};

/// What was done, in words.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// Files that others could read, and that are this user's alone now.
    pub(super) narrowed: Vec<String>,
    /// Files that were begun anew, under which name they are kept, and why.
    pub(super) set_aside: Vec<String>,
}

impl Fit {
    /// A file that others could only read is used; its folder has kept them out.
    pub(super) fn narrow(&mut self, path: &Path) -> io::Result<()> {
        let Some(Oddity::Readable(mode)) = files::oddity(path)? else { return Ok(()) };
        self.make_private(path, mode)
    }

    /// A file that is of use and can be done without: what cannot be used is set aside.
    pub(super) fn replace(&mut self, path: &Path) -> io::Result<()> {
        self.narrow(path)?;
        if let Some(oddity) = files::oddity(path)? {
            self.set_aside.push(aside(path, oddity)?);
        }
        Ok(())
    }

    /// The lock. What another process of ours may hold keeps its place, since a second file of this name would be a second lock:
    /// whatever the mode of a file is, what is in it means nothing.
    pub(super) fn lock(&mut self, path: &Path) -> io::Result<()> {
        if files::oddity(path)?.is_none() {
            return Ok(());
        }
        // One at a time: what takes the place of an odd one is not odd.
        let _alone = files::lock_folder(path.parent().unwrap_or(Path::new(".")))?;
        match files::oddity(path)? {
            Some(Oddity::Readable(mode) | Oddity::Writable(mode)) => self.make_private(path, mode),
            Some(oddity @ Oddity::NoFile(_)) => {
                self.set_aside.push(aside(path, oddity)?);
                // Made before another one looks.
                files::open_private(path).map(drop)
            }
            Some(Oddity::Foreign(_)) | None => Ok(()),
        }
    }

    fn make_private(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        files::narrow(path)?;
        self.narrowed.push(format!("{} had mode {mode:04o} and now has 0600", path.display()));
        Ok(())
    }
}

/// Gives what has this name another one, and says so.
pub(super) fn aside(path: &Path, why: impl std::fmt::Display) -> io::Result<String> {
    let aside = files::set_aside(path, clock::wall().as_secs())?;
    Ok(format!("{}: {why}, and is now {}", path.display(), aside.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::net::IpAddr;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::time::Duration;

    use aldaba_runner::door::Style;
    use aldaba_runner::lease::{Held, LeaseId};
    use aldaba_runner::record::{Moment, Phase, Record};
    use aldaba_runner::{Change, Place};
    use aldaba_sys::files;

    use super::super::{Keeper, KeeperError};

    const NOTES: [&str; 4] = ["starts", "stops", "capabilities", "elements.redb"];
    const ODDITIES: [&str; 5] = ["link", "folder", "socket", "written", "read"];

    /// A folder with one lease by command, number 1, and one by element.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let put = |id, held| {
            Change::Put(Record {
                id: LeaseId(id),
                door: "ssh".into(),
                style: Style::Native,
                address: IpAddr::from([192, 0, 2, 1]),
                owner: None,
                seconds: 30,
                held,
                deadline: Duration::from_secs(100),
                phase: Phase::Open,
            })
        };
        let changes = [
            put(1, Held::Command { stop: None, time_limit: None }),
            put(2, Held::Element(Place::Own { door: "ssh".into() })),
        ];
        let mut keeper = Keeper::open(&folder).unwrap();
        assert!(keeper.change(&changes, &Moment::UNKNOWN).is_empty());
        keeper.allow(Some(0x3000));
        (dir, folder)
    }

    fn make_odd(path: &std::path::Path, how: &str) {
        let mode = |mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let moved = path.with_extension("moved");
        match how {
            "read" => return mode(0o644),
            "written" => return mode(0o664),
            _ => std::fs::rename(path, &moved).unwrap(),
        }
        match how {
            "link" => symlink(&moved, path).unwrap(),
            "folder" => std::fs::create_dir(path).unwrap(),
            _ => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        }
    }

    fn leases(keeper: &mut Keeper) -> Vec<u64> {
        keeper.load().unwrap().into_iter().map(|entry| entry.record.id.0).collect()
    }

    fn is_private(path: &std::path::Path) -> bool {
        let about = std::fs::symlink_metadata(path).unwrap();
        about.is_file() && about.permissions().mode() & 0o777 == 0o600
    }

    #[test]
    fn r3_an_odd_file_of_the_state_folder_is_no_reason_to_stay_away() {
        for how in ODDITIES {
            for name in NOTES.into_iter().chain(["lock", "leases.redb"]) {
                let (_dir, folder) = folder();
                make_odd(&folder.join(name), how);
                let mut keeper = Keeper::open_or_set_aside(&folder).unwrap();
                let (narrowed, anew) = (keeper.narrowed().len(), keeper.begun_anew().len());
                let lost = keeper.damage().len();
                let expected = match name {
                    _ if how == "read" => (1, 0, 0),
                    "lock" if how == "written" => (1, 0, 0),
                    "leases.redb" => (0, 0, 1),
                    _ => (0, 1, 0),
                };
                assert_eq!((narrowed, anew, lost), expected, "{name} {how}");
                let left: &[u64] = match name {
                    "leases.redb" if how != "read" => &[2],
                    "elements.redb" if how != "read" => &[1],
                    _ => &[1, 2],
                };
                assert_eq!(leases(&mut keeper), left, "{name} {how}");
                let is_noted = name != "capabilities" || how == "read";
                assert_eq!(keeper.allowed(), is_noted.then_some(0x3000), "{name} {how}");
                assert!(left == [1] && name == "elements.redb" || is_private(&folder.join(name)));
                drop(keeper);
                let again = Keeper::open_or_set_aside(&folder).unwrap();
                assert!(again.narrowed().len() + again.begun_anew().len() + again.damage().len() == 0);
            }
        }
    }

    /// The closer and `aldabad reap` close what the notes know nothing of; the journal they leave where it is.
    #[test]
    fn r3_odd_notes_keep_no_door_open_and_an_odd_journal_is_left_to_the_daemon() {
        for name in NOTES {
            let (_dir, folder) = folder();
            make_odd(&folder.join(name), "folder");
            assert!(leases(&mut Keeper::open(&folder).unwrap()).contains(&1), "{name}");
        }
        for how in ["link", "folder", "socket", "written"] {
            let (_dir, folder) = folder();
            make_odd(&folder.join("leases.redb"), how);
            Keeper::open(&folder).unwrap_err();
            assert_eq!(Keeper::open_or_set_aside(&folder).unwrap().damage().len(), 1, "it was left: {how}");
        }
    }

    #[test]
    fn r3_a_journal_that_was_emptied_is_damaged_and_a_new_one_is_not() {
        let (dir, folder) = folder();
        std::fs::write(folder.join("leases.redb"), "").unwrap();
        assert!(matches!(Keeper::open(&folder), Err(KeeperError::Journal { .. })));
        let mut keeper = Keeper::open_or_set_aside(&folder).unwrap();
        assert_eq!((keeper.damage().len(), leases(&mut keeper)), (1, vec![2]));
        // As a crash leaves one that was just made.
        let new = dir.path().join("new");
        files::private_dir(&new).unwrap();
        files::open_private(&new.join("leases.redb")).unwrap();
        assert!(Keeper::open_or_set_aside(&new).unwrap().damage().is_empty());
    }
}
