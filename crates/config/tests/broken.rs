//! Broken and doubtful files with the exact words said about them (hazard R16), and files as people have them with what
//! they mean.
//!
//! Beside each file stands `NAME.expected`; files with other endings are what one of them refers to. `BLESS=1 cargo test -p aldaba-config --test broken` writes it anew: read the
//! difference before you commit it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aldaba_config::{Diagnostic, FileBytes, FileFacts, Files, Kind, Options, Paint, explain, load};
use aldaba_gate::spa::{KeyKind, text};

/// The files of one folder, all private to root; of programs, those in /usr and /sbin exist, and in /keys there are keys.
struct Folder(PathBuf);

/// A file of the folder /keys, by its name.
fn key_file(name: &str) -> Option<Vec<u8>> {
    let kind = match name {
        "server.key" => KeyKind::ServerSecret,
        "gate.key" => KeyKind::Gate,
        "psk.key" => KeyKind::Seed,
        _ => return (name == "authorized_keys").then(Vec::new),
    };
    Some(text::encode(kind, &[7; 32]).as_bytes().to_vec())
}

impl Files for Folder {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let facts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
        let key = path.strip_prefix("/keys").ok().and_then(Path::to_str).and_then(key_file);
        let bytes = key.map_or_else(|| fs::read(self.0.join(path)), Ok)?;
        Ok(FileBytes { bytes, facts })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        if path.starts_with("/usr/") || path.starts_with("/sbin/") {
            return Ok(FileFacts { mode: 0o755, uid: 0, is_regular: true });
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What is said of a file: everything a check says, or with `meaning` what it means and whether it is taken.
fn said(folder: &Path, name: &str, strict_check: bool, meaning: bool) -> String {
    let path = Path::new(name);
    let options = Options { strict_check, ..Options::default() };
    let mut text = String::new();
    match load(Kind::of(path), path, &mut Folder(folder.to_owned()), &options) {
        Ok(loaded) => {
            every_one_helps(&loaded.warnings);
            for warning in &loaded.warnings {
                text.push_str(&warning.render(Paint::Plain));
                text.push_str("\n\n");
            }
            text.push_str(if meaning { "taken:\n" } else { "taken\n" });
            if meaning {
                let page = explain(&loaded.policy);
                text.push_str(&page);
                means_the_same_as_toml(&page, &loaded.policy);
            }
        }
        Err(report) => {
            every_one_helps(&report.diagnostics);
            text.push_str(&report.render(Paint::Plain));
            text.push_str("refused\n");
        }
    }
    text
}

fn every_one_helps(found: &[Diagnostic]) {
    for found in found {
        assert!(!found.help.is_empty(), "it says what is wrong and not what to do: {found}");
    }
}

/// One-time files are not there a second time, and an `aldaba.toml` has a door.
fn means_the_same_as_toml(page: &str, policy: &aldaba_config::Policy) {
    if !policy.one_time.is_empty() || policy.gate.doors.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("again.toml"), page).expect("a file");
    let path = Path::new("again.toml");
    let again = load(Kind::Toml, path, &mut Folder(folder.path().to_owned()), &Options::default());
    let again = again.unwrap_or_else(|report| panic!("{page}\n{}", report.render(Paint::Plain)));
    assert_eq!(&again.policy, policy, "{page}");
}

fn check_all(folder: &str, strict_check: bool, meaning: bool) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| matches!(Path::new(name).extension().and_then(OsStr::to_str), Some("toml" | "conf")))
        .collect();
    names.sort();
    let mut wrong = Vec::new();
    for name in &names {
        let seen = said(&folder, name, strict_check, meaning);
        let expected = folder.join(format!("{name}.expected"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &seen).expect("a file");
        } else if fs::read_to_string(&expected).unwrap_or_default() != seen {
            wrong.push(format!("--- {name}\n{seen}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    names.len()
}

#[test]
fn broken_files_are_explained_word_for_word() {
    let files = check_all("broken", true, false);
    assert!(files >= 80, "{files}");
    println!("figure: R16 {files} broken files explained word for word");
}

#[test]
fn files_as_people_have_them() {
    assert!(check_all("wild", false, true) >= 40);
}
