//! Stop commands under way, noted on disk: whoever begins while one of an earlier process of ours still runs must not run a
//! second one beside it, and learns here whether it has closed its door (spec/leases.md, "Stop commands under way").
//!
//! A note is begun under the lock. How its command has ended is written without it, by the process that has started it and into
//! the note's own place: somebody else may have the lock by then, and waits for just that.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use aldaba_runner::lease::LeaseId;
use aldaba_sys::spawn::{Mark, Note};
use aldaba_sys::{files, process};

use super::begun::{Begun, words};

/// As many as ever run at once (spec/leases.md, "When it is full").
const MOST: usize = 512;
/// Bytes of one note: lease, process number, the process's start time, and the process number again once it has closed the
/// door, each a u64.
const NOTE: usize = 32;
/// Where the last of them stands.
const CLOSED: u64 = 24;

/// How far a stop command has come that another process of ours began.
#[derive(Debug)]
pub enum Progress {
    /// It runs.
    Running(OwnedFd),
    /// It has ended, and who began it is about to say how.
    Ending,
    /// It has closed its door.
    Closed,
    /// It has not, or nobody knows.
    Gone,
}

/// A stop command that another process of ours began.
#[derive(Debug)]
pub struct StopUnderWay {
    /// Whose it is.
    pub lease: LeaseId,
    /// Its process number, which is also its group's.
    pub pid: u32,
    /// How far it has come.
    pub progress: Progress,
    /// What it and all it has started bear, if it is a confined one.
    pub mark: Option<Mark>,
}

/// The notes in their file. Clones share it.
#[derive(Debug, Clone)]
pub struct Stops(Arc<File>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    command: Begun,
    closed: bool,
}

impl Stops {
    /// Opens the file, with its room taken in advance.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = files::open_private(path)?;
        // Where there is no room now, a stop command is not waited for; no door stays open for that.
        files::reserve(&file, (MOST * NOTE) as u64).ok();
        Ok(Self(Arc::new(file)))
    }

    /// The places and what they hold.
    fn places(&self) -> Vec<Option<Noted>> {
        let mut bytes = [0; MOST * NOTE];
        self.0.read_at(&mut bytes, 0).ok();
        bytes.chunks_exact(NOTE).map(Noted::read).collect()
    }

    fn notes(&self) -> impl Iterator<Item = (usize, Noted)> {
        self.places().into_iter().enumerate().filter_map(|(place, note)| Some((place, note?)))
    }

    /// The note that a stop command makes of itself, in the place of an earlier one of its lease.
    #[must_use]
    pub fn note(&self, lease: LeaseId) -> Option<Note<'_>> {
        let places = self.places();
        let earlier = places.iter().position(|note| note.is_some_and(|note| note.command.lease == lease));
        let place = earlier.or_else(|| places.iter().position(Option::is_none))?;
        self.write(place, 0, &[0; NOTE]);
        Some(Note::new(self.0.as_fd(), (place * NOTE) as u64, lease.0))
    }

    /// The stop command of this lease and number, which has ended and cannot have been reaped, has closed its door.
    pub fn closed(&self, lease: LeaseId, pid: u32) {
        let Some(command) = Begun::now(lease, pid) else { return };
        let own = Noted { command, closed: false };
        if let Some((place, _)) = self.notes().find(|(_, note)| *note == own) {
            self.write(place, CLOSED, &u64::from(pid).to_le_bytes());
        }
    }

    /// There is nothing more to know about this lease.
    pub fn forget(&self, lease: LeaseId) {
        self.keep(|command| command.lease != lease);
    }

    /// The same about this process.
    pub fn forget_process(&self, pid: u32) {
        self.keep(|command| command.pid != pid);
    }

    /// Forgets all but those of these leases.
    pub fn forget_others(&self, leases: &[LeaseId]) {
        self.keep(|command| leases.contains(&command.lease));
    }

    fn keep(&self, is_kept: impl Fn(Begun) -> bool) {
        for (place, _) in self.notes().filter(|(_, note)| !is_kept(note.command)) {
            self.write(place, 0, &[0; NOTE]);
        }
    }

    /// What is noted.
    #[must_use]
    pub fn under_way(&self) -> Vec<StopUnderWay> {
        let of = |command: Begun| {
            let Begun { lease, pid, .. } = command;
            StopUnderWay { lease, pid, progress: self.progress(lease, pid), mark: command.mark() }
        };
        self.notes().map(|(_, note)| of(note.command)).collect()
    }

    /// How far the one of this lease and number has come.
    #[must_use]
    pub fn progress(&self, lease: LeaseId, pid: u32) -> Progress {
        match self.read(lease, pid).map_or(Progress::Gone, Noted::progress) {
            // It may have ended between the two looks, at the note and at the process. Its note was there before it went.
            Progress::Gone if self.read(lease, pid).is_some_and(|note| note.closed) => Progress::Closed,
            progress => progress,
        }
    }

    fn read(&self, lease: LeaseId, pid: u32) -> Option<Noted> {
        self.notes().map(|(_, note)| note).find(|note| (note.command.lease, note.command.pid) == (lease, pid))
    }

    fn write(&self, place: usize, within: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, (place * NOTE) as u64 + within).ok();
    }
}

