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
        ("aldabad.8", "aldabad", &["user", "bundle", "--help"]),
        ("aldabad.8", "aldabad", &["rotate", "--help"]),
        ("aldabad.8", "aldabad", &["firewall", "apply", "--help"]),
        ("aldabad.8", "aldabad", &["reload", "--help"]),
        ("aldaba.1", "aldaba", &["enrol", "--help"]),
        ("aldaba.1", "aldaba", &["open", "--help"]),
        ("aldaba.1", "aldaba", &["close", "--help"]),
        ("aldaba.1", "aldaba", &["hello", "--help"]),
        ("aldaba.1", "aldaba", &["connect", "--help"]),
        ("aldabad.8", "aldabad", &["why", "--help"]),
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
