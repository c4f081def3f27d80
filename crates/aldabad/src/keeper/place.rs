//! Where the daemon was, noted on disk: its network namespace, which is where its commands have opened doors. Who closes what others have
//! left must not do it in another one, where the rule to take out is not there (spec/leases.md, "Folders of other runs").
//!
//! Like the other notes it need not survive the machine: it is written without waiting for the disk.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aldaba_sys::{clock, files, namespace};

/// The namespace's number, its complement, the boot: what was never written, or is damaged, is no note.
const NOTE: usize = 32;

/// Notes where this process is. What cannot be noted is taken for a place like everybody's.
pub(super) fn note(path: &Path) -> io::Result<()> {
    let file = files::open_private(path)?;
    let (Ok(number), Some(boot)) = (namespace::number(), clock::boot_id()) else { return file.set_len(0) };
    file.write_all_at(&bytes(number, boot), 0).or_else(|_| file.set_len(0))
}

/// Whether it was noted in another network namespace of this boot, which is still there.
pub(super) fn is_elsewhere(path: &Path) -> bool {
    let Some((number, boot)) = read(path) else { return false };
    Some(boot) == clock::boot_id()
        && namespace::number().is_ok_and(|here| here != number)
        && namespace::is_there(number)
}

fn bytes(number: u64, boot: [u8; 16]) -> [u8; NOTE] {
    let mut bytes = [0; NOTE];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..16].copy_from_slice(&(!number).to_le_bytes());
    bytes[16..].copy_from_slice(&boot);
    bytes
}

fn read(path: &Path) -> Option<(u64, [u8; 16])> {
    let mut note = [0; NOTE];
    files::open_private_read_only(path).ok()?.read_exact_at(&mut note, 0).ok()?;
    let (words, boot) = note.split_at(16);
    let ([number, complement], []) = words.as_chunks::<8>() else { return None };
    let number = u64::from_le_bytes(*number);
    (u64::from_le_bytes(*complement) == !number).then_some((number, boot.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_here_is_here_and_another_place_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("place");
        assert!(!is_elsewhere(&path), "an earlier version noted nothing");
        note(&path).unwrap();
        let (here, boot) = read(&path).expect("it is noted");
        assert!(here == namespace::number().unwrap() && Some(boot) == clock::boot_id());
        assert!(!is_elsewhere(&path));
        let write = |number, boot| std::fs::write(&path, bytes(number, boot)).unwrap();
        write(1, boot);
        assert!(!is_elsewhere(&path), "it is gone, and what was opened there with it");
        for damage in [&[0; NOTE][..], &[7; NOTE], &[0; 3], b""] {
            std::fs::write(&path, damage).unwrap();
            assert_eq!(read(&path), None, "{damage:?}");
        }
    }
}
