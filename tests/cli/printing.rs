//! What the programs print: the same to a reader who has gone, to scripts that compare it, and with a next step in every refusal.

use std::path::Path;
use std::process::Command;

use aldaba_tests::program::binary;

use crate::{BAD, GOOD, folder, run, text};

#[test]
fn a_reader_who_has_seen_enough_breaks_nothing() {
    let folder = folder(&[("good.toml", GOOD), ("bad.toml", BAD), ("bad.conf", "[a]\nsequnce = 7000\n")]);
    for (program, words, code) in [
        ("aldabad", &["check", "good.toml"][..], 0),
        ("aldabad", &["check", "--explain", "good.toml"], 0),
        ("aldabad", &["check", "bad.toml"], 2),
        ("aldabad", &["check", "--pcap", "bad.toml", "good.toml"], 1),
        ("aldabad", &["run", "--config", "bad.toml"], 2),
        ("aldabad", &["doctor", "--config", "bad.toml"], 2),
        ("aldabad", &["firewall", "apply", "--config", "bad.toml"], 2),
        ("aldabad", &["user", "list", "--config", "good.toml"], 1),
        ("aldabad", &["user", "add", "ana", "--config", "none.toml"], 1),
        ("aldabad", &["rotate", "--config", "good.toml"], 1),
        ("aldabad", &["status", "--control", "none"], 1),
        ("aldabad", &["leases", "--control", "none"], 1),
        ("aldabad", &["open", "192.0.2.7", "ssh", "--control", "none"], 1),
        ("aldabad", &["close", "192.0.2.7", "--control", "none"], 1),
        ("aldabad", &["reload", "--control", "none"], 1),
        ("aldabad", &["apply", "--control", "none"], 1),
        ("aldabad", &["why", "192.0.2.7", "--control", "none"], 1),
        ("aldabad", &["reap", "--state-dir", "none"], 0),
        ("aldabad", &["--help"], 0),
        ("aldabad", &["--version"], 0),
        ("aldabad", &["run", "--help"], 0),
        ("aldabad", &["nonsense"], 2),
        ("knockd", &["-c", "bad.conf", "-i", "lo"], 1),
        ("knockd", &["--help"], 0),
        ("knockd", &["-V"], 0),
        ("knockd", &["-Z"], 0),
        ("knock", &["--help"], 1),
        ("knock", &["-V"], 0),
        ("knock", &["-v", "127.0.0.1", "9"], 0),
        ("aldaba", &["--help"], 0),
        ("aldaba", &["--version"], 0),
        ("aldaba", &["knock", "127.0.0.1", "9"], 0),
        ("aldaba", &["nonsense"], 2),
    ] {
        let closed = || std::io::pipe().expect("a pipe").1;
        let mut command = Command::new(binary(program));
        command.args(words).current_dir(folder.path()).stdout(closed()).stderr(closed());
        assert_eq!(command.status().expect("it starts").code(), Some(code), "{program} {words:?}");
    }
}

