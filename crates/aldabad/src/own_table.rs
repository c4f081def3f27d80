//! Whose aldaba's own table is: a mark in it, by which its configuration knows what it has made earlier and under whatever name,
//! and a lock beside it, so that no two daemons make the same table (spec/leases.md, "The own table").
//!
//! The mark is another one where the configuration has another name, or its folder is another one under the same name, as after a
//! restored backup. So the daemon notes in its state folder which marks it has had: what has one of them is its own.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aldaba_sys::files;
use aldaba_sys::name_lock::{NameError, NameLock};
use aldaba_sys::nft::{Guarding, Mark, Nft, NftError, TableSpec};

use crate::state::checksum;

/// The lock's name for a table.
const LOCK: &str = "aldaba/table/";
/// Longer names of tables stand there as a sum: the kernel takes 107 bytes.
const LONGEST: usize = 80;

/// A daemon keeps a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a daemon{} keeps the table inet {table}", holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
pub struct Kept {
    /// Its name.
    pub table: String,
    /// The daemon, where its process can be seen.
    pub holder: Option<u32>,
}

/// The table that is named is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table inet {table} is not aldaba's: it has {part}")]
pub struct Anothers {
    /// Its name.
    pub table: String,
    /// Something that stands in it.
    pub part: String,
}

/// Why a table is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// A daemon has it.
    #[error("{0}\n  help: stop that daemon, or give this one a table of its own: [firewall] table")]
    Kept(#[from] Kept),
    /// It would be replaced.
    #[error("{0}\n  help: {ANOTHERS}")]
    Anothers(#[from] Anothers),
}

/// What to do about a table of somebody else's.
pub const ANOTHERS: &str =
    "nothing was changed; give aldaba a table of its own, as by default: [firewall] table = \"aldaba\"";

/// Whether the table of this name is somebody else's. What the kernel does not tell shows when it is made.
pub fn anothers(nft: &mut Nft, table: &str) -> Result<(), Anothers> {
    let part = nft.anothers(table).ok().flatten();
    part.map_or(Ok(()), |part| Err(Anothers { table: table.to_owned(), part }))
}

/// The mark of a configuration's tables: its absolute path, and the folder it lies in, so that equal paths in two containers on one
/// network are two.
#[must_use]
pub fn mark(config: &Path) -> Mark {
    let folder = config.parent().and_then(|folder| std::fs::metadata(folder).ok());
    let (device, inode) = folder.map_or((0, 0), |folder| (folder.dev(), folder.ino()));
    Mark::of(&[config.as_os_str().as_bytes(), &device.to_be_bytes(), &inode.to_be_bytes()])
}

/// The file of marks in the state folder.
const MARKS: &str = "marks";
/// So many are remembered.
const MOST: usize = 8;
/// A line of it: 16 digits.
const LINE: usize = 17;

/// The marks that a daemon with this state folder has had, the latest last. A note that others could have written is none.
#[must_use]
pub fn noted(folder: &Path) -> Vec<Mark> {
    let most = u64::try_from(MOST * LINE).unwrap_or(u64::MAX);
    let bytes = files::read_private(&folder.join(MARKS), most).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.lines().filter_map(|line| u64::from_str_radix(line, 16).ok()).map(Mark::noted).collect()
}

/// Notes that it has this one.
pub fn note(folder: &Path, mark: Mark) -> io::Result<()> {
    let mut all = noted(folder);
    if all.contains(&mark) {
        return Ok(());
    }
    all.push(mark);
    let lines =
        all.iter().skip(all.len().saturating_sub(MOST)).map(|mark| format!("{:016x}\n", mark.number()));
    files::replace_private(&folder.join(MARKS), lines.collect::<String>().as_bytes())
}

/// Takes the lock of a table.
pub fn lock(table: &str) -> Result<NameLock, NameError> {
    if table.len() <= LONGEST {
        NameLock::acquire(&format!("{LOCK}{table}"))
    } else {
        NameLock::acquire(&format!("{LOCK}{:016x}", checksum(table)))
    }
}

/// The daemon that keeps a table, if one does.
#[must_use]
pub fn keeper(table: &str) -> Option<Kept> {
    match lock(table) {
        Err(NameError::Held { holder }) => Some(Kept { table: table.to_owned(), holder }),
        _ => None,
    }
}

/// Tables of this configuration's, by its mark or one it has had, that it does not want any more: those of other names, and that of
/// its own name where nothing needs one.
pub fn left_behind(
    nft: &mut Nft,
    spec: &TableSpec,
    earlier: &[Mark],
    is_needed: bool,
) -> Result<Vec<String>, NftError> {
    let found = nft.guarding_tables(&[&[spec.mark], earlier].concat())?.into_iter();
    let old = found.filter(|Guarding { table, is_ours }| *is_ours && !(is_needed && *table == spec.name));
    Ok(old.map(|found| found.table).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_a_path_and_its_folder_whatever_stands_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let config = one.join("aldaba.toml");
        std::fs::create_dir(&one).unwrap();
        let first = mark(&config);
        std::fs::write(&config, "text").unwrap();
        assert_eq!(mark(&config), first);
        assert_ne!(mark(&one.join("more.toml")), first);
        std::fs::rename(&one, &other).unwrap();
        std::fs::create_dir(&one).unwrap();
        assert_ne!(mark(&config), first, "another folder of the same name");
    }

    #[test]
    fn marks_of_before_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        drop(files::private_dir(&folder).unwrap());
        assert_eq!(noted(&folder), []);
        for number in [1, u64::MAX, 1, 2] {
            note(&folder, Mark::noted(number)).unwrap();
        }
        assert_eq!(noted(&folder), [1, u64::MAX, 2].map(Mark::noted));
        (10..20).for_each(|number| note(&folder, Mark::noted(number)).unwrap());
        assert_eq!(noted(&folder), (12..20).map(Mark::noted).collect::<Vec<_>>());
    }

    #[test]
    fn every_name_of_a_table_has_a_lock_of_its_own() {
        let long = "x".repeat(126);
        let names = ["a", "b"].map(|end| format!("{long}{end}"));
        let locks = names.each_ref().map(|name| lock(name).unwrap());
        let kept = keeper(&names[0]).unwrap();
        assert_eq!(kept, Kept { table: names[0].clone(), holder: Some(std::process::id()) });
        drop(locks);
        assert_eq!(keeper(&names[0]), None);
    }
}
