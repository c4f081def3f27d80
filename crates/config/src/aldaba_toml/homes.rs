//! Which key belongs to which table, for those that stand in the wrong one.
//!
//! TOML makes that slip easy: a line below `[[door]]` is the door's, however far above it the others of its kind stand.
//! The tables' readers decide what is a key; a debug build compares what they take with this list, a test this list with
//! what they take.

/// A table and its keys.
struct Home {
    /// As the reader calls it.
    what: &'static str,
    /// How one writes into it.
    place: &'static str,
    keys: &'static [&'static str],
}

/// `[spa]` holds the keys of its only lock.
const LOCK: &[&str] = &["server-key", "gate-key", "audience", "not-before", "not-after"];

static HOMES: [Home; 8] = [
    Home {
        what: "the top level",
        place: "at the top, above the first line in brackets",
        keys: &[
            "interfaces",
            "capture",
            "ipv6",
            "user",
            "capabilities",
            "state-dir",
            "pid-file",
            "control",
            "on-exit",
            "ignore",
            "log",
            "limits",
            "firewall",
            "spa",
            "door",
        ],
    },
    Home { what: "[log]", place: "below [log]", keys: &["syslog", "file", "stages"] },
    Home {
        what: "[limits]",
        place: "below [limits]",
        keys: &["attempts", "running", "running-per-door", "waiting", "leases-per-source", "leases-per-door"],
    },
    Home { what: "[firewall]", place: "below [firewall]", keys: &["table", "after-flush"] },
    Home {
        what: "[spa]",
        place: "below [spa]",
        keys: &[
            "port",
            "hosts",
            "receive",
            "trust-clock",
            "past",
            "future",
            "slack",
            "registry",
            "psk-seed",
            "lock",
        ],
    },
    Home { what: "[spa]", place: "below [spa]", keys: LOCK },
    Home { what: "a lock", place: "below a [[spa.lock]]", keys: LOCK },
    Home {
        what: "a door",
        place: "below a [[door]]",
        keys: &[
            "name",
            "style",
            "mode",
            "sequence-timeout",
            "cooldown",
            "tcp-flags",
            "spa",
            "open-for-gateway",
            "sequence",
            "one-time-sequences",
            "close-sequence",
            "close-one-time-sequences",
            "target",
            "interfaces",
            "lease",
            "max-lease",
            "ports",
            "established",
            "set",
            "set-v4",
            "set-v6",
            "start",
            "start-v6",
            "stop",
            "stop-v6",
            "start-line",
            "start-line-v6",
            "stop-line",
            "stop-line-v6",
            "time-limit",
            "never-stop",
            "log-only",
            "service",
        ],
    },
];

/// Where a key of this name belongs, if it is one of another table's than `here`.
pub(super) fn of(name: &str, here: &str) -> Option<String> {
    let others = HOMES.iter().filter(|home| home.what != here && home.keys.contains(&name));
    let places: Vec<&str> = others.map(|home| home.place).collect();
    (!places.is_empty()).then(|| format!("{name} belongs {}", places.join(", or ")))
}

/// Whether all of these stand here as keys of this table.
pub(super) fn knows(what: &str, taken: &[&str]) -> bool {
    let known = |name: &&str| HOMES.iter().any(|home| home.what == what && home.keys.contains(name));
    taken.iter().all(known)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::{HOMES, of};
    use crate::{FileBytes, FileFacts, Files, Kind, Options, Paint, load};

    /// A machine with one file.
    struct One(String);

    impl Files for One {
        fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
            if path != Path::new("a.toml") {
                return Err(io::ErrorKind::NotFound.into());
            }
            let facts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
            Ok(FileBytes { bytes: self.0.clone().into_bytes(), facts })
        }

        fn list_dir(&mut self, _: &Path) -> io::Result<Vec<std::ffi::OsString>> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn said(text: &str) -> String {
        match load(Kind::Toml, Path::new("a.toml"), &mut One(text.to_owned()), &Options::default()) {
            Ok(_) => String::new(),
            Err(report) => report.render(Paint::Plain),
        }
    }

    #[test]
    fn every_key_is_one_of_its_table() {
        for home in &HOMES {
            for key in home.keys {
                let head = match home.what {
                    "the top level" => "",
                    "a door" => "[[door]]",
                    "a lock" => "[[spa.lock]]",
                    head => head,
                };
                // No key takes a date, so that what is said is never that it is unknown.
                let said = said(&format!("{head}\n{key} = 2026-11-27\n"));
                assert!(!said.contains("unknown-key"), "{}: {said}", home.what);
            }
        }
    }

    /// Table and key at the line that each finding of this text points to; unknown keys count for none.
    fn pointed_at(said: &str, folder: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for finding in said.split("\n\n").filter(|finding| !finding.contains("[unknown-key]")) {
            let place = finding.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
            let Some((rest, _)) = place.and_then(|place| place.rsplit_once(':')) else { continue };
            let Some((name, line)) = rest.rsplit_once(':') else { continue };
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().take(line.parse().unwrap_or(0)).collect();
            let head = lines.iter().rev().find(|line| line.starts_with('['));
            let table = match head.map_or("", |head| head.trim_end()) {
                "" => "the top level",
                "[[door]]" => "a door",
                "[[spa.lock]]" => "a lock",
                head => head,
            };
            let key = lines.last().and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
            found.push((table.to_owned(), key.to_owned()));
        }
        found
    }

    #[test]
    fn r16_every_key_has_a_case_with_a_bad_value() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
        let files = std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("one").path());
        let expected = files.filter(|path| path.to_string_lossy().ends_with(".toml.expected"));
        let said = |path| std::fs::read_to_string(path).expect("what is said of it");
        let found: Vec<_> = expected.flat_map(|path| pointed_at(&said(path), &folder)).collect();
        let keys = HOMES.iter().flat_map(|home| home.keys.iter().map(|key| (home.what, *key)));
        let without: Vec<_> = keys
            .filter(|(what, key)| !found.iter().any(|(table, name)| table == what && name == key))
            .collect();
        assert!(without.is_empty(), "no file of tests/broken has a bad value of {without:?}");
    }

    #[test]
    fn a_key_is_sent_home() {
        assert_eq!(of("stages", "a door").as_deref(), Some("stages belongs below [log]"));
        assert_eq!(of("gate-key", "[spa]").as_deref(), Some("gate-key belongs below a [[spa.lock]]"));
        assert_eq!(
            of("interfaces", "[log]").as_deref(),
            Some("interfaces belongs at the top, above the first line in brackets, or below a [[door]]")
        );
        assert_eq!(of("nonsense", "a door"), None);
        assert_eq!(of("lease", "a door"), None);
    }
}
