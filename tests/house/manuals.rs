//! The manuals are sound and know every option.

use aldaba_tests::program::binary;

use crate::{files, read, root, run};

#[test]
fn manuals_are_sound() {
    if !["/usr/bin/mandoc", "/bin/mandoc"].iter().any(|path| std::path::Path::new(path).exists()) {
        assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "needs mandoc (tests/run)");
        println!("SKIPPED: mandoc is not installed");
        return;
    }
    for section in ["1", "5", "8"] {
        for page in files("docs/man", section) {
            let output =
                run("mandoc", &["-T", "lint", "-W", "warning", page.to_str().expect("a plain name")]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
    }
}

/// The long options a help text names.
fn options(program: &str, words: &[&str]) -> Vec<String> {
    let output = run(binary(program), words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split(|c: char| c.is_whitespace() || c == ',' || c == '[' || c == ']' || c == '<');
    let long = words.filter_map(|word| word.strip_prefix("--"));
    long.map(|name| name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()).collect()
}

#[test]
fn manuals_know_every_option() {
    for (page, program, words) in [
        ("aldabad.8", "aldabad", &["run", "--help"][..]),
        ("aldabad.8", "aldabad", &["check", "--help"]),
        ("aldabad.8", "aldabad", &["demo", "--help"]),
        ("aldabad.8", "aldabad", &["init", "--help"]),
        ("aldabad.8", "aldabad", &["user", "add", "--help"]),
        ("aldabad.8", "aldabad", &["user", "remove", "--help"]),
        ("aldabad.8", "aldabad", &["user", "list", "--help"]),
        ("aldabad.8", "aldabad", &["user", "bundle", "--help"]),
        ("aldabad.8", "aldabad", &["user", "rekey", "--help"]),
        ("aldabad.8", "aldabad", &["rotate", "--help"]),
        ("aldabad.8", "aldabad", &["firewall", "apply", "--help"]),
        ("aldabad.8", "aldabad", &["firewall", "remove", "--help"]),
        ("aldabad.8", "aldabad", &["reload", "--help"]),
        ("aldabad.8", "aldabad", &["reap", "--help"]),
        ("aldabad.8", "aldabad", &["apply", "--help"]),
        ("aldabad.8", "aldabad", &["doctor", "--help"]),
        ("aldaba.1", "aldaba", &["enrol", "--help"]),
        ("aldaba.1", "aldaba", &["open", "--help"]),
        ("aldaba.1", "aldaba", &["close", "--help"]),
        ("aldaba.1", "aldaba", &["hello", "--help"]),
        ("aldaba.1", "aldaba", &["try", "--help"]),
        ("aldaba.1", "aldaba", &["connect", "--help"]),
        ("aldabad.8", "aldabad", &["why", "--help"]),
        ("aldabad.8", "aldabad", &["status", "--help"]),
        ("aldabad.8", "aldabad", &["leases", "--help"]),
        ("aldabad.8", "aldabad", &["open", "--help"]),
        ("aldabad.8", "aldabad", &["close", "--help"]),
        ("aldaba.1", "aldaba", &["knock", "--help"]),
        ("aldaba.1", "aldaba", &["keygen", "--help"]),
        ("aldaba.1", "aldaba", &["pubkey", "--help"]),
        ("knock.1", "knock", &["-h"]),
        ("knockd.8", "knockd", &["-h"]),
    ] {
        let text = read(&root().join("docs/man").join(page)).replace("\\-", "-");
        let found = options(program, words);
        assert!(!found.is_empty(), "{program} {words:?} names no options");
        for option in found.iter().filter(|option| *option != "help") {
            assert!(text.contains(&format!("Fl Fl {option}")), "{page} does not know --{option}");
        }
    }
}

/// The commands a program has, by its own help.
fn commands(program: &str) -> Vec<String> {
    let output = run(binary(program), &["--help"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let list =
        text.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn commands_that_documents_show_exist() {
    let programs = ["aldabad", "aldaba"].map(|program| (program, commands(program)));
    assert!(programs.iter().all(|(_, known)| known.len() > 5), "{programs:?}");
    let mut shown = 0;
    let documents = ["docs", "spec", "keys"].into_iter().flat_map(|folder| files(folder, "md"));
    let top = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let pages = ["1", "5", "8"].into_iter().flat_map(|section| files("docs/man", section));
    for path in documents.chain(top).chain(pages) {
        let text = read(&path);
        let places = text.split('`').chain(text.lines());
        let words = places
            .map(|place| place.trim_start().trim_start_matches(".Ql ").trim_start_matches(['$', '#', ' ']));
        let words = words.map(|place| place.strip_prefix("sudo ").unwrap_or(place));
        for (program, known) in &programs {
            let calls = words.clone().filter_map(|place| place.strip_prefix(program)?.strip_prefix(' '));
            let names = calls.filter_map(|call| call.split_whitespace().next()).filter(|name| {
                name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !name.starts_with('-')
            });
            for name in names {
                assert!(known.iter().any(|command| command == name), "{}: {program} {name}", path.display());
                shown += 1;
            }
        }
    }
    assert!(shown > 60, "{shown}");
}

#[test]
fn the_manual_of_the_configuration_knows_every_key() {
    let page = read(&root().join("docs/man/aldaba.toml.5"));
    let mut keys = 0;
    for path in files("crates/config/src/aldaba_toml", "rs") {
        if path.ends_with("table.rs")
            || path.ends_with("values.rs")
            || path.to_string_lossy().contains("tests")
        {
            continue;
        }
        let text = read(&path);
        let calls = text.split("take(").skip(1).filter_map(|rest| rest.split(')').next());
        for name in calls.filter_map(|call| call.split('"').rev().nth(1)).filter(|name| !name.is_empty()) {
            assert!(page.contains(name), "aldaba.toml(5) does not know {name}");
            keys += 1;
        }
    }
    assert!(keys > 20, "{keys}");
}
