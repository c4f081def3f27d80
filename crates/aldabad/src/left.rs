//! What other runs have left open, and nobody may ever come back to close: a `knockd` whose folder lies beside this one's, a daemon
//! whose configuration named another folder. Each start looks, and hands what it finds to a closer (spec/leases.md, "Folders of other
//! runs").

use std::path::{Path, PathBuf};

use aldaba_sys::files;
use aldaba_sys::reexec::Program;

use crate::closer::{self, LogTarget};
use crate::keeper::Keeper;
use crate::log::{Level, Log};
use crate::wording::quoted;

/// So many folders are seen to at a start.
const MOST: usize = 256;

/// All folders with a journal in this place: itself, and those of knockd in it.
pub(crate) fn folders(place: &Path) -> impl Iterator<Item = PathBuf> {
    let inside = std::fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
    let knockd = inside.filter(|path| is_knockd(path));
    std::iter::once(place.to_owned()).chain(knockd).filter(|folder| Keeper::has_journal_of_commands(folder))
}

/// Whether it has the name of one of knockd's.
pub(crate) fn is_knockd(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"knockd-"))
}

/// Starts a closer for what was left in these places, but for this run's own folder. To be called with all that this process may: what was
/// left may need more than this run's policy does. Nothing waits for it, and a daemon that lives has its folder's lock.
pub(crate) fn see_to(own: &Path, places: &[PathBuf], log: &mut Log, knockd: bool) {
    let mut left = find(own, places);
    if left.len() > MOST {
        let text = format!("more than {MOST} folders; run: aldabad reap");
        log.say(Level::Warning, &format!("left-open error={}", quoted(&text)));
        left.truncate(MOST);
    }
    if left.is_empty() {
        return;
    }
    let target = LogTarget::of(log, knockd);
    let started = Program::open().and_then(|program| closer::start_for_left(&program, &left, &target));
    if let Err(error) = started {
        log.say(Level::Error, &format!("left-open error={}", quoted(&error.to_string())));
    }
}

/// One more than are seen to, if there are so many.
fn find(own: &Path, places: &[PathBuf]) -> Vec<PathBuf> {
    let known = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    let own = known(own);
    let found = places.iter().flat_map(|place| folders(place));
    // What others could have written there may name commands that they want to be run.
    let others = found.filter(|folder| files::is_private_dir(folder) && known(folder) != own);
    let mut left: Vec<PathBuf> =
        others.take(MOST + 1).filter_map(|folder| std::path::absolute(folder).ok()).collect();
    left.sort();
    left.dedup();
    left
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn leave(folder: &Path, mode: u32) {
        std::fs::create_dir_all(folder).expect("made");
        std::fs::write(folder.join("leases.redb"), "").expect("written");
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn r1_what_others_left_is_found_where_nobody_else_can_write() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        for (name, mode) in
            [("knockd-own", 0o700), ("knockd-left", 0o700), ("knockd-loose", 0o770), ("other", 0o700)]
        {
            leave(&at(name), mode);
        }
        std::fs::create_dir(at("knockd-empty")).expect("made");
        symlink(at("knockd-left"), at("knockd-link")).expect("made");
        let find = |own: &str| find(&at(own), &[dir.path().to_owned(), at("other"), at("none")]);
        assert_eq!(find("knockd-own"), [at("knockd-left"), at("other")]);
        assert_eq!(find("./knockd-left"), [at("knockd-own"), at("other")]);
        leave(dir.path(), 0o700);
        assert_eq!(find("other"), [dir.path().to_owned(), at("knockd-left"), at("knockd-own")]);
    }

    #[test]
    fn hundreds_are_too_many_for_one_start() {
        let dir = tempfile::tempdir().expect("a folder");
        for number in 0..MOST + 20 {
            leave(&dir.path().join(format!("knockd-{number}")), 0o700);
        }
        assert_eq!(find(Path::new("/none"), &[dir.path().to_owned()]).len(), MOST + 1);
    }
}
