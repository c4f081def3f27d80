//! The leases on disk, in two files (spec/leases.md, "Journal"). What a stop command has to close must be known whatever happens to
//! the machine. What the kernel closes goes with the machine: its records have to outlive the daemon alone, so nobody waits for
//! the disk because of them.

use std::fs::File;
use std::path::{Path, PathBuf};

use aldaba_runner::journal::{Journal, JournalError};
use aldaba_runner::lease::LeaseId;
use aldaba_runner::record::{Entry, Moment};
use aldaba_runner::{Change, Held};
use aldaba_sys::files;

use super::{KeeperError, fit};
use crate::fault::{self, Point};

/// The files' names in the folder: leases by command, leases by element.
pub(super) const NAMES: [&str; 2] = ["leases.redb", "elements.redb"];

/// Changes that could not be made.
#[derive(Debug)]
pub struct Unwritten {
    /// Whose records they are.
    pub leases: Vec<LeaseId>,
    /// Why.
    pub error: JournalError,
}

/// Both journals.
#[derive(Debug)]
pub(super) struct Journals {
    commands: Journal,
    /// Made with the first lease by element.
    elements: Option<Journal>,
    /// Where it is.
    path: PathBuf,
}

impl Journals {
    pub(super) fn open(folder: &Path) -> Result<Self, KeeperError> {
        Self::open_with(folder, open_commands)
    }

    /// The same, where what cannot be read is no reason to stop: it is set aside, and told.
    pub(super) fn open_or_set_aside(folder: &Path, damage: &mut Vec<String>) -> Result<Self, KeeperError> {
        Self::open_with(folder, |path| open_sound_commands(path, damage))
    }

    fn open_with(
        folder: &Path,
        open: impl FnOnce(&Path) -> Result<Journal, KeeperError>,
    ) -> Result<Self, KeeperError> {
        let [path, elements_path] = NAMES.map(|name| folder.join(name));
        let commands = open(&path)?;
        let path = elements_path;
        let elements = path.exists().then(|| open_elements(&path)).transpose();
        match elements {
            Ok(elements) => Ok(Self { commands, elements, path }),
            Err(source) => Err(KeeperError::Journal { path, source }),
        }
    }

    /// Every record that can be read, oldest lease first.
    pub(super) fn load(&mut self) -> Result<Vec<Entry>, JournalError> {
        let (mut entries, _) = self.commands.load_readable()?;
        if let Some(elements) = &mut self.elements {
            entries.extend(elements.load()?);
        }
        entries.sort_by_key(|entry| entry.record.id);
        Ok(entries)
    }

    /// Whether there is no record, and none that cannot be read.
    pub(super) fn is_empty(&mut self) -> bool {
        self.commands.load().is_ok_and(|entries| entries.is_empty())
            && self.load().is_ok_and(|entries| entries.is_empty())
    }

    /// Makes these changes, in one transaction for each file.
    pub(super) fn change(&mut self, changes: &[Change], at: &Moment) -> Vec<Unwritten> {
        let (elements, commands): (Vec<&Change>, Vec<&Change>) =
            changes.iter().partition(|change| self.is_of_element(change));
        let mut unwritten = Vec::new();
        if !commands.is_empty()
            && let Err(error) = write(&mut self.commands, &commands, at)
        {
            unwritten.push(Unwritten::of(&commands, error));
        }
        if !elements.is_empty()
            && let Err(error) = self.elements().and_then(|journal| write(journal, &elements, at))
        {
            unwritten.push(Unwritten::of(&elements, error));
        }
        unwritten
    }

    pub(super) fn remove(&mut self, lease: LeaseId) -> Result<(), JournalError> {
        let unwritten = self.change(&[Change::Remove(lease)], &Moment::UNKNOWN);
        unwritten.into_iter().next().map_or(Ok(()), |unwritten| Err(unwritten.error))
    }

