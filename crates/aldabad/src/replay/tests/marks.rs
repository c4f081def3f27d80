//! Marks in front of the database: what they cost, and what is left of them when everything ends.

use std::collections::BTreeSet;

use super::*;
use crate::replay::front::{Behind, LENGTH, PAGES};

fn on(paper: &Arc<Paper>) -> Replay {
    Replay::in_storage(Storage::over(paper.clone()))
}

/// Three devices in turn.
fn device(number: u64) -> PublicKey {
    key(u8::try_from(number % 3 + 1).expect("small"))
}

fn commits(store: &mut Replay, numbers: std::ops::Range<u64>) {
    for number in numbers {
        store.commit(&device(number), &record(1_000 + number)).expect("durable");
    }
}

#[test]
fn a_record_costs_one_page_and_one_wait_for_the_disk() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    let count =
        || (paper.writes.lock().expect("no panic").len(), paper.syncs.lock().expect("no panic").len());
    for number in 0..PAGES {
        let (writes, syncs) = count();
        commits(&mut store, number..number + 1);
        assert_eq!(count(), (writes + 1, syncs + 1), "{number}");
        let (offset, data) = paper.writes.lock().expect("no panic").last().expect("written").clone();
        assert!(offset % 4096 == 0 && data.len() == 4096 && offset < LENGTH, "a whole page, in front");
    }
    // Full: the database takes them over first.
    let (writes, _) = count();
    commits(&mut store, PAGES..PAGES + 1);
    assert!(count().0 > writes + 1);
}

#[test]
fn what_is_done_while_a_slow_disk_is_waited_for_comes_between_writing_and_waiting() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    let count =
        || (paper.writes.lock().expect("no panic").len(), paper.syncs.lock().expect("no panic").len());
    paper.is_slow.store(true, Ordering::Relaxed);
    for number in 0..10 {
        let ((writes, syncs), mut seen) = (count(), Vec::new());
        let meanwhile = || seen.push(count());
        store.commit_and_meanwhile(&device(number), &record(1_000 + number), meanwhile).expect("durable");
        assert_eq!((seen, count()), (vec![(writes + 1, syncs)], (writes + 1, syncs + 1)), "{number}");
    }
    // Where the last one was quick it is left out: of so many some were, on any machine.
    paper.is_slow.store(false, Ordering::Relaxed);
    let mut done = 0;
    for number in 10..1_000 {
        let meanwhile = || done += 1;
        store.commit_and_meanwhile(&device(number), &record(1_000 + number), meanwhile).expect("durable");
    }
    assert!(done < 990, "{done}");
}

/// A disk that is full by then has them.
#[test]
fn r3_all_pages_of_the_front_are_there_before_the_first_mark() {
    let paper = Arc::new(Paper::default());
    // Closing it would wait for the disk too.
    let _store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    let writes = paper.writes.lock().expect("no panic").clone();
    let pages = writes.iter().filter(|(offset, data)| *offset < LENGTH && data.len() == 4096);
    let pages: BTreeSet<u64> = pages.map(|(offset, _)| *offset).collect();
    assert_eq!(pages, (0..PAGES).map(|number| number * 4096).collect());
    assert_eq!(
        paper.syncs.lock().expect("no panic").last(),
        Some(&writes.len()),
        "nothing is only on its way"
    );
}

#[test]
fn the_database_has_what_is_behind_the_front_and_nothing_else() {
    let paper = Arc::new(Paper::default());
    let behind = Behind(Storage::over(paper.clone()));
    assert_eq!(behind.len().expect("its length"), 0);
    behind.write(3, b"four").expect("written");
    behind.set_len(9).expect("set");
    let mut read = [0; 4];
    behind.read(3, &mut read).expect("read");
    assert_eq!((&read, behind.len().expect("its length")), (b"four", 9));
    let bytes = paper.bytes.lock().expect("no panic").clone();
    let (front, rest) = bytes.split_at(usize::try_from(LENGTH).expect("small"));
    assert!(front.iter().all(|byte| *byte == 0));
    assert_eq!(rest, b"\0\0\0four\0\0");
}

#[test]
fn what_has_gathered_is_handed_over_when_nobody_waits() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    let writes = || paper.writes.lock().expect("no panic").len();
    commits(&mut store, 0..10);
    let before = writes();
    store.tidy().expect("nothing to do");
    assert_eq!(writes(), before, "not for a few");
    commits(&mut store, 10..60);
    store.tidy().expect("done");
    assert!(store.open.as_ref().expect("open").front.is_empty());
    let before = writes();
    commits(&mut store, 60..60 + PAGES);
    assert_eq!(writes() - before, usize::try_from(PAGES).expect("small"), "there is room for as many again");
}

