//! The state folder of one daemon: its lock, its journal of leases and its notes of commands.

mod allowed;
mod begun;
mod fit;
mod journals;
mod place;
mod starts;
mod stops;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_config::Capabilities;
use aldaba_runner::journal::{Journal, JournalError};
use aldaba_runner::lease::LeaseId;
use aldaba_runner::record::{Entry, Moment};
use aldaba_runner::{Change, Part};
use aldaba_sys::clock;
use aldaba_sys::files::{self, LockError, LockFile};
use aldaba_sys::spawn::Note;

use allowed::Allowed;
use fit::Fit;
use journals::Journals;
pub use journals::Unwritten;
use starts::Starts;
pub use starts::Survivor;
pub use stops::{Progress, StopUnderWay, Stops};

/// The lock's name in the folder.
const LOCK: &str = "lock";
/// The name of the notes of start commands.
const STARTS: &str = "starts";
/// The name of the notes of stop commands.
const STOPS: &str = "stops";
/// The name of the note of what commands may.
const ALLOWED: &str = "capabilities";
/// The name of the note of where the daemon was.
const PLACE: &str = "place";

/// Locked by the process that closes what its daemon has left there.
const CLOSING: &str = "closing";

/// How long a starting daemon waits for a closer that has the lock: longer than that one holds it.
const PATIENCE: Duration = Duration::from_millis(2500);
/// How soon it looks again.
const AGAIN: Duration = Duration::from_millis(20);

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The folder cannot be made, or is not private.
    #[error(
        "state folder {}: {source}\n  help: make it for this user: install -d -m 0700 {}\n  \
         help: or name another one with --state-dir, or STATE_DIRECTORY in the environment (knockd)",
        path.display(), path.display()
    )]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error(
        "state folder {}: {source}\n  help: stop that daemon, or give this one a folder of its own: --state-dir",
        path.display()
    )]
    Locked {
        /// Which.
        path: PathBuf,
        /// Who has it.
        source: LockError,
    },
    /// The journal cannot be used.
    #[error("journal {}: {source}", path.display())]
    Journal {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: JournalError,
    },
}

/// The leases of a folder that nobody can write to. Nothing can be noted there either.
#[derive(Debug)]
pub struct Unwritable {
    /// All leases in the journal.
    pub entries: Vec<Entry>,
    /// What commands may, if that is noted and not all.
    pub capabilities: Option<u64>,
    /// Held for as long as this lives.
    _lock: LockFile,
}

impl Unwritable {
    /// Takes the folder, which must be there, and reads its journal.
    pub fn open(folder: &Path) -> Result<Self, KeeperError> {
        let lock =
            LockFile::acquire_read_only(&folder.join(LOCK)).map_err(|source| not_locked(folder, source))?;
        let path = folder.join(journals::NAMES[0]);
        let read = files::open_private_read_only(&path).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = read.map_err(|source| KeeperError::Folder { path: path.clone(), source })?;
        let entries = Journal::open_copy(bytes).and_then(|mut journal| journal.load_readable());
        let (entries, _) = entries.map_err(|source| KeeperError::Journal { path, source })?;
        let allowed = Allowed::open_read_only(&folder.join(ALLOWED)).ok();
        Ok(Self { entries, capabilities: allowed.and_then(|allowed| allowed.read()), _lock: lock })
    }
}

/// The word that one process alone closes what is left in a folder, for as long as this lives.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "held, not looked at")] LockFile);

/// The leases on disk, for a policy that needs them there.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    journals: Journals,
    starts: Starts,
    stops: Stops,
    allowed: Allowed,
    damage: Vec<String>,
    fit: Fit,
    /// Held for as long as the keeper lives; released last.
    _lock: LockFile,
}

impl Keeper {
    /// Takes the folder: makes it where it is missing, locks it, opens the journal.
    pub fn open(folder: &Path) -> Result<Self, KeeperError> {
        Self::open_with(folder, Journals::open)
    }