/// `init` and the commands for devices say what they do with a closed pipe as with an open one; one that prints what its user must
/// have fails, and says how to get it.
#[test]
fn what_was_done_stays_done_when_nobody_reads() {
    let folder = folder(&[]);
    let config = folder.path().join("aldaba.toml");
    let state = folder.path().join("state");
    let (config, state) = (config.to_str().expect("plain"), state.to_str().expect("plain"));
    let deaf = |words: &[&str], out: bool| {
        let closed = || std::io::pipe().expect("a pipe").1;
        let mut command = Command::new(binary("aldabad"));
        command.args(words).current_dir(folder.path());
        if out {
            command.stdout(closed());
        } else {
            command.stderr(closed());
        }
        let output = command.output().expect("it starts");
        (output.status.code(), text(&output.stderr))
    };
    let dir = folder.path().to_str().expect("plain");
    let init = ["init", "--dir", dir, "--state-dir", state, "--host", "192.0.2.1"];
    assert_eq!(deaf(&init, false).0, Some(0));
    let key = aldaba_tests::Device::new(1).line("", "ana/laptop");
    let (code, said) = deaf(&["user", "add", "ana/laptop", key.trim(), "--config", config], true);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("user bundle ana/laptop") && said.contains("prints it again"), "{said}");
    for words in [&["user", "list"][..], &["user", "bundle", "ana/laptop"], &["rotate"]] {
        let (code, said) = deaf(&[words, &["--config", config]].concat(), false);
        assert!(code == Some(0), "{words:?}: {code:?} {said}");
    }
    let (code, said) = deaf(&["user", "list", "--config", config], true);
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn the_drop_ins_print_what_the_originals_print() {
    let folder = folder(&[]);
    let version = "Copyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>\n";
    for program in ["knockd", "knock"] {
        let ours = run(program, folder.path(), &["-V"]);
        assert_eq!(text(&ours.stdout), format!("{program} 0.8\n{version}"));
        assert!(text(&ours.stderr).contains("aldaba"), "which program this is");
    }
    let help = text(&run("knockd", folder.path(), &["-h"]).stdout);
    assert!(help.starts_with("usage: knockd [options]\noptions:\n  -i, --interface <int>  "), "{help}");
    assert!(help.ends_with("  -h, --help             this help\n\n"), "{help}");
    for program in ["knockd", "knock"] {
        let original = ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
        let Some(original) = original.into_iter().find(|path| path.exists()) else { continue };
        for word in ["-h", "-V", "-Z"] {
            let theirs = Command::new(&original).arg(word).output().expect("it starts");
            let ours = run(program, folder.path(), &[word]);
            assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{program} {word}");
            assert_eq!(ours.status.code(), theirs.status.code(), "{program} {word}");
        }
    }
}

/// Whatever a command refuses, it says what to do next.
#[test]
fn every_refusal_names_the_next_step() {
    let folder = folder(&[
        ("good.toml", GOOD),
        ("bad.toml", BAD),
        ("bad.conf", "[a]\nsequnce = 7000\n"),
        ("empty", ""),
    ]);
    for (program, words) in [
        ("aldabad", &["check", "bad.toml"][..]),
        ("aldabad", &["check", "bad.conf"]),
        ("aldabad", &["check", "none.toml"]),
        ("aldabad", &["check", "none.conf"]),
        ("aldabad", &["check", "."]),
        ("aldabad", &["check", "--pcap", "none.pcap", "good.toml"]),
        ("aldabad", &["check", "--pcap", "empty", "good.toml"]),
        ("aldabad", &["run", "--config", "none.toml"]),
        ("aldabad", &["status", "--control", "none"]),
        ("aldabad", &["close", "192.0.2.7", "--control", "empty"]),
        ("aldabad", &["apply", "--control", "none", "new.toml"]),
        ("aldabad", &["user", "list", "--config", "good.toml"]),
        ("aldabad", &["user", "add", "ana", "--config", "none.toml"]),
        ("aldabad", &["rotate", "--config", "good.toml"]),
        ("aldabad", &["init", "--dir", "empty/x", "--host", "192.0.2.1"]),
        ("aldaba", &["open", "nobody.invalid"]),
        ("aldaba", &["pubkey", "none"]),
        ("aldaba", &["pubkey", "empty"]),
        ("aldaba", &["pubkey", "."]),
        ("aldaba", &["keygen", "-o", "empty"]),
        ("aldaba", &["keygen", "-o", "none/key"]),
        ("aldaba", &["enrol", "none"]),
        ("aldaba", &["enrol", "empty"]),
        ("aldaba", &["enrol", "aldaba-bundle-1:nonsense"]),
        ("aldaba", &["knock", "nobody.invalid", "7000"]),
    ] {
        let mut command = Command::new(binary(program));
        command
            .args(words)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env_remove("XDG_CONFIG_HOME");
        let output = command.output().expect("it starts");
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{program} {words:?}: {said}");
        assert!(said.contains("help: "), "{program} {words:?}: {said}");
    }
}