    fn is_of_element(&mut self, change: &Change) -> bool {
        match (change, &mut self.elements) {
            (Change::Put(record), _) => matches!(record.held, Held::Element(_)),
            // One that cannot be read is written to, which then says so.
            (Change::Remove(lease), Some(elements)) => elements.contains(*lease).unwrap_or(true),
            (Change::Remove(_), None) => false,
        }
    }

    fn elements(&mut self) -> Result<&mut Journal, JournalError> {
        match &mut self.elements {
            Some(journal) => Ok(journal),
            none => Ok(none.insert(open_elements(&self.path)?)),
        }
    }
}

impl Unwritten {
    fn of(changes: &[&Change], error: JournalError) -> Self {
        Self { leases: changes.iter().map(|change| change.lease()).collect(), error }
    }
}

fn open_commands(path: &Path) -> Result<Journal, KeeperError> {
    let broken = |source| KeeperError::Journal { path: path.to_owned(), source };
    if was_emptied(path) {
        return Err(broken(JournalError::Damaged("it is empty".to_owned())));
    }
    begin_commands(path)
}

/// The same, of one that may be new.
fn begin_commands(path: &Path) -> Result<Journal, KeeperError> {
    let file: File =
        files::open_private(path).map_err(|source| KeeperError::Folder { path: path.to_owned(), source })?;
    Journal::open(file).map_err(|source| KeeperError::Journal { path: path.to_owned(), source })
}

/// Whether a journal has lost all its bytes. A new one gets them before the other files of the folder are made.
fn was_emptied(path: &Path) -> bool {
    let length = |path: &Path| std::fs::symlink_metadata(path).ok().map(|file| file.len());
    let others = [NAMES[1], super::STARTS, super::STOPS, super::ALLOWED, super::PLACE];
    length(path) == Some(0) && others.iter().any(|name| length(&path.with_file_name(name)).is_some())
}

/// A journal that can be read: one that is damaged is moved aside, records that are are left where they are.
fn open_sound_commands(path: &Path, damage: &mut Vec<String>) -> Result<Journal, KeeperError> {
    let broken = |source| KeeperError::Journal { path: path.to_owned(), source };
    let read = |mut journal: Journal| {
        let (_, unreadable) = journal.load_readable().map_err(broken)?;
        Ok((journal, unreadable))
    };
    let set_aside = |why: &dyn std::fmt::Display| {
        fit::aside(path, why).map_err(|source| KeeperError::Folder { path: path.to_owned(), source })
    };
    let oddity =
        files::oddity(path).map_err(|source| KeeperError::Folder { path: path.to_owned(), source })?;
    if let Some(oddity) = oddity {
        damage.push(set_aside(&oddity)?);
        return begin_commands(path);
    }
    match open_commands(path).and_then(read) {
        Ok((journal, unreadable)) => {
            damage.extend(
                (!unreadable.is_empty()).then(|| {
                    format!("{}: so many leases cannot be read: {}", path.display(), unreadable.len())
                }),
            );
            Ok(journal)
        }
        Err(KeeperError::Journal { source: JournalError::Damaged(why), .. }) => {
            damage.push(set_aside(&format!("it was damaged ({why})"))?);
            begin_commands(path)
        }
        Err(error) => Err(error),
    }
}

/// A damaged one is begun anew: only a power cut does that, and it has closed the doors, too.
fn open_elements(path: &Path) -> Result<Journal, JournalError> {
    let file: File = files::open_private(path)?;
    let whole = |file: File| {
        let mut journal = Journal::open_unsynced(file)?;
        journal.load().map(|_| journal)
    };
    match whole(file.try_clone()?) {
        Err(JournalError::Damaged(_)) => {
            file.set_len(0)?;
            whole(file)
        }
        opened => opened,
    }
}

