use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_private_folder_is_made_and_an_open_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    private_dir(&path).unwrap();
    assert_eq!((mode(&dir.path().join("a")), mode(&path)), (0o700, 0o700));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
    let error = private_dir(&path).unwrap_err().to_string();
    assert!(error.contains("chmod 0700"), "{error}");
    symlink(dir.path(), dir.path().join("link")).unwrap();
    assert!(private_dir(&dir.path().join("link")).is_err());
}

#[test]
fn private_files_are_no_links_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    open_private(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    symlink(&path, dir.path().join("link")).unwrap();
    assert!(open_private(&dir.path().join("link")).is_err());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open_private(&path).unwrap_err().to_string().contains("chmod 0600"));
    assert!(open_private(dir.path()).is_err());
}

#[test]
fn what_others_could_have_written_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, open_to) = (dir.path().join("state"), std::fs::Permissions::from_mode);
    let path = folder.join("f");
    let read = || read_private(&path, 5);
    assert_eq!(read().unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(!folder.exists(), "nothing is made");
    replace_private(&path, b"bytes").unwrap();
    assert_eq!((mode(&folder), mode(&path), read().unwrap()), (0o700, 0o600, b"bytes".to_vec()));
    std::fs::set_permissions(&path, open_to(0o640)).unwrap();
    assert_eq!(read().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    std::fs::set_permissions(&path, open_to(0o600)).unwrap();
    std::fs::set_permissions(&folder, open_to(0o770)).unwrap();
    assert_eq!(
        read().unwrap_err().kind(),
        io::ErrorKind::PermissionDenied,
        "another file could be put there"
    );
    std::fs::set_permissions(&folder, open_to(0o700)).unwrap();
    std::fs::rename(&path, folder.join("other")).unwrap();
    symlink(folder.join("other"), &path).unwrap();
    assert!(read().is_err(), "a link");
    // Of what stands there nothing counts: neither link nor mode, nor the draft a crash has left.
    std::fs::write(folder.join(".f.new"), "draft").unwrap();
    replace_private(&path, b"more").unwrap();
    assert_eq!(
        (mode(&path), read().unwrap(), names(&folder)),
        (0o600, b"more".to_vec(), names_of(&["f", "other"]))
    );
    replace_private(&path, b"too much").unwrap();
    assert_eq!(read().unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

fn names_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_lock_names_its_holder_and_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let first = LockFile::acquire(&path).unwrap();
    let error = LockFile::acquire(&path).unwrap_err().to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    drop(first);
    LockFile::acquire(&path).unwrap();
}

#[test]
fn a_byte_is_marked_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, " 7000\n").unwrap();
    overwrite_byte_durably(&open_for_marking(&path).unwrap(), 0, b'#').unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "#7000\n");
    symlink(&path, dir.path().join("link")).unwrap();
    assert!(
        open_for_marking(&dir.path().join("link")).is_ok(),
        "where the file is, is the administrator's choice"
    );
    assert!(open_for_marking(&dir.path().join("none")).is_err());
}

#[test]
fn a_pid_file_is_removed_only_while_it_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pid");
    let file = PidFile::create(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    std::fs::write(&path, "1\n").unwrap();
    file.remove();
    assert!(path.exists());
    PidFile::create(&path).unwrap().remove();
    assert!(!path.exists());
    let error = PidFile::create(&dir.path().join("no/pid")).unwrap_err();
    assert_eq!(strerror(&error), "No such file or directory");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_made_whole_has_its_mode_and_never_takes_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    create_whole(&path, b"one", 0o600).unwrap();
    assert_eq!(mode(&path), 0o600);
    let error = create_whole(&path, b"two", 0o644).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"one");
    symlink(dir.path().join("nowhere"), dir.path().join("link")).unwrap();
    assert!(create_whole(&dir.path().join("link"), b"x", 0o600).is_err(), "a dangling link is no free place");
    assert_eq!(names(dir.path()), ["key", "link"]);
}

#[test]
fn a_file_replaced_whole_keeps_owner_and_mode() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    assert!(replace_whole(&path, b"x").is_err(), "there is nothing to replace");
    std::fs::write(&path, "old, and longer").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    replace_whole(&path, b"new").unwrap();
    assert_eq!((std::fs::read(&path).unwrap().as_slice(), mode(&path)), (b"new".as_slice(), 0o640));
    symlink(&path, dir.path().join("link")).unwrap();
    assert!(replace_whole(&dir.path().join("link"), b"x").is_err());
    assert_eq!(names(dir.path()), ["link", "list"]);
}

#[test]
fn staged_bytes_take_the_files_place_or_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, before) = (dir.path().join("list"), dir.path().join("list.before"));
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    // As a crash leaves it.
    std::fs::write(dir.path().join(".list.trial"), "of an earlier trial, and longer").unwrap();
    let staged = Staged::write(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(mode(&dir.path().join(".list.trial")), 0o640);
    drop(staged);
    assert_eq!(names(dir.path()), ["list"]);
    for text in ["new", "newer"] {
        Staged::write(&path, text.as_bytes()).unwrap().put_in_place(&before).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!((std::fs::read(&before).unwrap().as_slice(), mode(&path)), (b"new".as_slice(), 0o640));
    let fresh = dir.path().join("fresh");
    Staged::write(&fresh, b"x").unwrap().put_in_place(&dir.path().join("fresh.before")).unwrap();
    assert_eq!(mode(&fresh), 0o600);
    assert_eq!(names(dir.path()), ["fresh", "list", "list.before"]);
    symlink(&path, dir.path().join("link")).unwrap();
    assert!(Staged::write(&dir.path().join("link"), b"x").is_err());
}

#[test]
fn a_locked_folder_waits_for_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let held = lock_folder(dir.path()).unwrap();
    let path = dir.path().to_owned();
    let other = std::thread::spawn(move || lock_folder(&path).map(drop));
    crate::clock::rest(std::time::Duration::from_millis(60));
    assert!(!other.is_finished());
    drop(held);
    other.join().unwrap().unwrap();
}

/// Its holder takes the folder's files away with the lock in hand; who has opened the file just before must not believe that lock.
#[test]
fn a_lock_on_a_file_that_lost_its_name_is_none() {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let old = open_private(&path).unwrap();
    assert!(has_name(&old, &path).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(!has_name(&old, &path).unwrap());
    let held = lock(&path, |path| {
        let file = open_private(path)?;
        if OPENED.fetch_add(1, Ordering::Relaxed) == 0 {
            std::fs::remove_file(path)?;
        }
        Ok(file)
    })
    .unwrap();
    assert_eq!(OPENED.load(Ordering::Relaxed), 2, "opened anew");
    assert!(has_name(&held, &path).unwrap());
    assert!(matches!(LockFile::acquire(&path), Err(LockError::Held { .. })));
    assert!(matches!(LockFile::acquire_read_only(&path), Err(LockError::Held { .. })));
    drop(held);
    LockFile::acquire_read_only(&path).unwrap();
}
