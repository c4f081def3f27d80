//! `aldaba enrol` and `aldaba servers`.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use aldaba_spa::{Bundle, KeyKind, OneTimeCode, Timestamp};

use crate::programs::Said;
use crate::world::{Home, bundle, chmod, device, key, lock, sealed, server, wall};

const HOSTS: [&str; 2] = ["gw.example.net", "192.0.2.7"];

fn example() -> Bundle {
    bundle(&HOSTS, 41_414, 22)
}

fn from(bundle: &Bundle) -> String {
    sealed(bundle, &server(), &device(), None)
}

fn filter(home: &Home, words: &[&str], input: &str) -> Said {
    let piped = Stdio::piped;
    let mut child =
        home.command(words).stdin(piped()).stdout(piped()).stderr(piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("it ends").into()
}

/// Enrols what cannot be enrolled.
fn refused(home: &Home, words: &[&str], parts: &[&str]) {
    let before = fs::read(home.path("servers/gw.example.net")).ok();
    let said = home.run(&[&["enrol"], words].concat());
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    for part in parts {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert_eq!(fs::read(home.path("servers/gw.example.net")).ok(), before, "nothing changes");
}

#[test]
fn a_bundle_comes_as_a_word_in_a_file_or_through_a_pipe() {
    let text = from(&example());
    let broken: Vec<&str> = text.as_bytes().chunks(70).map(|line| str::from_utf8(line).unwrap()).collect();
    let mail = format!("added ana/laptop\n\n  {}\n\nnext, there: aldaba enrol\n", broken.join("\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bundle");
    fs::write(&file, &mail).expect("written");
    let ways: [(&[&str], &str); 5] = [
        (&["enrol", &text], ""),
        (&["enrol", file.to_str().unwrap()], ""),
        (&["enrol"], &mail),
        (&["enrol", "-"], &text),
        (&["enrol", &broken.join("\r\n")], ""),
    ];
    let mut stored = Vec::new();
    for (words, input) in ways {
        let home = Home::new();
        let said = filter(&home, words, input);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}");
        let key = server().public().to_text(KeyKind::Server);
        let wanted = format!(
            "enrolled: gw.example.net\nserver's key: {key}\n  compare it with what the administrator says\n\
             next, to try it: aldaba hello gw.example.net\n      to open a door: aldaba open gw.example.net\n      \
             for ssh: aldaba ssh-config gw.example.net >> ~/.ssh/config\n"
        );
        assert_eq!(said.out, wanted);
        stored.push(home.read("servers/gw.example.net"));
    }
    stored.dedup();
    let [text] = &stored[..] else { panic!("all are stored alike") };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], format!("device {}", device().public().to_text(KeyKind::Device)));
    let read = Bundle::from_text(lines[2].strip_prefix("bundle ").expect("the bundle")).expect("a bundle");
    assert_eq!(*read.encode().unwrap(), *example().encode().unwrap());
}

#[cfg(unix)]
#[test]
fn what_is_stored_is_private_and_refused_where_it_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    assert_eq!(home.run(&["enrol", &from(&example())]).code, Some(0));
    let mode = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("servers"), mode("servers/gw.example.net")), (0o700, 0o600));
    let names: Vec<_> =
        fs::read_dir(home.path("servers")).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(names.len(), 2, "the server and the lock, and nothing half: {names:?}");
    chmod(&home.path("servers/gw.example.net"), 0o644);
    let said = home.run(&["hello", "gw.example.net"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("is open to others (mode 0644)") && said.err.contains("help: chmod 600"),
        "{}",
        said.err
    );
}

