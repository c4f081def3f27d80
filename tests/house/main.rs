//! What the documents claim of the code, and the rules of the house.
#![expect(clippy::disallowed_methods, reason = "asks cargo, mandoc and the programs themselves")]

mod documents;
mod keys;
mod manuals;
mod packages;
mod sources;
mod specifications;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Some test files are broken on purpose.
    String::from_utf8_lossy(&bytes).into_owned()
}

fn run(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Output {
    Command::new(program).args(words).current_dir(root()).output().expect("it starts")
}

/// All files below a folder of the repository, without what is built.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