impl Noted {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [lease, pid, began, closed] = words(bytes)?;
        Some(Self { command: Begun::read([lease, pid, began])?, closed: closed == pid })
    }

    fn progress(self) -> Progress {
        if self.closed {
            return Progress::Closed;
        }
        match self.command.process() {
            None => Progress::Gone,
            Some(process) if process::has_ended(process.as_fd()) => Progress::Ending,
            Some(process) => Progress::Running(process),
        }
    }
}

#[cfg(test)]
mod tests {
    use aldaba_sys::spawn::note_bytes;

    use super::*;

    /// As a stop command with this number begins.
    fn begin(stops: &Stops, lease: LeaseId, pid: u32) {
        if stops.note(lease).is_some() {
            let place = stops.places().iter().position(Option::is_none).unwrap();
            stops.write(place, 0, &note_bytes(lease.0, pid, process::start_time(pid).unwrap()));
        }
    }

    fn stops() -> (tempfile::TempDir, Stops) {
        let folder = tempfile::tempdir().unwrap();
        let stops = Stops::open(&folder.path().join("stops")).unwrap();
        (folder, stops)
    }

    #[test]
    fn what_has_closed_its_door_is_told_from_what_runs_and_what_is_gone() {
        let (folder, stops) = stops();
        begin(&stops, LeaseId(7), process::id());
        begin(&stops, LeaseId(8), process::parent_id());
        stops.closed(LeaseId(8), process::parent_id());
        stops.closed(LeaseId(9), process::id());
        let next = Stops::open(&folder.path().join("stops")).unwrap();
        let found = next.under_way();
        assert_eq!(found.iter().map(|stop| stop.lease.0).collect::<Vec<_>>(), [7, 8]);
        assert!(matches!(found[0].progress, Progress::Running(_)));
        assert!(matches!(found[1].progress, Progress::Closed));
        assert!(matches!(next.progress(LeaseId(8), process::id()), Progress::Gone), "another process");
        next.forget(LeaseId(8));
        assert!(matches!(stops.progress(LeaseId(8), process::parent_id()), Progress::Gone));
        // A lease has one place, and what another command of it has done is not believed of this one.
        begin(&next, LeaseId(7), process::parent_id());
        stops.closed(LeaseId(7), process::id());
        assert_eq!(next.under_way().len(), 1);
        assert!(matches!(next.under_way()[0].progress, Progress::Running(_)));
        next.forget_others(&[]);
        assert!(stops.under_way().is_empty());
    }

    #[test]
    fn a_damaged_file_names_nobody_and_more_than_there_is_room_for_is_left_out() {
        let (folder, stops) = stops();
        for bytes in [&[0xff; 5000][..], &[1; 31], b""] {
            std::fs::write(folder.path().join("stops"), bytes).unwrap();
            assert!(stops.under_way().is_empty());
        }
        for lease in 0..600 {
            begin(&stops, LeaseId(lease), process::id());
        }
        assert_eq!(stops.under_way().len(), MOST);
    }
}