    /// The same for a daemon, which does not stay away because of what cannot be read any more: that is set aside, and what is
    /// lost with it is told by [`Keeper::damage`].
    pub fn open_or_set_aside(folder: &Path) -> Result<Self, KeeperError> {
        let mut damage = Vec::new();
        let mut keeper = Self::open_with(folder, |folder| Journals::open_or_set_aside(folder, &mut damage))?;
        keeper.damage = damage;
        Ok(keeper)
    }

    fn open_with(
        folder: &Path,
        open_journals: impl FnOnce(&Path) -> Result<Journals, KeeperError>,
    ) -> Result<Self, KeeperError> {
        files::private_dir(folder)
            .map_err(|source| KeeperError::Folder { path: folder.to_owned(), source })?;
        let (mut fit, path) = (Fit::default(), folder.join(LOCK));
        fit.lock(&path).map_err(|source| KeeperError::Folder { path: path.clone(), source })?;
        let lock = LockFile::acquire(&path).map_err(|source| not_locked(folder, source))?;
        // What nobody has to close depends on none of these; `leases.redb` is for who opens it to judge.
        for name in [journals::NAMES[1], STARTS, STOPS, ALLOWED, PLACE] {
            let path = folder.join(name);
            fit.replace(&path).map_err(|source| KeeperError::Folder { path, source })?;
        }
        let path = folder.join(journals::NAMES[0]);
        fit.narrow(&path).map_err(|source| KeeperError::Folder { path, source })?;
        let journals = open_journals(folder)?;
        let path = folder.join(STARTS);
        let starts = Starts::open(&path).map_err(|source| KeeperError::Folder { path, source })?;
        let path = folder.join(STOPS);
        let stops = Stops::open(&path).map_err(|source| KeeperError::Folder { path, source })?;
        let path = folder.join(ALLOWED);
        let allowed = Allowed::open(&path).map_err(|source| KeeperError::Folder { path, source })?;
        let folder = folder.to_owned();
        Ok(Self { folder, journals, starts, stops, allowed, damage: Vec::new(), fit, _lock: lock })
    }

    /// The same at a daemon's start: the closer of an earlier one may have the lock while it looks what is due,
    /// and may take the empty folder away under our hands. Another daemon keeps it for good.
    pub fn open_patiently(folder: &Path) -> Result<Self, KeeperError> {
        let start = clock::boottime();
        loop {
            let opened = Self::open_or_set_aside(folder);
            let passing = match &opened {
                Err(KeeperError::Locked { source: LockError::Held { .. }, .. }) => true,
                Err(KeeperError::Folder { source, .. }) if source.kind() == io::ErrorKind::NotFound => true,
                _ => false,
            };
            if !passing || clock::boottime().saturating_sub(start) > PATIENCE {
                return opened;
            }
            clock::rest(AGAIN);
        }
    }

    /// What stop commands of leases in this folder may need, for who has not opened it yet: all where that is not noted.
    #[must_use]
    pub fn owed(folder: &Path) -> Capabilities {
        if !folder.join(journals::NAMES[0]).exists() {
            return Capabilities::NONE;
        }
        let noted = Allowed::open_read_only(&folder.join(ALLOWED)).ok().and_then(|allowed| allowed.read());
        noted.map_or(Capabilities::ALL, Capabilities)
    }

    /// Whether an earlier run has left a journal in this folder.
    #[must_use]
    pub fn has_journal(folder: &Path) -> bool {
        journals::NAMES.iter().any(|name| folder.join(name).exists())
    }

    /// Whether one of leases by command is among it: the kernel closes the others.
    #[must_use]
    pub fn has_journal_of_commands(folder: &Path) -> bool {
        folder.join(journals::NAMES[0]).is_file()
    }

    /// Notes where the daemon is whose leases these are from now on.
    pub fn note_place(&self) {
        place::note(&self.folder.join(PLACE)).ok();
    }

