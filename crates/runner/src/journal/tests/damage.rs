//! Files that are no journal, or no longer one: an error with a next step, never a panic, never a wrong record.

use super::*;

fn journal_bytes() -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let mut journal = Journal::open(file(&dir)).unwrap();
    for id in 1..6 {
        put(&mut journal, record(id, "x")).unwrap();
    }
    drop(journal);
    std::fs::read(dir.path().join("leases.redb")).unwrap()
}

/// What comes out of these bytes.
fn read(bytes: &[u8]) -> Result<Vec<Entry>, JournalError> {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("leases.redb"), bytes).unwrap();
    let mut journal = Journal::open(file(&dir))?;
    let entries = journal.load()?;
    // What opened can be written.
    put(&mut journal, record(9, "y"))?;
    Ok(entries)
}

#[test]
fn what_is_no_journal_is_told() {
    for bytes in [b"x".to_vec(), vec![0; 4096], vec![b'a'; 100_000]] {
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, JournalError::Damaged(_)), "{error}");
        assert!(error.to_string().contains("move the file away"), "{error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_told_or_whole() {
    let bytes = journal_bytes();
    let whole = read(&bytes).unwrap();
    assert_eq!(whole.len(), 5);
    let step = (bytes.len() / 120).max(1);
    let cuts = (1..bytes.len()).step_by(step).chain((1..400).step_by(13)).chain([4095, 4096, 4097]);
    let mut refused = 0;
    for cut in cuts.filter(|cut| *cut < bytes.len()) {
        match read(&bytes[..cut]) {
            Ok(entries) => assert_eq!(entries, whole, "cut at {cut}"),
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(error, JournalError::Damaged(_) | JournalError::Io(_)),
                    "cut at {cut}: {error}"
                );
            }
        }
    }
    assert!(refused > 10, "{refused} were refused");
}

#[test]
fn a_bit_that_flips_is_no_panic() {
    let bytes = journal_bytes();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let step = (used.len() / 150).max(1);
    for at in used.into_iter().step_by(step) {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        if let Err(error) = read(&bent) {
            assert!(!error.to_string().is_empty(), "{at}");
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_does_not_hide_the_others() {
    let dir = TempDir::new().unwrap();
    let mut journal = Journal::open(file(&dir)).unwrap();
    for id in [1, 3] {
        put(&mut journal, record(id, "x")).unwrap();
    }
    let damage = |database: &Database| {
        let transaction = database.begin_write().map_err(failed)?;
        transaction.open_table(LEASES).map_err(failed)?.insert(2, &[9_u8, 9][..]).map_err(failed)?;
        transaction.commit().map_err(failed)
    };
    journal.with(damage).unwrap();
    let (entries, unreadable) = journal.load_readable().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.record.id.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(unreadable, [LeaseId(2)]);
    assert!(matches!(journal.load(), Err(JournalError::Damaged(_))));
    // A copy is read the same where nothing can be written, also of a file that nobody has closed.
    let bytes = std::fs::read(dir.path().join("leases.redb")).unwrap();
    assert_eq!(Journal::open_copy(bytes.clone()).unwrap().load_readable().unwrap(), (entries, unreadable));
    assert_eq!(std::fs::read(dir.path().join("leases.redb")).unwrap(), bytes);
    assert!(matches!(Journal::open_copy(vec![7; 9000]), Err(JournalError::Damaged(_))));
}
