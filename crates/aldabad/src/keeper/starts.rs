//! Start commands under way, noted on disk: a daemon that begins while one of an earlier daemon still runs must not
//! overtake it with the stop command (spec/leases.md, "Start commands under way").
//!
//! A command's own process writes its note before it becomes the command. A note need not survive the machine, only us: the commands
//! go with the boot too. So the disk is not waited for, and it costs an opening nothing.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aldaba_runner::lease::LeaseId;
use aldaba_sys::spawn::{Mark, Note};
use aldaba_sys::{files, process};

use super::begun::{Begun, words};

/// More than ever run at once (spec/leases.md, "When it is full").
const MOST: usize = 64;
/// Bytes of one note: lease, process number and the process's start time, each a u64.
const NOTE: usize = 24;

/// A start command that an earlier daemon began and that still runs.
#[derive(Debug)]
pub struct Survivor {
    /// Whose it is.
    pub lease: LeaseId,
    /// Its process number, which is also its group's.
    pub pid: u32,
    /// Its process.
    pub process: OwnedFd,
    /// What it and all it has started bear, if it is a confined one.
    pub mark: Option<Mark>,
}

/// The notes and their file.
#[derive(Debug)]
pub(super) struct Starts {
    file: File,
    notes: Vec<Begun>,
}

impl Starts {
    /// Opens the file, with its room taken in advance: a full disk later on changes nothing.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = files::open_private(path)?;
        // Where there is no room now, a start command is not waited for; no door stays shut for that.
        files::reserve(&file, (MOST * NOTE) as u64).ok();
        let mut bytes = [0; MOST * NOTE];
        let length = file.read_at(&mut bytes, 0).unwrap_or_default();
        let notes = bytes[..length].chunks_exact(NOTE).filter_map(words).filter_map(Begun::read).collect();
        Ok(Self { file, notes })
    }

    /// Those noted earlier that still run. The others are forgotten.
    pub(super) fn survivors(&mut self) -> Vec<Survivor> {
        let survivors: Vec<Survivor> = self.notes.iter().filter_map(survivor).collect();
        self.notes.retain(|note| survivors.iter().any(|survivor| survivor.lease == note.lease));
        self.write();
        survivors
    }

    /// The note that the next start command makes of itself, behind all others.
    pub(super) fn note(&self, lease: LeaseId) -> Option<Note<'_>> {
        let place = self.notes.len();
        (place < MOST).then(|| Note::new(self.file.as_fd(), (place * NOTE) as u64, lease.0))
    }

    /// A start command has just begun, has noted itself and cannot have been reaped.
    pub(super) fn add(&mut self, lease: LeaseId, pid: u32) {
        if self.notes.len() < MOST {
            self.notes.extend(Begun::now(lease, pid));
        }
    }

    /// One has noted itself and could not be started.
    pub(super) fn clear_up(&self) {
        self.write();
    }

    /// It has ended.
    pub(super) fn remove(&mut self, pid: u32) {
        let before = self.notes.len();
        self.notes.retain(|note| note.pid != pid);
        if self.notes.len() < before {
            self.write();
        }
    }

    fn write(&self) {
        let mut bytes = [0; MOST * NOTE];
        let fields = self.notes.iter().flat_map(|note| note.fields());
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.file.write_all_at(&bytes, 0).ok();
    }
}

fn survivor(note: &Begun) -> Option<Survivor> {
    let process = note.process().filter(|process| !process::has_ended(process.as_fd()))?;
    Some(Survivor { lease: note.lease, pid: note.pid, process, mark: note.mark() })
}

#[cfg(test)]
mod tests {
    use aldaba_sys::spawn::note_bytes;

    use super::*;

    /// As a start command with this number begins.
    fn begin(starts: &mut Starts, lease: LeaseId, pid: u32) {
        if starts.note(lease).is_some() {
            let bytes = note_bytes(lease.0, pid, process::start_time(pid).unwrap());
            starts.file.write_all_at(&bytes, (starts.notes.len() * NOTE) as u64).unwrap();
        }
        starts.add(lease, pid);
    }

    #[test]
    fn what_could_not_be_started_is_not_left_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        let mut starts = Starts::open(&path).unwrap();
        begin(&mut starts, LeaseId(7), process::id());
        starts.notes.clear();
        starts.clear_up();
        assert!(Starts::open(&path).unwrap().survivors().is_empty());
    }

    #[test]
    fn what_still_runs_is_found_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        let mut starts = Starts::open(&path).unwrap();
        assert!(starts.survivors().is_empty());
        begin(&mut starts, LeaseId(7), process::id());
        begin(&mut starts, LeaseId(8), process::parent_id());
        starts.remove(process::parent_id());

        let mut next = Starts::open(&path).unwrap();
        let survivors = next.survivors();
        assert_eq!(survivors.len(), 1);
        assert_eq!((survivors[0].lease, survivors[0].pid), (LeaseId(7), process::id()));
        next.remove(process::id());
        assert!(Starts::open(&path).unwrap().survivors().is_empty());
    }

    #[test]
    fn a_later_process_of_the_same_number_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        let mut starts = Starts::open(&path).unwrap();
        let began = process::start_time(process::id()).unwrap().saturating_sub(1);
        starts.notes.push(Begun { lease: LeaseId(7), pid: process::id(), began });
        starts.write();
        assert!(Starts::open(&path).unwrap().survivors().is_empty());
    }

    #[test]
    fn a_damaged_file_names_nobody_and_more_than_there_is_room_for_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        let mut starts = Starts::open(&path).unwrap();
        for bytes in [&[0xff; 5000][..], &[1; 23], b""] {
            std::fs::write(&path, bytes).unwrap();
            assert!(Starts::open(&path).unwrap().survivors().is_empty());
        }
        for lease in 0..100 {
            begin(&mut starts, LeaseId(lease), process::id());
        }
        assert_eq!(starts.notes.len(), MOST);
        starts.remove(process::id());
        assert!(starts.notes.is_empty());
    }
}
