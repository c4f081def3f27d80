//! The journal on a real file, on a disk that is full, and after the power went at any write.

mod damage;
mod power;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::door::{NftFamily, Style};
use crate::lease::{Held, Owner, Place};
use crate::record::Phase;
use crate::template::Rendered;

const NOW: Moment =
    Moment { now: Duration::from_secs(1000), boot: Some([7; 16]), wall: Duration::from_secs(1_700_000_000) };

fn record(id: u64, word: &str) -> Record {
    Record {
        id: LeaseId(id),
        door: Arc::from("ssh"),
        style: Style::Native,
        address: "192.0.2.1".parse().unwrap(),
        owner: None,
        seconds: 30,
        held: Held::Command {
            stop: Some(Rendered::Argv(vec!["close".to_owned(), word.to_owned()])),
            time_limit: Some(Duration::from_secs(10)),
        },
        deadline: Duration::from_millis(1_030_500),
        phase: Phase::Opening,
    }
}

fn file(dir: &TempDir) -> File {
    let path = dir.path().join("leases.redb");
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn put(journal: &mut Journal, record: Record) -> Result<(), JournalError> {
    journal.change(&[&Change::Put(record)], &NOW)
}

fn ids(journal: &mut Journal) -> Vec<u64> {
    journal.load().unwrap().into_iter().map(|entry| entry.record.id.0).collect()
}

#[test]
fn records_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let mut journal = Journal::open(file(&dir)).unwrap();
    for id in [3, 1, 2] {
        put(&mut journal, record(id, "x")).unwrap();
    }
    put(&mut journal, record(2, "changed")).unwrap();
    journal.remove(LeaseId(1)).unwrap();
    journal.remove(LeaseId(99)).unwrap();
    drop(journal);
    let mut journal = Journal::open(file(&dir)).unwrap();
    let entries = journal.load().unwrap();
    let expected = |record| Entry { record, boot: Some([7; 16]), wall_deadline: 1_700_000_030 };
    assert_eq!(entries, [expected(record(2, "changed")), expected(record(3, "x"))]);
}

#[test]
fn a_crash_without_closing_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let mut journal = Journal::open(file(&dir)).unwrap();
    put(&mut journal, record(1, "x")).unwrap();
    // What the disk has while the file is open: as after kill -9.
    let copy = TempDir::new().unwrap();
    std::fs::copy(dir.path().join("leases.redb"), copy.path().join("leases.redb")).unwrap();
    assert_eq!(ids(&mut Journal::open(file(&copy)).unwrap()), [1]);
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let mut journal = Journal::open(file(&dir)).unwrap();
    put(&mut journal, record(1, "x")).unwrap();
    journal
        .with(|database| {
            let transaction = database.begin_write().map_err(failed)?;
            transaction.open_table(META).map_err(failed)?.insert(SCHEMA, 2).map_err(failed)?;
            transaction.commit().map_err(failed)
        })
        .unwrap();
    drop(journal);
    let error = Journal::open(file(&dir)).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 2 }), "{error}");
    let text = error.to_string();
    assert!(text.contains("layout 2") && text.contains("start the newer program"), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_each_time() {
    let dir = TempDir::new().unwrap();
    let mut journal = Journal::open(file(&dir)).unwrap();
    put(&mut journal, record(1, "x")).unwrap();
    drop(journal);
    let read_only = File::open(dir.path().join("leases.redb")).unwrap();
    match Journal::open(read_only) {
        Err(error) => assert!(matches!(error, JournalError::Io(_)), "{error}"),
        Ok(mut journal) => {
            for _ in 0..3 {
                let error = put(&mut journal, record(2, "x")).unwrap_err();
                assert!(matches!(error, JournalError::Io(_)), "{error}");
            }
        }
    }
    assert_eq!(ids(&mut Journal::open(file(&dir)).unwrap()), [1]);
}

#[test]
fn the_room_is_reserved_and_stays() {
    let dir = TempDir::new().unwrap();
    let held = file(&dir);
    let mut journal = Journal::open(held.try_clone().unwrap()).unwrap();
    let reserved = || held.metadata().unwrap().blocks() * 512;
    assert!(reserved() >= store::ROOM, "{} bytes", reserved());
    for id in 0..300 {
        put(&mut journal, record(id, &"x".repeat(3000))).unwrap();
    }
    for id in 0..300 {
        journal.remove(LeaseId(id)).unwrap();
    }
    assert!(reserved() >= store::ROOM, "{} bytes", reserved());
    assert!(held.metadata().unwrap().len() < 16 * store::ROOM, "it does not grow for ever");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{1,40}", "\\PC{1,20}"]
}

fn any_held() -> impl Strategy<Value = Held> {
    let rendered = prop_oneof![
        any_text().prop_map(Rendered::Shell),
        proptest::collection::vec(any_text(), 0..5).prop_map(Rendered::Argv),
    ];
    let limit = proptest::option::of((0..u64::MAX).prop_map(Duration::from_nanos));
    let family = prop_oneof![Just(NftFamily::Inet), Just(NftFamily::Ip), Just(NftFamily::Ip6)];
    prop_oneof![
        (proptest::option::of(rendered), limit)
            .prop_map(|(stop, time_limit)| Held::Command { stop, time_limit }),
        any_text().prop_map(|door| Held::Element(Place::Own { door: door.into() })),
        (family, any_text(), any_text()).prop_map(|(family, table, set)| Held::Element(Place::Named {
            family,
            table,
            set
        })),
    ]
}

proptest! {
    #[test]
    fn a_record_reads_back_as_it_was_written(
        held in any_held(), door in any_text(), address: std::net::IpAddr, nanoseconds: u64, seconds: u64,
        knockd: bool, phase in 0..3, boot: Option<[u8; 16]>,
        owner: Option<[u8; 32]>,
    ) {
        let style = if knockd { Style::Knockd } else { Style::Native };
        let phase = [Phase::Opening, Phase::Open, Phase::Closing][usize::try_from(phase).unwrap()];
        let deadline = Duration::from_nanos(nanoseconds);
        let record = Record { id: LeaseId(1), door: door.into(), style, address, owner: owner.map(Owner), seconds, held, deadline, phase };
        let bytes = codec::encode(&record, &Moment { boot, ..NOW });
        let entry = codec::decode(LeaseId(1), &bytes).expect("it reads back");
        prop_assert_eq!((&entry.record, entry.boot), (&record, boot));
        // No part of a record is a record, nor is one with something behind it.
        for length in 0..bytes.len() {
            prop_assert_eq!(codec::decode(LeaseId(1), &bytes[..length]), None);
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(codec::decode(LeaseId(1), &longer), None);
    }

    #[test]
    fn any_bytes_are_a_record_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = codec::decode(LeaseId(1), &bytes);
    }
}