fn write(journal: &mut Journal, changes: &[&Change], at: &Moment) -> Result<(), JournalError> {
    let put = |change: &&&Change| matches!(change, Change::Put(_));
    let (puts, removals) = (changes.iter().filter(put).count(), changes.len());
    for _ in 0..puts {
        fault::at(Point::BeforePut)?;
    }
    for _ in puts..removals {
        fault::at(Point::BeforeRemove)?;
    }
    journal.change(changes, at)?;
    for _ in 0..puts {
        fault::at(Point::AfterPut)?;
    }
    for _ in puts..removals {
        fault::at(Point::AfterRemove)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use aldaba_runner::Place;
    use aldaba_runner::door::Style;
    use aldaba_runner::record::{Phase, Record};

    use super::*;

    fn put(id: u64, held: Held) -> Change {
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
    }

    fn by_element(id: u64) -> Change {
        put(id, Held::Element(Place::Own { door: "ssh".into() }))
    }

    fn by_command(id: u64) -> Change {
        put(id, Held::Command { stop: None, time_limit: None })
    }

    fn ids(journals: &mut Journals) -> Vec<u64> {
        journals.load().expect("it loads").into_iter().map(|entry| entry.record.id.0).collect()
    }

    #[test]
    fn each_lease_has_its_file_and_both_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journals = Journals::open(folder.path()).expect("it opens");
        let elements = folder.path().join(NAMES[1]);
        assert!(journals.change(&[by_command(1)], &Moment::UNKNOWN).is_empty());
        assert!(!elements.exists(), "a daemon without doors by element has no such file");
        let changes = [by_element(2), by_command(3), Change::Remove(LeaseId(1)), by_element(4)];
        assert!(journals.change(&changes, &Moment::UNKNOWN).is_empty());
        drop(journals);
        let mut journals = Journals::open(folder.path()).expect("it opens again");
        assert_eq!(ids(&mut journals), [2, 3, 4]);
        journals.remove(LeaseId(2)).expect("from the one");
        journals.remove(LeaseId(3)).expect("from the other");
        journals.remove(LeaseId(9)).expect("from neither");
        assert_eq!(ids(&mut journals), [4]);
    }

    #[test]
    fn r1_what_cannot_be_read_is_not_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journals = Journals::open(folder.path()).expect("it opens");
        assert!(journals.is_empty());
        drop(journals);
        let leases = redb::TableDefinition::<u64, &[u8]>::new("leases");
        let database = redb::Database::open(folder.path().join(NAMES[0])).expect("it opens");
        let write = database.begin_write().expect("begun");
        write
            .open_table(leases)
            .and_then(|mut table| Ok(table.insert(7, &b"?"[..])?.is_none()))
            .expect("put");
        write.commit().expect("written");
        drop(database);
        let mut journals = Journals::open(folder.path()).expect("it opens");
        assert_eq!(ids(&mut journals), Vec::<u64>::new());
        assert!(!journals.is_empty(), "a door may be open");
    }

    #[test]
    fn a_damaged_file_of_elements_is_begun_anew_and_one_of_commands_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journals = Journals::open(folder.path()).expect("it opens");
        assert!(journals.change(&[by_command(1), by_element(2)], &Moment::UNKNOWN).is_empty());
        drop(journals);
        let damage = |name: &str| {
            let path = folder.path().join(name);
            let length = std::fs::metadata(&path).expect("it is there").len();
            std::fs::write(&path, vec![0x5a; usize::try_from(length).expect("small")]).expect("written");
        };
        damage(NAMES[1]);
        let mut journals = Journals::open(folder.path()).expect("it opens all the same");
        assert_eq!(ids(&mut journals), [1]);
        assert!(journals.change(&[by_element(3)], &Moment::UNKNOWN).is_empty());
        assert_eq!(ids(&mut journals), [1, 3]);
        drop(journals);
        damage(NAMES[0]);
        let error = Journals::open(folder.path()).expect_err("doors may be open");
        assert!(error.to_string().contains("the lease journal is damaged"), "{error}");
    }
}
