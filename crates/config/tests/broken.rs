//! Broken and doubtful files with the exact words said about them (hazard R16), and files as people have them with what
//! they mean.
//!
//! Beside each file stands `NAME.expected`, and in `conf.d` its drop-in, where it has one; files with other endings are what
//! one of them refers to. `BLESS=1 cargo test -p aldaba-config --test broken` writes it anew: read the
//! difference before you commit it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aldaba_config::{Diagnostic, FileBytes, FileFacts, Files, Kind, Options, Paint, explain, load};
use aldaba_gate::spa::{KeyKind, text};

/// A file and the others of its folder, all private to root; of programs, those in /usr and /sbin exist, and in /keys there
/// are keys and sequences, good and bad.
struct Folder {
    path: PathBuf,
    main: String,
}

/// Whoever owns what is not root's here.
const STRANGER: u32 = 1000;

/// A file of the folder /keys, by its name.
fn key_file(name: &str) -> Option<Vec<u8>> {
    let key = |kind, byte: u8| text::encode(kind, &[byte; 32]).to_string();
    let text = match name {
        "server.key" | "loose.key" | "foreign.key" => key(KeyKind::ServerSecret, 7),
        "gate.key" => key(KeyKind::Gate, 7),
        "dated.key" => format!("not-after=soon {}", key(KeyKind::Gate, 7)),
        "psk.key" => key(KeyKind::Seed, 7),
        "two-seeds.key" => format!("{}\n{}\n", key(KeyKind::Seed, 7), key(KeyKind::Seed, 8)),
        "published.key" => include_str!("../../../keys/test/server-secret.key").to_owned(),
        "used.txt" => "#7391,2804,8816\n#9120,3377,6002\n".to_owned(),
        "few.txt" => "7391,2804:sctp\n7391,2804,8816\n9120,3377,6002\n7391,2804,8816\n".to_owned(),
        "many.txt" => "7191,2804\n7291,2804\n7391,2804\n7491,2804\n".to_owned(),
        _ => return (name == "authorized_keys").then(Vec::new),
    };
    Some(text.into_bytes())
}

impl Files for Folder {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let mode = if path.ends_with("loose.key") { 0o640 } else { 0o600 };
        let uid = if path.ends_with("foreign.key") { STRANGER } else { 0 };
        let key = path.strip_prefix("/keys").ok().and_then(Path::to_str).and_then(key_file);
        let bytes = key.map_or_else(|| fs::read(self.path.join(path)), Ok)?;
        Ok(FileBytes { bytes, facts: FileFacts { mode, uid, is_regular: true } })
    }

    /// A drop-in has its file's name, so that each has its own.
    fn list_dir(&mut self, folder: &Path) -> io::Result<Vec<OsString>> {
        let drop_in = self.path.join(folder).join(&self.main);
        Ok(drop_in.exists().then(|| OsString::from(&self.main)).into_iter().collect())
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
    match load(Kind::of(path), path, &mut Folder { path: folder.to_owned(), main: name.to_owned() }, &options)
    {
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
    let mut files = Folder { path: folder.path().to_owned(), main: "again.toml".to_owned() };
    let again = load(Kind::Toml, path, &mut files, &Options::default());
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

/// Codes of findings that no file here can have, with the test that has them.
const ELSEWHERE: &[(&str, &str)] = &[
    // They speak of what is on the disk: modes, owners, and the interfaces that are there.
    ("absent-interface", "src/lint/tests.rs"),
    ("loose-file", "src/lint/tests.rs"),
    ("loose-program", "src/lint/tests.rs"),
    ("not-executable", "src/lint/tests.rs"),
    ("readable-file", "src/lint/tests.rs"),
];

/// The codes of the findings that are made in this text: the literals that these are called with.
fn codes(text: &str) -> Vec<String> {
    let calls = ["error(", "warning(", "never("].into_iter().flat_map(|call| text.split(call).skip(1));
    let literals = calls.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
    let is_code =
        |code: &&str| code.contains(|c: char| c == '-' || c.is_ascii_lowercase()) && !code.contains(' ');
    literals.map(|(code, _)| code).filter(is_code).map(str::to_owned).collect()
}

/// Every file below this folder with this ending, without the tests among the sources.
fn texts(folder: &Path, ending: &str) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.push_str(&texts(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("a text");
            all.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
    all
}

#[test]
fn r16_every_kind_of_finding_has_a_case() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = texts(&crate_folder.join("tests"), ".expected");
    let mut made = codes(&texts(&crate_folder.join("src"), ".rs"));
    made.sort();
    made.dedup();
    assert!(made.len() >= 100, "the sources are read no more: {made:?}");
    let without: Vec<_> = made.iter().filter(|code| !expected.contains(&format!("[{code}]:"))).collect();
    for code in &without {
        let file = ELSEWHERE.iter().find(|(name, _)| name == *code).map(|(_, file)| file);
        let file = file.unwrap_or_else(|| panic!("no file of tests/broken or tests/wild has {without:?}"));
        let text = fs::read_to_string(crate_folder.join(file)).expect("the test");
        assert!(text.contains(code.as_str()), "{file} does not speak of {code}");
    }
    for (code, _) in ELSEWHERE {
        assert!(without.iter().any(|known| known == code), "{code} has a file here, or is made no more");
    }
}