    /// Whether the leases of this folder have their doors in another network namespace, as far as that is noted and still there.
    #[must_use]
    pub fn is_elsewhere(folder: &Path) -> bool {
        place::is_elsewhere(&folder.join(PLACE))
    }

    /// Says that this process closes what is left in this folder, and that no other one need begin to. Nothing else is locked by it.
    pub fn close_alone(folder: &Path) -> Result<Alone, LockError> {
        LockFile::acquire(&folder.join(CLOSING)).map(Alone)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes these changes: durable, as far as the machine's end must not undo them.
    pub fn change(&mut self, changes: &[Change], at: &Moment) -> Vec<Unwritten> {
        self.journals.change(changes, at)
    }

    /// Takes a lease out.
    pub fn remove(&mut self, lease: LeaseId) -> Result<(), JournalError> {
        self.journals.remove(lease)
    }

    /// All leases in it that can be read.
    pub fn load(&mut self) -> Result<Vec<Entry>, JournalError> {
        self.journals.load()
    }

    /// Whether it holds no lease, as far as that can be read to the end.
    pub fn is_empty(&mut self) -> bool {
        self.journals.is_empty()
    }

    /// What could not be read, and may have held doors open.
    #[must_use]
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Files that were not this user's alone, and now are.
    #[must_use]
    pub fn narrowed(&self) -> &[String] {
        &self.fit.narrowed
    }

    /// Files that could not be used and can be done without: they were set aside and begun anew.
    #[must_use]
    pub fn begun_anew(&self) -> &[String] {
        &self.fit.set_aside
    }

    /// The note that this command of a lease is to make of itself, if there is room for it.
    #[must_use]
    pub fn note(&self, part: Part, lease: LeaseId) -> Option<Note<'_>> {
        match part {
            Part::Start => self.starts.note(lease),
            Part::Stop => self.stops.note(lease),
        }
    }

    /// It could not be started.
    pub fn forget_note(&mut self, part: Part, lease: LeaseId) {
        match part {
            Part::Start => self.starts.clear_up(),
            Part::Stop => self.stops.forget(lease),
        }
    }

    /// The start command of this lease runs, and has noted itself.
    pub fn start_runs(&mut self, lease: LeaseId, pid: u32) {
        self.starts.add(lease, pid);
    }

    /// The start command with this process number has ended.
    pub fn forget_start(&mut self, pid: u32) {
        self.starts.remove(pid);
    }

    /// Start commands of an earlier daemon that still run.
    pub fn survivors(&mut self) -> Vec<Survivor> {
        self.starts.survivors()
    }

    /// The notes of stop commands.
    #[must_use]
    pub const fn stops(&self) -> &Stops {
        &self.stops
    }

    /// Notes what commands may from now on; `None`: all that the daemon may.
    pub fn allow(&self, capabilities: Option<u64>) {
        self.allowed.note(capabilities);
    }

    /// The same as a set: all where it is not noted.
    #[must_use]
    pub fn noted(&self) -> Capabilities {
        self.allowed().map_or(Capabilities::ALL, Capabilities)
    }

    /// What commands may, if that is noted and not all.
    #[must_use]
    pub fn allowed(&self) -> Option<u64> {
        self.allowed.read()
    }

    /// Ends the use of a folder of knockd's: one without leases is not left lying about.
    pub fn leave_nothing_behind(mut self) {
        if self.journals.is_empty() {
            // Still locked: nobody else can have it open. What cannot be removed does no harm.
            for name in journals::NAMES.into_iter().chain([STARTS, STOPS, ALLOWED, PLACE, CLOSING, LOCK]) {
                std::fs::remove_file(self.folder.join(name)).ok();
            }
            std::fs::remove_dir(&self.folder).ok();
        }
    }
}

fn not_locked(folder: &Path, source: LockError) -> KeeperError {
    let path = folder.to_owned();
    match source {
        LockError::Held { .. } => KeeperError::Locked { path, source },
        LockError::File(source) => KeeperError::Folder { path, source },
    }
}
