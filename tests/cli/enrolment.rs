//! The administrator's commands where nothing runs: what they write, print and refuse.

use std::path::Path;
use std::process::Output;

use aldaba_spa::{KeyKind, SealedBundle, SecretKey};

use crate::{run, text};

/// A server's files in a folder of its own.
fn server() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let words = ["init", "--dir", ".", "--state-dir", "state", "--host", "192.0.2.7", "--door", "ssh=22"];
    let made = run("aldabad", dir.path(), &words);
    assert!(made.status.success(), "{}", text(&made.stderr));
    dir
}

fn user(dir: &Path, words: &[&str]) -> Output {
    let here = ["--config", "aldaba.toml", "--control", "./none"];
    run("aldabad", dir, &[&["user"], words, &here].concat())
}

fn key(byte: u8) -> String {
    SecretKey::new(&[byte; 32]).public().to_text(KeyKind::Device)
}

fn registry(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("authorized_keys")).expect("the registry")
}

/// Refused with these words, and the registry is as it was.
fn refused(dir: &Path, words: &[&str], says: &str) {
    let before = registry(dir);
    let output = user(dir, words);
    let said = text(&output.stderr);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(1)), "{words:?}: {said}");
    assert!(said.contains(says) && said.contains("help:"), "{words:?}: {said}");
    assert_eq!(registry(dir), before, "{words:?}");
}

#[test]
fn a_bundle_is_all_that_stands_on_standard_output() {
    let dir = server();
    let line = format!("{} ana@laptop", key(1));
    let output = user(dir.path(), &["add", "alice/laptop", &line, "--from", "192.0.2.0/24", "--bind"]);
    let (bundle, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && bundle.lines().count() == 1, "{bundle}{said}");
    let opened = SealedBundle::from_text(&bundle).expect("a bundle").open(&SecretKey::new(&[1; 32]), None);
    let opened = opened.expect("alice's");
    let sender = opened.sender.to_text(KeyKind::Server);
    assert!(said.contains(&sender) && said.contains("next, on that device: aldaba enrol"), "{said}");
    assert!(said.contains("it counts from the next start"), "{said}");
    let wanted = format!("from=\"192.0.2.0/24\",bind {} alice/laptop\n", key(1));
    assert!(registry(dir.path()).ends_with(&wanted), "{}", registry(dir.path()));
    let coded = user(dir.path(), &["bundle", "alice", "--code", "--output", "b"]);
    let said = text(&coded.stderr);
    let code = said.split_whitespace().find(|word| word.starts_with("aldaba-code-1")).expect("a code");
    let sealed = std::fs::read_to_string(dir.path().join("b")).expect("a file");
    let sealed = SealedBundle::from_text(&sealed).expect("a bundle");
    let code = aldaba_spa::OneTimeCode::from_text(code).expect("a code");
    assert!(sealed.open(&SecretKey::new(&[1; 32]), None).is_err());
    assert!(sealed.open(&SecretKey::new(&[1; 32]), Some(&code)).is_ok());
    let again = user(dir.path(), &["bundle", "alice", "--output", "b"]);
    assert!(text(&again.stderr).contains("not there yet"), "a file is never written over");
}

#[test]
fn what_the_daemon_would_not_take_is_not_written() {
    let dir = server();
    assert!(user(dir.path(), &["add", "alice", &key(1)]).status.success());
    refused(dir.path(), &["add", "bob", &key(1)], "in the registry already: line 4, alice");
    refused(dir.path(), &["add", "alice", &key(2)], "there is a alice already");
    refused(dir.path(), &["add", "bob", &key(2), "--door", "shs"], "did you mean ssh?");
    refused(dir.path(), &["add", "bob", &key(2), "--expires", "soon"], "expires=2027-01-01");
    refused(dir.path(), &["add", "bob", &key(0x22)], "published test keys");
    let secret = SecretKey::new(&[5; 32]).expose_text(KeyKind::DeviceSecret).to_string();
    refused(dir.path(), &["add", "bob", &secret], "belongs on its device alone");
    let lock = std::fs::read_to_string(dir.path().join("server.key")).expect("a key");
    let lock = SecretKey::from_text(KeyKind::ServerSecret, &lock).expect("a key").public();
    refused(dir.path(), &["add", "bob", &lock.to_text(KeyKind::Device)], "this server's own lock");
    refused(dir.path(), &["add", "bo b", &key(2)], "not a user's or a device's name");
    refused(dir.path(), &["remove", "carol"], "nobody is called");
}

#[test]
fn lists_removals_and_new_keys() {
    let dir = server();
    for (name, byte) in [("alice/laptop", 1), ("alice/phone", 2), ("bob", 3)] {
        assert!(user(dir.path(), &["add", name, &key(byte)]).status.success());
    }
    let whole = format!("{}aldaba1xx carol\n", registry(dir.path()));
    std::fs::write(dir.path().join("authorized_keys"), whole).expect("written");
    let list = text(&user(dir.path(), &["list"]).stdout);
    assert_eq!(list.matches("may knock").count(), 3, "{list}");
    assert!(list.contains("disabled, line 7: the key is cut off"), "{list}");
    refused(dir.path(), &["remove", "alice"], "name one of them, or add --all");
    refused(dir.path(), &["bundle", "carol"], "carol does not count");
    assert!(user(dir.path(), &["rekey", "bob"]).status.success());
    assert!(registry(dir.path()).contains(&format!("\npsk=1 {} bob\n", key(3))));
    assert!(user(dir.path(), &["remove", "--all", "alice"]).status.success());
    assert!(user(dir.path(), &["remove", &key(3)]).status.success());
    assert!(registry(dir.path()).ends_with("psk=1\naldaba1xx carol\n"), "{}", registry(dir.path()));
}

#[test]
fn without_a_server_the_first_step_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = user(dir.path(), &["list"]);
    assert!(text(&output.stderr).contains("run aldabad init"), "{}", text(&output.stderr));
    std::fs::write(dir.path().join("aldaba.toml"), crate::GOOD).expect("written");
    let without = text(&user(dir.path(), &["list"]).stderr);
    assert!(without.contains("has no [spa]") && without.contains("aldabad init"), "{without}");
    // A configuration that is there is added to, not written over.
    let init = ["init", "--dir", ".", "--state-dir", "state", "--host", "192.0.2.7", "--door", "web=80"];
    assert!(run("aldabad", dir.path(), &init).status.success());
    assert_eq!(std::fs::read_to_string(dir.path().join("aldaba.toml")).expect("there"), crate::GOOD);
    let check = run("aldabad", dir.path(), &["check", "--explain", "aldaba.toml"]);
    let meaning = text(&check.stdout);
    assert!(meaning.contains("name = \"web\"") && meaning.contains("hosts = [\"192.0.2.7\"]"), "{meaning}");
    assert!(meaning.contains("state-dir = \"/"), "{meaning}");
}