/// The process dies between any two writes, or the power goes and takes any one write since the last wait with it: what was
/// said to be durable is there, and nothing older in its place.
#[test]
fn r3_what_was_durable_is_there_wherever_everything_ends() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    let made = paper.writes.lock().expect("no panic").len();
    // After how many writes which commit was durable; twice the room, so that pages are used again.
    let mut durable = Vec::new();
    for number in 0..2 * PAGES + 5 {
        commits(&mut store, number..number + 1);
        durable.push(paper.writes.lock().expect("no panic").len());
    }
    let writes = paper.writes.lock().expect("no panic").clone();
    let syncs = paper.syncs.lock().expect("no panic").clone();
    let mut disk = Vec::new();
    for (end, write) in writes.iter().enumerate() {
        let acknowledged = durable.iter().filter(|written| **written <= end).count() as u64;
        if end >= made {
            check(&disk, acknowledged);
        }
        let synced = syncs.iter().rev().find(|synced| **synced <= end).copied().unwrap_or_default();
        for lost in synced.max(made)..end {
            // All since the last wait but this one, which the disk never had.
            let mut without = after(&writes[..lost]);
            writes[lost + 1..end].iter().for_each(|write| put(&mut without, write));
            check(&without, acknowledged);
        }
        put(&mut disk, write);
    }
    check(&disk, durable.len() as u64);
}

fn after(writes: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut disk = Vec::new();
    for write in writes {
        put(&mut disk, write);
    }
    disk
}

fn put(disk: &mut Vec<u8>, (offset, data): &(u64, Vec<u8>)) {
    let offset = usize::try_from(*offset).expect("small");
    disk.resize(disk.len().max(offset + data.len()), 0);
    disk[offset..offset + data.len()].copy_from_slice(data);
}

/// So many commits were said to be durable: each device has its last one of these, or the next.
fn check(disk: &[u8], acknowledged: u64) {
    let paper = Arc::new(Paper::default());
    paper.bytes.lock().expect("no panic").extend_from_slice(disk);
    let mut store = on(&paper);
    for device_number in 0..3_u64 {
        let last = (0..acknowledged).rev().find(|number| number % 3 == device_number);
        let found = store.load(&device(device_number)).expect("a store");
        let newest = found.map(|record| record.newest().0);
        let last = last.map(|number| 1_000 + number);
        assert!(
            newest == last || newest == Some(1_000 + acknowledged),
            "{acknowledged}: {newest:?}, {last:?}"
        );
    }
}

#[test]
fn a_mark_that_is_missing_before_another_is_damage() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    commits(&mut store, 0..5);
    std::mem::forget(store);
    // The last one, or the next, is not whole: it was being written. Any other is needed, or was never written.
    for (number, is_whole) in [(5, true), (4, false), (1, false), (6, true), (7, false), (40, false)] {
        let copy = Arc::new(Paper::default());
        copy.put(0, &paper.bytes.lock().expect("no panic"));
        copy.put(number * 4096 + 60, &[0xaa]);
        match on(&copy).opened() {
            Ok(open) => assert!(is_whole && open.front.record(&device(3)) == Some(record(1_003))),
            Err(error) => assert!(!is_whole && matches!(error, ReplayError::Damaged(_)), "{number}: {error}"),
        }
    }
}

#[test]
fn a_mark_counts_in_its_own_place_alone() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    commits(&mut store, 0..5);
    std::mem::forget(store);
    for (place, is_sound) in [(5, true), (40, false)] {
        let copy = Arc::new(Paper::default());
        let bytes = paper.bytes.lock().expect("no panic").clone();
        copy.put(0, &bytes);
        copy.put(place * 4096, &bytes[5 * 4096..6 * 4096]);
        assert_eq!(on(&copy).opened().is_ok(), is_sound, "{place}");
    }
}

#[test]
fn marks_of_a_store_that_failed_are_made_sure_of_before_it_is_believed() {
    let paper = Arc::new(Paper::default());
    let mut store = Replay::make_in(Storage::over(paper.clone()), None).expect("a store");
    commits(&mut store, 0..3);
    paper.fails.store(true, Ordering::Relaxed);
    assert_eq!(store.commit(&device(3), &record(1_003)), Err(StoreFailed));
    paper.fails.store(false, Ordering::Relaxed);
    assert_eq!(store.load(&device(2)), Ok(Some(record(1_002))));
    assert!(store.open.as_ref().expect("open").front.is_empty(), "the database has them");
    commits(&mut store, 4..5);
    drop(store);
    assert_eq!(on(&paper).load(&device(4)), Ok(Some(record(1_004))));
}
