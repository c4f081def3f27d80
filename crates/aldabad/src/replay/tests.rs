use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aldaba_gate::spa::{SecretKey, Window};
use aldaba_runner::journal::Store as Bytes;

mod marks;

use super::forget::KEPT;
use super::*;

fn key(number: u8) -> PublicKey {
    SecretKey::new(&[number; 32]).public()
}

fn record(time: u64) -> Record {
    Record::default().accept(&Window::default(), Timestamp(time))
}

fn file() -> File {
    tempfile::tempfile().expect("a file")
}

fn copy(file: &File) -> File {
    file.try_clone().expect("a copy")
}

fn made(file: &File) -> Replay {
    Replay::make(copy(file), None).expect("a store")
}

#[test]
fn records_and_guard_outlive_the_store() {
    let file = file();
    let raised = Raised { guard: Guard::new(Timestamp(5), Duration::from_micros(6)), boot: 7 };
    {
        let mut store = made(&file);
        assert_eq!(store.load(&key(7)), Ok(None));
        assert_eq!(store.guard(), Ok(None));
        store.commit(&key(7), &record(1_000_000)).expect("durable");
        store.set_guard(Some(&raised)).expect("durable");
        // It dies without closing anything.
        std::mem::forget(store);
    }
    let mut store = Replay::open(copy(&file)).expect("a store");
    assert_eq!(store.load(&key(7)), Ok(Some(record(1_000_000))));
    assert_eq!(store.guard(), Ok(Some(raised)));
    store.set_guard(None).expect("durable");
    drop(store);
    assert_eq!(Replay::open(file).expect("a store").guard(), Ok(None));
}

#[test]
fn what_takes_the_place_of_a_lost_store_never_stands_without_its_guard() {
    let paper = Arc::new(Paper::default());
    let raised = Raised { guard: Guard::CLOSED, boot: 0 };
    Replay::make_in(Storage::over(paper.clone()), Some(&raised)).expect("a store");
    // Cut off after each write, it is either no store, or one with its guard.
    let writes = paper.writes.lock().expect("no panic").clone();
    let (mut empty, mut guarded) = (0, 0);
    for end in 0..=writes.len() {
        let cut = Arc::new(Paper::default());
        for (offset, data) in &writes[..end] {
            cut.put(*offset, data);
        }
        let mut store = Replay::in_storage(Storage::over(cut));
        match store.opened() {
            Ok(open) => {
                store.open = Some(open);
                assert_eq!(store.guard(), Ok(Some(raised)), "after {end} writes");
                guarded += 1;
            }
            Err(ReplayError::Empty | ReplayError::Damaged(_)) => empty += 1,
            Err(other) => panic!("after {end} writes: {other}"),
        }
    }
    assert!(empty > 2 && guarded >= 1, "{empty} {guarded}");
}

#[test]
fn an_empty_file_is_no_store_and_neither_is_none() {
    assert_eq!(Replay::open(file()).expect_err("no store"), ReplayError::Empty);
    assert_eq!(Replay::default().load(&key(7)), Err(StoreFailed));
    assert_eq!(Replay::default().commit(&key(7), &Record::default()), Err(StoreFailed));
    assert_eq!(Replay::in_file(file()).load(&key(7)), Err(StoreFailed));
}

#[test]
fn damage_is_told_from_a_file_that_cannot_be_used_now() {
    let mut noise = file();
    noise.write_all(&[0x55; 8192]).expect("written");
    assert!(matches!(Replay::open(noise), Err(ReplayError::Damaged(_))));
    let paper = Arc::new(Paper::default());
    drop(Replay::make_in(Storage::over(paper.clone()), None).expect("a store"));
    paper.fails.store(true, Ordering::Relaxed);
    let unusable = Replay::in_storage(Storage::over(paper));
    assert!(matches!(unusable.opened(), Err(ReplayError::Io(_))));
}

#[test]
fn a_store_of_any_length_but_its_own_is_refused_or_whole() {
    let file = file();
    let mut store = made(&file);
    store.commit(&key(7), &record(1_000_000)).expect("durable");
    drop(store);
    let length = file.metadata().expect("its length").len();
    for length in (0..length).step_by(usize::try_from(length / 40).expect("small")) {
        let cut = tempfile::NamedTempFile::new().expect("a file");
        io::copy(&mut io::Read::take(&copy_from_start(&file), length), &mut cut.as_file()).expect("copied");
        match Replay::open(cut.reopen().expect("a file")) {
            Err(ReplayError::Empty | ReplayError::Damaged(_)) => {}
            Ok(mut store) => assert_eq!(store.load(&key(7)), Ok(Some(record(1_000_000))), "{length}"),
            Err(other) => panic!("cut to {length}: {other}"),
        }
    }
}

