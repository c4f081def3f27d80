//! Rules every source file keeps, and the arrows between the crates.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files, read, root, run};

/// The longest a file may be.
const LINES: usize = 600;

#[test]
fn crates_use_what_the_architecture_says() {
    let metadata = run(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("cargo's answer");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        // The rest tests and measures, and may look anywhere.
        if !package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/")) {
            continue;
        }
        let normal = package["dependencies"].as_array().expect("dependencies").iter();
        let ours = normal
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| name.starts_with("aldaba"))
            .map(str::to_owned);
        found.insert(name, ours.collect());
    }
    assert_eq!(found, documented_arrows());
}

/// The rows of the table "Crates": names in backquotes.
fn documented_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let text = read(&root().join("docs/architecture.md"));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `aldaba"));
    rows.map(|row| {
        let mut cells = row.split('|');
        let name = format!("aldaba{}", cells.next().unwrap_or_default().trim().trim_end_matches('`'));
        let uses = cells.next().unwrap_or_default().split('`').filter(|word| word.starts_with("aldaba"));
        (name, uses.map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn unsafe_is_in_one_crate_only_and_explained() {
    for path in files("crates", "rs") {
        let text = read(&path);
        let in_sys = path.to_string_lossy().contains("crates/sys/");
        let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| path.ends_with(root))
            || path.parent().is_some_and(|parent| parent.ends_with("src/bin"));
        if is_root && !in_sys {
            assert!(text.contains("#![forbid(unsafe_code)]"), "{}", path.display());
        }
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !line.contains("unsafe {") && !line.contains("unsafe impl") {
                continue;
            }
            assert!(in_sys, "{}:{}: {line}", path.display(), number + 1);
            let before = &lines[number.saturating_sub(6)..number];
            assert!(
                before.iter().any(|line| line.contains("SAFETY:")),
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn files_are_middle_sized_and_say_what_they_are() {
    for folder in ["crates", "tests", "fuzz"] {
        for path in files(folder, "rs") {
            let text = read(&path);
            assert!(text.lines().count() <= LINES, "{} is too long", path.display());
            let is_tests = path.ends_with("tests.rs") || path.to_string_lossy().contains("/tests/");
            assert!(is_tests || text.starts_with("//!"), "{} has no head", path.display());
            assert!(!path.ends_with("mod.rs"), "{}", path.display());
        }
        for path in files(folder, "py") {
            assert!(read(&path).lines().count() <= LINES, "{} is too long", path.display());
        }
    }
}

#[test]
fn released_programs_have_no_points_to_fail_at() {
    for name in ["aldabad", "knockd"] {
        let path = aldaba_tests::program::binary(name);
        let bytes = std::fs::read(&path).expect("a program");
        let has = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(has("LC_ALL=C"), "{name}: words of the environment would be found");
        let found = has(aldabad::fault::VARIABLE);
        assert!(
            !found,
            "{}: built with the feature `faults`; run: cargo build --release -p aldabad",
            path.display()
        );
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, or this file would find itself.
    let words = ["TO", "FIX", "XX"].map(|start| {
        format!(
            "{start}{}",
            if start == "XX" {
                "X"
            } else if start == "TO" {
                "DO"
            } else {
                "ME"
            }
        )
    });
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    for folder in ["crates", "tests", "fuzz", "docs", "spec"] {
        for extension in ["rs", "py", "md", "toml"] {
            for path in files(folder, extension) {
                let text = read(&path);
                for word in words.iter().chain(&macros) {
                    assert!(!text.contains(word.as_str()), "{}: {word}", path.display());
                }
            }
        }
    }
}
