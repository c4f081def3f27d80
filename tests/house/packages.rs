//! Packages have all that is there to be packaged, and name no file that is not.

use crate::{read, root};

fn metadata() -> String {
    let manifest = read(&root().join("crates/aldabad/Cargo.toml"));
    manifest.split_once("[package.metadata.deb]").expect("packages").1.to_owned()
}

#[test]
fn packages_name_files_that_exist() {
    let metadata = metadata();
    let named = metadata.split('"').filter_map(|word| word.strip_prefix("../../"));
    let mut known = 0;
    for name in named.filter(|name| !name.contains('*')) {
        assert!(root().join(name).exists(), "{name} is not there");
        known += 1;
    }
    assert!(known > 15, "{known}");
    let units = metadata.split("unit-name = \"").skip(1).filter_map(|rest| rest.split('"').next());
    for unit in units {
        assert!(root().join(format!("packaging/systemd/{unit}.service")).exists(), "{unit}");
    }
}

#[test]
fn packages_have_every_unit_manual_and_program() {
    let metadata = metadata();
    for folder in ["docs/man", "packaging", "packaging/systemd/sysusers.d", "packaging/systemd/tmpfiles.d"] {
        let entries = std::fs::read_dir(root().join(folder)).expect(folder).flatten();
        for entry in entries.filter(|entry| entry.path().is_file()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(metadata.contains(&format!("{folder}/{name}\"")), "{folder}/{name} is in no package");
        }
    }
    for entry in std::fs::read_dir(root().join("packaging/systemd")).expect("units").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((unit, "service")) = name.rsplit_once('.') {
            let is_named = metadata.contains(&format!("unit-name = \"{unit}\""))
                || metadata.contains(&format!("packaging/systemd/{name}\""));
            assert!(is_named, "{name} is in no package");
        }
    }
    for program in ["aldabad", "aldaba", "knockd", "knock"] {
        assert!(metadata.contains(&format!("target/release/{program}\"")), "{program} is in no package");
    }
}

/// What debhelper's lines, which cargo-deb writes, stand in.
#[test]
fn maintainer_scripts_have_a_place_for_the_units() {
    for package in ["aldaba", "aldaba-knockd"] {
        let folder = root().join("packaging/debian").join(package);
        for script in std::fs::read_dir(&folder).expect("scripts").flatten() {
            let text = read(&script.path());
            assert!(text.starts_with("#!/bin/sh\nset -e\n"), "{}", script.path().display());
            assert_eq!(text.matches("#DEBHELPER#\n").count(), 1, "{}", script.path().display());
        }
    }
}