fn copy_from_start(file: &File) -> File {
    let mut copy = copy(file);
    io::Seek::rewind(&mut copy).expect("at its start");
    copy
}

#[test]
fn a_store_of_a_later_layout_is_left_alone() {
    let file = file();
    let store = made(&file);
    let database = &store.open.as_ref().expect("open").database;
    let transaction = database.begin_write().expect("begun");
    transaction.open_table(META).expect("a table").insert(SCHEMA, 2).expect("written");
    transaction.commit().expect("durable");
    drop(store);
    assert_eq!(Replay::open(copy(&file)).expect_err("refused"), ReplayError::Newer { found: 2 });
    assert_eq!(Replay::open(file).expect_err("still there"), ReplayError::Newer { found: 2 });
}

#[test]
fn r3_a_store_that_failed_is_opened_anew_before_it_is_believed() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    store.commit(&key(1), &record(1_000_000)).expect("durable");
    paper.fails.store(true, Ordering::Relaxed);
    assert_eq!(store.commit(&key(1), &record(2_000_000)), Err(StoreFailed));
    assert!(store.open.is_none());
    assert_eq!(store.commit(&key(1), &record(3_000_000)), Err(StoreFailed), "and as often as it is asked");
    paper.fails.store(false, Ordering::Relaxed);
    assert_eq!(store.load(&key(1)), Ok(Some(record(1_000_000))), "what was durable is there");
    assert_eq!(store.commit(&key(1), &record(4_000_000)), Ok(()));
    assert_eq!(store.load(&key(1)), Ok(Some(record(4_000_000))));
}

#[test]
fn records_of_removed_devices_are_kept_for_a_day_and_then_dropped() {
    let mut store = made(&file());
    for number in 1..=3 {
        store.commit(&key(number), &record(number.into())).expect("durable");
    }
    let start = Timestamp(1_800_000_000_000_000);
    let stay =
        |numbers: &'static [u8]| move |bytes: &[u8; 32]| numbers.iter().any(|n| key(*n).as_bytes() == bytes);
    assert_eq!(store.forget_removed(stay(&[1, 2, 3]), start), Ok(false));
    assert_eq!(store.forget_removed(stay(&[1]), start), Ok(true), "two and three wait");
    let evening = start.after(KEPT / 2);
    assert_eq!(store.forget_removed(stay(&[1, 2]), evening), Ok(true), "two is back");
    assert_eq!(store.load(&key(3)), Ok(Some(record(3))), "three would have its record");
    // Two leaves again: its day begins anew.
    assert_eq!(store.forget_removed(stay(&[1]), start.after(KEPT)), Ok(true));
    let next = start.after(KEPT + Duration::from_secs(1));
    assert_eq!(store.forget_removed(stay(&[1]), next), Ok(true));
    assert_eq!(store.load(&key(3)), Ok(None));
    assert_eq!(store.load(&key(2)), Ok(Some(record(2))));
    assert_eq!(store.forget_removed(stay(&[1]), start.after(KEPT * 3)), Ok(false));
    assert_eq!(store.load(&key(2)), Ok(None));
    assert_eq!(store.load(&key(1)), Ok(Some(record(1))));
}

/// A file in memory that writes down what is written, and fails when it is told to.
#[derive(Debug, Default)]
struct Paper {
    bytes: Mutex<Vec<u8>>,
    writes: Mutex<Vec<(u64, Vec<u8>)>>,
    /// After how many writes the disk was waited for.
    syncs: Mutex<Vec<usize>>,
    fails: AtomicBool,
    /// It is waited for as long as a disk takes.
    is_slow: AtomicBool,
}

impl Paper {
    fn put(&self, offset: u64, data: &[u8]) {
        let offset = usize::try_from(offset).expect("small");
        let mut bytes = self.bytes.lock().expect("no panic");
        let length = bytes.len().max(offset + data.len());
        bytes.resize(length, 0);
        bytes[offset..offset + data.len()].copy_from_slice(data);
        self.writes.lock().expect("no panic").push((offset as u64, data.to_vec()));
    }

    fn works(&self) -> io::Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        } else {
            Ok(())
        }
    }
}

impl Bytes for Paper {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().expect("no panic").len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).expect("small");
        let bytes = self.bytes.lock().expect("no panic");
        out.copy_from_slice(bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.works()?;
        self.bytes.lock().expect("no panic").resize(usize::try_from(len).expect("small"), 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.works()?;
        if self.is_slow.load(Ordering::Relaxed) {
            aldaba_sys::clock::rest(Duration::from_millis(1));
        }
        self.syncs.lock().expect("no panic").push(self.writes.lock().expect("no panic").len());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.works()?;
        self.put(offset, data);
        Ok(())
    }
}