#[test]
fn only_the_key_it_was_sealed_for_opens_a_bundle() {
    let home = Home::new();
    let other = sealed(&example(), &server(), &key(0x44), None);
    let mine = device().public().to_text(KeyKind::Device);
    refused(&home, &[&other], &["for another device's key\n  help: this device's key is", &mine]);
    // The second of two keys, as while one takes the place of the other.
    let both = [key(0x44), device()].map(|key| key.expose_text(KeyKind::DeviceSecret).to_string());
    home.write("id", &both.join("\n"));
    assert_eq!(home.run(&["enrol", &other]).code, Some(0));
    home.write("id", &device().expose_text(KeyKind::DeviceSecret));
    let said = home.run(&["hello", "gw.example.net"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("enrolled with another key than that in"), "{}", said.err);
    fs::remove_file(home.path("id")).unwrap();
    refused(&home, &[&from(&example())], &["help: make a key: aldaba keygen"]);
}

#[test]
fn a_one_time_code_proves_the_sender() {
    let home = Home::new();
    let text = sealed(&example(), &server(), &device(), Some(7));
    let code = |byte| OneTimeCode::new(&[byte; 16]).unwrap().expose_text().to_string();
    refused(&home, &[&text], &["with a one-time code", "help: aldaba enrol --code CODE"]);
    refused(&home, &[&text, "--code", &code(8)], &["the one-time code is not that of this bundle"]);
    let damaged = home.run(&["enrol", &text, "--code", "aldaba-code-1qqq"]);
    assert_eq!(damaged.code, Some(2), "{}", damaged.err);
    let said = home.run(&["enrol", &text, "--code", &code(7)]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(!said.out.contains("compare"), "there is nothing left to compare: {}", said.out);
}

#[test]
fn the_servers_key_can_be_given() {
    let home = Home::new();
    let (right, wrong) =
        (server().public().to_text(KeyKind::Server), key(9).public().to_text(KeyKind::Server));
    refused(&home, &[&from(&example()), "--server", &wrong], &["not the key given", "help: do not use it"]);
    let said = home.run(&["enrol", &from(&example()), "--server", &right]);
    assert_eq!(said.code, Some(0));
    assert!(!said.out.contains("compare"), "{}", said.out);
}

#[test]
fn a_bundle_is_replaced_only_by_a_newer_one_of_the_same_server() {
    let home = Home::new();
    assert_eq!(home.run(&["enrol", &from(&example())]).code, Some(0));
    let again = home.run(&["enrol", &from(&example())]);
    assert_eq!(again.code, Some(0));
    assert!(
        again.out.starts_with("enrolled already: gw.example.net, with this very bundle\n"),
        "{}",
        again.out
    );
    let mut older = example();
    older.issued = Timestamp(older.issued.0 - 1);
    refused(&home, &[&from(&older)], &["gw.example.net: the bundle is not newer", "help: "]);
    let mut newer = example();
    newer.issued = Timestamp(newer.issued.0 + 1);
    let other = sealed(&newer, &key(0x77), &device(), None);
    refused(
        &home,
        &[&other],
        &["gw.example.net: the bundle comes from another server", "aldaba enrol --name NAME"],
    );
    // A second lock beside the first; then only that one, sealed with its key.
    newer.locks.push(lock(&key(0x77)));
    let said = home.run(&["enrol", &from(&newer)]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("enrolled: gw.example.net, in the place of its older bundle\n"));
    newer.issued = Timestamp(newer.issued.0 + 1);
    newer.locks.remove(0);
    assert_eq!(home.run(&["enrol", &sealed(&newer, &key(0x77), &device(), None)]).code, Some(0));
    newer.issued = Timestamp(newer.issued.0 + 1);
    refused(&home, &[&from(&newer)], &["another server"]);
}

#[test]
fn a_later_bundle_finds_the_name_the_user_gave() {
    let home = Home::enrolled(&example());
    let mut newer = example();
    newer.issued = Timestamp(newer.issued.0 + 1);
    newer.hosts.remove(0);
    let said = home.run(&["enrol", &from(&newer)]);
    assert!(
        said.out.starts_with("enrolled: gw, in the place of its older bundle\n"),
        "{}{}",
        said.out,
        said.err
    );
    assert!(!home.path("servers/gw.example.net").exists());
}

#[test]
fn what_is_no_bundle_is_told() {
    let home = Home::new();
    let text = from(&example());
    for (words, part) in [
        (&["no/such/file"][..], "cannot read no/such/file"),
        (&["aldaba-bundle-1:AAAA"], "the bundle: the bundle is damaged or not whole"),
        (&[&text[..text.len() - 1]], "damaged or not whole"),
        (&["aldaba-bundle-7:AAAA"], "update aldaba"),
    ] {
        refused(&home, words, &[part]);
    }
    let key = device().public().to_text(KeyKind::Device);
    let said = filter(&home, &["enrol"], &key);
    assert!(said.err.contains("standard input: this is a device's public key"), "{}", said.err);
    for name in ["../x", "", ".x", "-x"] {
        assert_eq!(home.run(&["enrol", &text, &format!("--name={name}")]).code, Some(2), "{name}");
    }
}

#[test]
fn servers_are_listed_with_their_dates() {
    let home = Home::new();
    let said = home.run(&["servers"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert!(said.err.contains("help: aldaba enrol BUNDLE"));
    let mut ending = example();
    ending.locks[0].not_after = Some(Timestamp(wall().0 + 13 * 86_400_000_000));
    assert_eq!(home.run(&["enrol", &from(&example())]).code, Some(0));
    let text = from(&ending);
    let enrolled = home.run(&["enrol", &text, "--name", "B"]);
    assert!(enrolled.err.starts_with("warning: the bundle of b ends at "), "{}", enrolled.err);
    let said = home.run(&["servers"]);
    assert_eq!(said.code, Some(0));
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[5..],
        [
            "gw.example.net",
            "  at gw.example.net, 192.0.2.7, UDP port 41414",
            "  doors: ssh (22/tcp), web (1/tcp, 2/tcp)",
            "  bundle of 2027-01-15T08:00:00Z",
            "  lock without end",
        ]
    );
    assert!(lines[0] == "b" && lines[4].starts_with("  lock until 20"), "{}", said.out);
    assert!(said.err.starts_with("warning: the bundle of b ends at "), "{}", said.err);
    home.write("servers/b", "anything\n");
    let said = home.run(&["servers"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("this is no file of a server\n  help: remove "), "{}", said.err);
    assert!(said.out.starts_with("gw.example.net\n"), "the others are listed all the same");
    let ambiguous = Home::enrolled(&example());
    assert_eq!(ambiguous.run(&["enrol", &text, "--name", "b"]).code, Some(0));
    let said = ambiguous.run(&["ssh-config", "192.0.2.7"]);
    assert!(
        said.err.contains("192.0.2.7 is a host of several servers: b, gw\n  help: say its name"),
        "{}",
        said.err
    );
}

/// At a terminal it is pasted, broken as mails break it; then the code and the key are asked for.
#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_questions_are_asked() {
    if !crate::programs::needs(std::path::Path::new("/usr/bin/script").exists(), "script(1)") {
        return;
    }
    let enrol = |text: &str, answers: &str| {
        let home = Home::new();
        let mut script = crate::programs::command("/usr/bin/script");
        script.args(["-qec", &format!("{} enrol", crate::programs::ALDABA), "/dev/null"]);
        script.env("XDG_CONFIG_HOME", home.folder().parent().unwrap()).env("SHELL", "/bin/sh");
        let lines: Vec<&str> = text.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        let typed = format!("{}\n{answers}", lines.join("\n"));
        let piped = Stdio::piped;
        let mut child = script.stdin(piped()).stdout(piped()).stderr(piped()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(typed.as_bytes()).expect("written");
        let said: Said = child.wait_with_output().expect("it ends").into();
        (said, home.path("servers/gw.example.net").exists())
    };
    let key = server().public().to_text(KeyKind::Server);
    let (said, stored) = enrol(&from(&example()), "y\n");
    assert!(said.code == Some(0) && stored, "{}", said.out);
    assert!(
        said.out.contains("paste the bundle") && said.out.contains(&format!("the server's key: {key}")),
        "{}",
        said.out
    );
    // An empty line behind the bundle is the end of it, and no answer.
    let (said, stored) = enrol(&from(&example()), "\n\ny\n");
    assert!(said.code == Some(0) && stored, "{}", said.out);
    let (said, stored) = enrol(&from(&example()), "\n");
    assert!(said.code == Some(1) && !stored && said.out.contains("nothing was stored"), "{}", said.out);
    let (said, stored) = enrol(&from(&example()), "n\n");
    assert!(said.code == Some(1) && !stored && said.out.contains("nothing was stored"), "{}", said.out);
    let code = OneTimeCode::new(&[7; 16]).unwrap().expose_text();
    let (said, stored) = enrol(&sealed(&example(), &server(), &device(), Some(7)), &format!("\n{}\n", *code));
    assert!(said.code == Some(0) && stored, "{}", said.out);
    assert!(said.out.contains("one-time code: ") && !said.out.contains("[y/n]"), "{}", said.out);
    let text = from(&example());
    let (said, stored) = enrol(&text[..text.len() - 9], "\n");
    assert!(said.code == Some(1) && !stored && said.out.contains("damaged or not whole"), "{}", said.out);
}
