//! What commands may, noted on disk: whoever runs stop commands when the monitor is gone gives them no more than it did
//! (spec/leases.md, "What commands may").
//!
//! Like the other notes it need not survive the machine: it is written without waiting for the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aldaba_sys::files;

/// The set of capabilities, and its complement: what was never written, or is damaged, is no note.
const NOTE: usize = 16;
/// Stands for all that who runs them has.
const ALL: u64 = u64::MAX;

/// The note and its file.
#[derive(Debug)]
pub(super) struct Allowed(File);

impl Allowed {
    /// Opens the file, with its room taken in advance.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = files::open_private(path)?;
        // Where there is no room now, closing goes before: commands have all that who runs them has.
        files::reserve(&file, NOTE as u64).ok();
        Ok(Self(file))
    }

    /// The same where nothing can be written.
    pub(super) fn open_read_only(path: &Path) -> io::Result<Self> {
        files::open_private_read_only(path).map(Self)
    }

    /// Notes it; `None`: all.
    pub(super) fn note(&self, capabilities: Option<u64>) {
        let set = capabilities.unwrap_or(ALL);
        let bytes = [set.to_le_bytes(), (!set).to_le_bytes()].concat();
        if self.0.write_all_at(&bytes, 0).is_err() {
            // One of an earlier policy could be too little to close a door with.
            self.0.set_len(0).ok();
        }
    }

    /// What is noted; `None`: all, or nothing is.
    pub(super) fn read(&self) -> Option<u64> {
        let mut bytes = [0; NOTE];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        let [set, complement] = [0, 8].map(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        });
        (set == !complement && set != ALL).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_what_is_no_note_is_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capabilities");
        let allowed = Allowed::open(&path).unwrap();
        assert_eq!(allowed.read(), None, "of a daemon that noted nothing");
        for set in [Some(0x3000), Some(0), None, Some(1)] {
            allowed.note(set);
            assert_eq!(allowed.read(), set);
            assert_eq!(Allowed::open_read_only(&path).unwrap().read(), set);
        }
        for damage in [&[0; NOTE][..], &[0xff; NOTE], &[7; NOTE], &[0; 3], b""] {
            std::fs::write(&path, damage).unwrap();
            assert_eq!(Allowed::open(&path).unwrap().read(), None, "{damage:?}");
        }
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o660)).unwrap();
        assert!(
            Allowed::open(&path).is_err() && Allowed::open_read_only(&path).is_err(),
            "others could write it"
        );
    }
}
