//! Links resolve, and examples are what they say.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aldaba_config::{Disk, Kind, Options, Paint, load};
use aldaba_spa::{KeyKind, text};

use crate::{files, read, root};

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["docs", "spec", "tests", "fuzz", "keys", "crates"] {
        found.extend(files(folder, "md"));
    }
    for name in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"] {
        found.push(root().join(name));
    }
    found
}

#[test]
fn links_lead_somewhere() {
    for path in documents() {
        let text = read(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            let place = path.parent().expect("a folder").join(file);
            assert!(place.exists(), "{}: {target} leads nowhere", path.display());
        }
    }
}

#[test]
fn headings_that_are_cited_exist() {
    let headings = read(&root().join("docs/architecture.md"));
    let mut cited = 0;
    for path in files("crates", "rs").into_iter().chain(documents()) {
        let text = read(&path);
        for title in text.split("architecture.md, \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(headings.contains(&format!("\n## {title}")), "{}: no heading {title}", path.display());
            cited += 1;
        }
    }
    assert!(cited >= 4, "{cited}");
}

/// What `aldabad init` makes beside a configuration.
fn write_keys(folder: &Path) {
    let kinds =
        [("server.key", KeyKind::ServerSecret), ("gate.key", KeyKind::Gate), ("psk.key", KeyKind::Seed)];
    for (file, kind) in kinds {
        let path = folder.join(file);
        std::fs::write(&path, &**text::encode(kind, &[0x5a; 32])).expect("a file");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
    }
    std::fs::write(folder.join("authorized_keys"), "").expect("a file");
}

/// Text of a configuration must be taken as one.
fn assert_good(kind: Kind, text: &str, whence: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(if kind == Kind::Toml { "aldaba.toml" } else { "knockd.conf" });
    std::fs::write(&path, text).expect("a file");
    if text.contains("[spa]") {
        write_keys(folder.path());
    }
    let options =
        Options { own_uid: rustix::process::geteuid().as_raw(), strict_check: true, ..Options::default() };
    if let Err(report) = load(kind, &path, &mut Disk, &options) {
        panic!("{}:\n{text}\n{}", whence.display(), report.render(Paint::Plain));
    }
}

#[test]
fn examples_are_good_configurations() {
    let mut checked = 0;
    for path in documents() {
        for block in read(&path).split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default().replace("\n   ", "\n");
            if block.contains("[[door]]") {
                assert_good(Kind::Toml, block.trim_start(), &path);
                checked += 1;
            }
        }
    }
    for (page, kind) in [("aldaba.toml.5", Kind::Toml), ("knockd.conf.5", Kind::Knockd)] {
        let path = root().join("docs/man").join(page);
        for block in read(&path).split(".Bd -literal -offset indent\n").skip(1) {
            assert_good(kind, block.split(".Ed").next().unwrap_or_default(), &path);
            checked += 1;
        }
    }
    // Its door is commented out: everybody's would have the same ports else. With none it is not taken.
    let file = "packaging/aldaba.toml";
    let (above, door) = read(&root().join(file))
        .split_once("# [[door]]\n")
        .map(|(above, door)| (above.to_owned(), door.to_owned()))
        .expect("a door");
    let door: Vec<&str> = door.lines().map(|line| line.trim_start_matches("# ")).collect();
    assert_good(Kind::Toml, &format!("{above}[[door]]\n{}", door.join("\n")), Path::new(file));
    let file = "packaging/knockd.conf";
    assert_good(Kind::Knockd, &read(&root().join(file)), Path::new(file));
    checked += 2;
    assert!(checked >= 8, "{checked}");
}

#[test]
fn hazards_name_tests_that_exist() {
    let table = read(&root().join("docs/reliability.md"));
    let all = files("tests", "rs").into_iter().chain(files("crates", "rs"));
    let sources: String = all.map(|path| read(&path)).collect();
    let mut named = 0;
    for word in table.split('`').filter(|word| word.len() > 12 && !word.contains(['/', ' ', '-', '='])) {
        assert!(sources.contains(&format!("fn {word}(")), "no test {word}");
        named += 1;
    }
    assert!(named >= 12, "{named}");
}

#[test]
fn events_of_the_log_are_documented() {
    let table = read(&root().join("docs/log.md"));
    let sources: String = files("crates/aldabad/src", "rs").iter().map(|path| read(path)).collect();
    // A line of ours begins with its name and a field: in one string, or as a name beside its level.
    let texts = sources.split('"').filter(|text| !text.contains(['\n', '(', '/']));
    let whole = texts.filter_map(|text| text.split_once(' ')).filter(|(_, rest)| {
        rest.split_once('=').is_some_and(|(field, value)| is_name(field) && value.starts_with('{'))
    });
    let beside = sources.split("(Level::").skip(1).filter_map(|rest| rest.split_once(", \""));
    let beside = beside.filter(|(level, _)| level.chars().all(char::is_alphabetic));
    let beside = beside.filter_map(|(_, rest)| rest.split('"').next());
    let mut known = 0;
    for name in whole.map(|(name, _)| name).chain(beside).filter(|name| is_name(name)) {
        assert!(table.contains(&format!("`{name}`")), "docs/log.md does not know {name}");
        known += 1;
    }
    assert!(known > 20, "{known}");
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// A row's name, with its numbers and what a format puts there as one.
fn row_name(line: &str) -> Option<String> {
    let cell = line.trim().strip_prefix("| ")?.split('|').next()?.trim();
    let mut name = String::new();
    let mut depth = 0_usize;
    for c in cell.chars() {
        let is_number = c == '{' || (depth == 0 && c.is_ascii_digit());
        if is_number && !name.ends_with('N') {
            name.push('N');
        }
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && !is_number => name.push(c),
            _ => {}
        }
    }
    Some(name)
}

#[test]
fn r24_the_table_has_the_rows_that_the_soak_prints() {
    let soak = read(&root().join("tests/e2e/overload/soak.rs"));
    let printed: Vec<_> = soak.split('"').filter_map(row_name).collect();
    let document = read(&root().join("docs/reliability.md"));
    let (_, table) = document.split_once("\n`tests/soak 600` printed this").expect("its table");
    let lines =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let documented: Vec<_> = lines.filter_map(row_name).collect();
    assert!(printed.len() >= 8, "{printed:?}");
    assert_eq!(
        documented, printed,
        "docs/reliability.md and tests/soak: run it, and write down what it prints"
    );
}

#[test]
fn the_changelog_has_a_place_for_what_comes() {
    assert!(read(&root().join("CHANGELOG.md")).contains("## [Unreleased]"));
}
