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
use aldaba_sys::{files, process};

use super::begun::{Begun, words};

/// More than ever run at once: those of a daemon (spec/leases.md, "When it is full") beside those of a closer.
const MOST: usize = 128;
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
}

/// The notes in their file. Clones share it.
#[derive(Debug, Clone)]
pub struct Stops(Arc<File>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
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
    fn places(&self) -> Vec<Option<Note>> {
        let mut bytes = [0; MOST * NOTE];
        self.0.read_at(&mut bytes, 0).ok();
        bytes.chunks_exact(NOTE).map(Note::read).collect()
    }

    fn notes(&self) -> impl Iterator<Item = (usize, Note)> {
        self.places().into_iter().enumerate().filter_map(|(place, note)| Some((place, note?)))
    }

    /// Notes a stop command that has just begun and cannot have been reaped, in the place of an earlier one of its lease.
    pub fn add(&self, lease: LeaseId, pid: u32) {
        let Some(command) = Begun::now(lease, pid) else { return };
        let places = self.places();
        let earlier = places.iter().position(|note| note.is_some_and(|note| note.command.lease == lease));
        if let Some(place) = earlier.or_else(|| places.iter().position(Option::is_none)) {
            self.write(place, 0, &Note { command, closed: false }.bytes());
        }
    }

    /// The stop command of this lease and number, which has ended and cannot have been reaped, has closed its door.
    pub fn closed(&self, lease: LeaseId, pid: u32) {
        let Some(command) = Begun::now(lease, pid) else { return };
        let own = Note { command, closed: false };
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
        let of = |Begun { lease, pid, .. }| StopUnderWay { lease, pid, progress: self.progress(lease, pid) };
        self.notes().map(|(_, note)| of(note.command)).collect()
    }

    /// How far the one of this lease and number has come.
    #[must_use]
    pub fn progress(&self, lease: LeaseId, pid: u32) -> Progress {
        match self.read(lease, pid).map_or(Progress::Gone, Note::progress) {
            // It may have ended between the two looks, at the note and at the process. Its note was there before it went.
            Progress::Gone if self.read(lease, pid).is_some_and(|note| note.closed) => Progress::Closed,
            progress => progress,
        }
    }

    fn read(&self, lease: LeaseId, pid: u32) -> Option<Note> {
        self.notes().map(|(_, note)| note).find(|note| (note.command.lease, note.command.pid) == (lease, pid))
    }

    fn write(&self, place: usize, within: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, (place * NOTE) as u64 + within).ok();
    }
}

impl Note {
    fn bytes(self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        let [lease, pid, began] = self.command.fields();
        let fields = [lease, pid, began, if self.closed { pid } else { 0 }];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

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
    use super::*;

    fn stops() -> (tempfile::TempDir, Stops) {
        let folder = tempfile::tempdir().unwrap();
        let stops = Stops::open(&folder.path().join("stops")).unwrap();
        (folder, stops)
    }

    #[test]
    fn what_has_closed_its_door_is_told_from_what_runs_and_what_is_gone() {
        let (folder, stops) = stops();
        stops.add(LeaseId(7), process::id());
        stops.add(LeaseId(8), process::parent_id());
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
        next.add(LeaseId(7), process::parent_id());
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
        for lease in 0..200 {
            stops.add(LeaseId(lease), process::id());
        }
        assert_eq!(stops.under_way().len(), MOST);
    }
}
