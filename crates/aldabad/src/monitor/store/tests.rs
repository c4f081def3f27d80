use std::io::Write as _;

use aldaba_gate::spa::{Record, SecretKey, Store as _};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const NOW: Duration = Duration::from_secs(1_800_000_000);
const RIGHT: Clock =
    Clock { trusted: false, synchronised: Some(true), hardware: true, now: NOW, identity: None };

#[test]
fn a_clock_is_doubted_when_nothing_speaks_for_it() {
    let alone = Clock { synchronised: Some(false), ..RIGHT };
    let later = Clock { identity: Some(NOW + DAY), ..alone };
    let no_hardware = Clock { hardware: false, ..alone };
    assert_eq!(RIGHT.doubt(), None);
    assert_eq!(Clock { hardware: false, identity: later.identity, ..RIGHT }.doubt(), None);
    assert_eq!(alone.doubt(), None, "a hardware clock of a plausible time");
    assert_eq!(Clock { identity: Some(Duration::from_secs(1_700_000_000)), ..alone }.doubt(), None);
    assert!(later.doubt().is_some_and(|doubt| doubt.contains("key")));
    assert!(no_hardware.doubt().is_some_and(|doubt| doubt.contains("hardware")));
    for known in [later, no_hardware] {
        let unknown = Clock { synchronised: None, ..known };
        assert!(
            unknown.doubt().is_some_and(|doubt| doubt.contains("may not ask")),
            "and so where nobody may ask"
        );
    }
    assert_eq!(Clock { synchronised: None, ..alone }.doubt(), None);
    for doubted in [later, no_hardware] {
        assert_eq!(Clock { trusted: true, ..doubted }.doubt(), None, "the administrator knows");
    }
}

fn folder() -> tempfile::TempDir {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().expect("a folder")
}

fn opened(folder: &Path) -> Option<&'static str> {
    open(folder).expect("a store").1
}

fn guard(folder: &Path) -> Option<Guard> {
    let file = files::open_private(&folder.join(STORE)).expect("a file");
    let raised = Replay::open(file).expect("a store").guard().expect("read");
    raised.map(|raised| raised.guard)
}

#[test]
fn a_store_made_with_the_identity_is_whole_from_the_start() {
    let folder = folder();
    make_store(folder.path()).expect("made");
    make_store(folder.path()).expect("twice is once");
    assert_eq!(opened(folder.path()), None);
    assert_eq!(guard(folder.path()), None);
}

#[test]
fn a_lost_store_is_closed_until_there_is_a_guard_whoever_opens_it() {
    let folder = folder();
    assert_eq!(opened(folder.path()), Some("it was not there"));
    assert_eq!(guard(folder.path()), Some(Guard::CLOSED));
    // The daemon dies, and comes again.
    assert_eq!(opened(folder.path()), Some("it was lost before"));
    let file = files::open_private(&folder.path().join(STORE)).expect("a file");
    raise(&file, &Window::default()).expect("raised");
    assert_eq!(opened(folder.path()), None);
    let until = guard(folder.path()).expect("a guard").until();
    assert!(until > wall() && until <= wall().after(Window::default().future));
}

#[test]
fn r3_a_store_of_a_restored_backup_is_used_and_one_that_others_could_write_is_not() {
    let folder = folder();
    let path = make_store(folder.path()).expect("made");
    let mode = |mode| {
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .expect("its mode");
    };
    mode(0o644);
    assert_eq!((opened(folder.path()), guard(folder.path())), (None, None));
    assert_eq!(files::oddity(&path).expect("looked at"), None, "it is this user's alone");
    mode(0o666);
    assert_eq!(opened(folder.path()), Some("others could have changed it"));
    assert_eq!(guard(folder.path()), Some(Guard::CLOSED));
    assert!(folder.path().join(DAMAGED).exists());
}

#[test]
fn a_store_emptied_or_damaged_is_lost_and_the_damaged_one_put_aside() {
    let folder = folder();
    let path = make_store(folder.path()).expect("made");
    let file = files::open_private(&path).expect("a file");
    file.set_len(0).expect("emptied");
    assert_eq!(opened(folder.path()), Some("it was empty"));
    std::fs::remove_file(&path).expect("removed");
    make_store(folder.path()).expect("made");
    let mut file = files::open_private(&path).expect("a file");
    file.write_all(&[0xaa; 8192]).expect("damaged");
    assert_eq!(opened(folder.path()), Some("it was damaged"));
    assert!(folder.path().join(DAMAGED).exists());
    assert_eq!(guard(folder.path()), Some(Guard::CLOSED));
}

#[test]
fn a_guard_of_an_earlier_boot_counts_from_the_start_of_this_one() {
    let folder = folder();
    let path = make_store(folder.path()).expect("made");
    let file = files::open_private(&path).expect("a file");
    let mut store = Replay::open(file.try_clone().expect("a copy")).expect("a store");
    let old = Guard::new(Timestamp(5), Duration::from_secs(1_000_000));
    store.set_guard(Some(&Raised { guard: old, boot: this_boot() })).expect("durable");
    drop(store);
    follow_boot(&file).expect("followed");
    assert_eq!(guard(folder.path()), Some(old), "this boot's stays");
    let mut store = Replay::open(file.try_clone().expect("a copy")).expect("a store");
    store.set_guard(Some(&Raised { guard: old, boot: !this_boot() })).expect("durable");
    drop(store);
    follow_boot(&file).expect("followed");
    assert_eq!(guard(folder.path()), Some(Guard::new(Timestamp(5), Duration::ZERO)));
}

#[test]
fn there_is_room_for_the_devices_in_advance() {
    let folder = folder();
    let path = make_store(folder.path()).expect("made");
    let mut store = Replay::open(files::open_private(&path).expect("a file")).expect("a store");
    let hold = StoreHold { file: Some(files::open_private(&path).expect("a file")), lost: None };
    let devices = 20_000_u32;
    hold.make_room(20_000).expect("reserved");
    // As full as a record can be: a floor and sixteen times.
    let bytes: Vec<u8> = (0..17_u64).flat_map(|time| (1_800_000_000_000_000 + time).to_be_bytes()).collect();
    let record = Record::decode(&bytes).expect("a record");
    let keys: Vec<_> = (0..devices)
        .map(|number| {
            let mut secret = [7; 32];
            secret[..4].copy_from_slice(&number.to_be_bytes());
            SecretKey::new(&secret).public()
        })
        .collect();
    store.commit_all(keys.iter().map(|key| (key, &record))).expect("durable");
    store.commit(&keys[0], &record).expect("durable");
    let length = std::fs::metadata(&path).expect("its length").len();
    println!("{devices} records take {length} bytes");
    assert!(length <= u64::from(devices) * ROOM_EACH, "{length} bytes");
}
