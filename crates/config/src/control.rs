//! Where a daemon with this configuration answers the administrator, and where it keeps its leases: for programs that ask
//! it or clear up after it, which must find both also when the file has errors.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::files::Files;
use crate::{Kind, aldaba_toml};

/// What the configuration, or one of its drop-ins, says of `control`; `None`: nothing, or it cannot be read.
pub fn control_socket(path: &Path, files: &mut dyn Files) -> Option<PathBuf> {
    named(path, "control", files)
}

/// The same of `state-dir`.
pub fn state_dir(path: &Path, files: &mut dyn Files) -> Option<PathBuf> {
    named(path, "state-dir", files)
}

fn named(path: &Path, key: &str, files: &mut dyn Files) -> Option<PathBuf> {
    if Kind::of(path) == Kind::Knockd {
        return None;
    }
    let folder = crate::drop_ins(path);
    let mut names = files.list_dir(&folder).unwrap_or_default();
    names.retain(|name| aldaba_toml::is_drop_in(name));
    names.sort();
    let drop_ins = names.iter().map(|name| folder.join(name));
    std::iter::once(path.to_owned()).chain(drop_ins).find_map(|path| named_in(&path, key, files))
}

fn named_in(path: &Path, key: &str, files: &mut dyn Files) -> Option<PathBuf> {
    let file = files.read(path).ok()?;
    let text = std::str::from_utf8(&file.bytes).ok()?;
    let (document, _) = DeTable::parse_recoverable(text);
    let table = document.get_ref();
    let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => Some(PathBuf::from(text.as_ref())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Disk;

    #[test]
    fn it_is_found_in_files_with_errors_and_in_drop_ins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aldaba.toml");
        let found = || control_socket(&path, &mut Disk);
        assert_eq!(found(), None, "no file");
        std::fs::write(&path, "control = \"/run/a.sock\"\nnonsense = 1\n[[door]]\nname = \n").unwrap();
        assert_eq!(found(), Some("/run/a.sock".into()));
        std::fs::write(&path, "control = 7\n").unwrap();
        assert_eq!(found(), None);
        std::fs::create_dir(dir.path().join("conf.d")).unwrap();
        std::fs::write(dir.path().join("conf.d/.hidden.toml"), "control = \"/run/h.sock\"\n").unwrap();
        assert_eq!(found(), None);
        std::fs::write(dir.path().join("conf.d/b.toml"), "control = \"/run/b.sock\"\n").unwrap();
        assert_eq!(found(), Some("/run/b.sock".into()));
        assert_eq!(state_dir(&path, &mut Disk), None);
        std::fs::write(&path, "state-dir = \"/var/x\"\n[[door]]\nname = \n").unwrap();
        assert_eq!(state_dir(&path, &mut Disk), Some("/var/x".into()));
    }
}
