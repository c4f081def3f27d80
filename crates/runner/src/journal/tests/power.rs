//! A store that fails, and one whose power goes.

use std::io;
use std::sync::Mutex;

use super::*;

/// What happened to the file.
#[derive(Debug, Clone)]
enum Step {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

/// A file in memory that writes down every step and fails when it is told to.
#[derive(Debug, Default)]
struct Paper {
    bytes: Mutex<Vec<u8>>,
    steps: Mutex<Vec<Step>>,
    full: Mutex<bool>,
}

impl Paper {
    fn with_bytes(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(bytes), ..Self::default() })
    }

    fn step(&self, step: Step) -> io::Result<()> {
        if *self.full.lock().unwrap() {
            return Err(ErrorKind::StorageFull.into());
        }
        apply(&mut self.bytes.lock().unwrap(), &step);
        self.steps.lock().unwrap().push(step);
        Ok(())
    }
}

fn apply(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Length(length) => bytes.resize(usize::try_from(*length).unwrap(), 0),
        Step::Write(offset, data) => {
            let offset = usize::try_from(*offset).unwrap();
            bytes[offset..offset + data.len()].copy_from_slice(data);
        }
        Step::Sync => {}
    }
}

impl Store for Paper {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let bytes = self.bytes.lock().unwrap();
        let part = bytes.get(offset..offset + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(Step::Length(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.step(Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(Step::Write(offset, data.to_vec()))
    }
}

#[test]
fn a_full_disk_is_an_error_and_over_when_there_is_room_again() {
    let paper = Paper::with_bytes(Vec::new());
    let mut journal = Journal::open_store(paper.clone()).unwrap();
    put(&mut journal, record(1, "x")).unwrap();
    *paper.full.lock().unwrap() = true;
    for _ in 0..3 {
        let error = put(&mut journal, record(2, "x")).unwrap_err();
        assert!(matches!(error, JournalError::Io(_)), "{error}");
        assert!(matches!(journal.remove(LeaseId(1)), Err(JournalError::Io(_))));
    }
    *paper.full.lock().unwrap() = false;
    put(&mut journal, record(3, "x")).unwrap();
    let ids = ids(&mut journal);
    assert!(ids.contains(&1) && ids.contains(&3), "{ids:?}");
}

/// The process dies between any two writes, or the power goes and takes any one write since the last sync with it:
/// afterwards there is what was there before the change or after it.
#[test]
fn a_change_is_there_whole_or_not_at_all() {
    let paper = Paper::with_bytes(Vec::new());
    let mut journal = Journal::open_store(paper.clone()).unwrap();
    put(&mut journal, record(1, "x")).unwrap();
    let before = paper.bytes.lock().unwrap().clone();
    paper.steps.lock().unwrap().clear();
    put(&mut journal, record(2, &"y".repeat(5000))).unwrap();
    journal.remove(LeaseId(1)).unwrap();
    let steps = paper.steps.lock().unwrap().clone();
    assert!(steps.iter().any(|step| matches!(step, Step::Sync)), "nothing was made durable");
    for died_at in 0..=steps.len() {
        let done = &steps[..died_at];
        check(&before, done, None);
        let synced = done.iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |at| at + 1);
        for lost in synced..died_at {
            check(&before, done, Some(lost));
        }
    }
    assert_eq!(ids_after(&before, &steps, None), [2]);
}

#[test]
fn what_is_changed_together_waits_for_the_disk_once_and_nothing_new_not_at_all() {
    let paper = Paper::with_bytes(Vec::new());
    let mut journal = Journal::open_store(paper.clone()).unwrap();
    let mut syncs = |changes: &[Change]| {
        paper.steps.lock().unwrap().clear();
        journal.change(&changes.iter().collect::<Vec<_>>(), &NOW).unwrap();
        paper.steps.lock().unwrap().iter().filter(|step| matches!(step, Step::Sync)).count()
    };
    let puts: Vec<Change> = (1..40).map(|id| Change::Put(record(id, "x"))).collect();
    assert_eq!(syncs(&puts), 1);
    assert_eq!(
        syncs(&[Change::Remove(LeaseId(1)), Change::Put(record(50, "x")), Change::Remove(LeaseId(2))]),
        1
    );
    assert_eq!(syncs(&[Change::Remove(LeaseId(1)), Change::Remove(LeaseId(99))]), 0);
    assert!(paper.steps.lock().unwrap().is_empty(), "nothing is written either");
    assert!(journal.contains(LeaseId(50)).unwrap() && !journal.contains(LeaseId(1)).unwrap());
}

/// Without waiting for the disk, the power may take any of the writes with it: then the file is damaged, and said to be.
#[test]
fn an_unsynced_journal_outlives_the_process_and_is_whole_or_said_to_be_damaged_after_a_power_cut() {
    let paper = Paper::with_bytes(Vec::new());
    let mut journal = Journal::open_store(Arc::new(store::Unsynced(paper.clone()))).unwrap();
    put(&mut journal, record(1, "x")).unwrap();
    put(&mut journal, record(2, "x")).unwrap();
    journal.remove(LeaseId(1)).unwrap();
    let steps = paper.steps.lock().unwrap().clone();
    assert!(!steps.iter().any(|step| matches!(step, Step::Sync)), "the disk was waited for");
    assert_eq!(ids_after(&[], &steps, None), [2], "killed");
    for lost in 0..steps.len() {
        let mut bytes = Vec::new();
        let kept = |at: usize, step: &Step| at != lost || matches!(step, Step::Length(_));
        for (_, step) in steps.iter().enumerate().filter(|(at, step)| kept(*at, step)) {
            apply(&mut bytes, step);
        }
        match Journal::open_store(Paper::with_bytes(bytes)).and_then(|mut journal| journal.load()) {
            Ok(_) | Err(JournalError::Damaged(_)) => {}
            Err(error) => panic!("without write {lost}: {error}"),
        }
    }
}

fn check(before: &[u8], done: &[Step], lost: Option<usize>) {
    let ids = ids_after(before, done, lost);
    assert!(
        [&[1][..], &[1, 2], &[2]].contains(&&ids[..]),
        "after {} steps, lost {lost:?}: {ids:?}",
        done.len()
    );
}

fn ids_after(before: &[u8], done: &[Step], lost: Option<usize>) -> Vec<u64> {
    let mut bytes = before.to_vec();
    for (at, step) in done.iter().enumerate() {
        // A lost change of length would move what follows; the file system keeps those in order.
        if Some(at) != lost || matches!(step, Step::Length(_)) {
            apply(&mut bytes, step);
        }
    }
    ids(&mut Journal::open_store(Paper::with_bytes(bytes)).unwrap())
}
