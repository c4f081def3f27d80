//! The daemon's programs from outside, where nothing is started: words on both outputs, and exit codes.
#![expect(clippy::disallowed_methods, reason = "runs the programs under test")]

mod enrolment;
mod printing;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use aldaba_packet::Link;
use aldaba_packet::build::capture::pcap;
use aldaba_packet::build::{Frame, flag};
use aldaba_tests::hosts::{CLIENT, CLIENT6, SERVER, SERVER6};
use aldaba_tests::program::binary;

const ETHERNET: u32 = 1;

fn run(program: &str, folder: &Path, words: &[&str]) -> Output {
    Command::new(binary(program)).args(words).current_dir(folder).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        Command::new("chmod").arg("600").arg(&path).status().expect("chmod");
    }
    folder
}

const GOOD: &str = "[[door]]\nname = \"ssh\"\nsequence = \"7391,2804,8816\"\nports = [\"22/tcp\"]\n";
const BAD: &str =
    "[[door]]\nname = \"ssh\"\nsequnce = \"7391,2804\"\nports = [\"22/tcp\"]\nlease = \"soon\"\n";

#[test]
fn check_counts_what_it_found() {
    let folder = folder(&[("good.toml", GOOD), ("bad.toml", BAD)]);
    let good = run("aldabad", folder.path(), &["check", "good.toml"]);
    assert_eq!(text(&good.stdout), "good.toml: good: 1 door, 0 warnings\n");
    assert_eq!((text(&good.stderr).as_str(), good.status.code()), ("", Some(0)));
    let bad = run("aldabad", folder.path(), &["check", "bad.toml"]);
    let said = text(&bad.stderr);
    assert_eq!((text(&bad.stdout).as_str(), bad.status.code()), ("", Some(2)), "{said}");
    for part in ["bad.toml:3:1", "did you mean sequence?", "bad.toml:5:10", "^^^^", "bad.toml: 3 errors"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

#[test]
fn a_bad_configuration_starts_nothing() {
    let folder = folder(&[("bad.toml", BAD), ("bad.conf", "[a]\nsequnce = 7000\n")]);
    let ours = run("aldabad", folder.path(), &["run", "--config", "bad.toml"]);
    assert_eq!(ours.status.code(), Some(2), "{}", text(&ours.stderr));
    let theirs = run("knockd", folder.path(), &["-c", "bad.conf", "-i", "lo"]);
    let said = text(&theirs.stderr);
    assert_eq!(theirs.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().next(), Some("config: line 2: syntax error"), "{said}");
    assert!(said.contains("bad.conf:2:1") && said.contains("did you mean Sequence?"), "{said}");
    assert!(text(&theirs.stdout).starts_with("usage: knockd"), "{}", text(&theirs.stdout));
}

#[test]
fn the_command_line_is_explained() {
    let folder = folder(&[]);
    for (program, words, code) in [
        ("aldabad", &["--version"][..], 0),
        ("aldabad", &["--help"], 0),
        ("aldabad", &["run", "--bogus"], 2),
        ("aldabad", &["check", "--explain", "--pcap", "x", "y.toml"], 2),
        ("aldabad", &["check", "missing.toml"], 2),
        ("knockd", &["-V"], 0),
        ("knockd", &["-h"], 0),
        ("knockd", &["--bogus"], 0),
        ("knockd", &["-c", "missing.conf"], 1),
    ] {
        let output = run(program, folder.path(), words);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{program} {words:?}: {said}");
        assert!(!said.is_empty(), "{program} {words:?}");
    }
}

#[test]
fn what_a_capture_would_have_opened() {
    let folder = folder(&[("good.toml", GOOD)]);
    let frames = |ports: &[u16]| -> Vec<(Duration, Vec<u8>)> {
        let frame = |(number, port): (usize, &u16)| {
            let time = Duration::from_millis(100 * u64::try_from(number).expect("few"));
            let syn =
                Frame::tcp(CLIENT, 40_000 + port, SERVER, *port).flags(flag::SYN).sequence((*port).into());
            (time, syn.bytes(Link::Ethernet))
        };
        ports.iter().enumerate().map(frame).collect()
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    write("right.pcap", &pcap(ETHERNET, &frames(&[7391, 2804, 8816])));
    write("wrong.pcap", &pcap(ETHERNET, &frames(&[7391, 443, 2804, 8816])));
    let mut cut = pcap(ETHERNET, &frames(&[7391, 2804, 8816]));
    cut.truncate(cut.len() - 7);
    write("cut.pcap", &cut);
    let check = |name: &str| run("aldabad", folder.path(), &["check", "--pcap", name, "good.toml"]);
    let right = check("right.pcap");
    let said = text(&right.stdout);
    assert!(right.status.success() && said.contains("10.9.0.2") && said.contains("ssh"), "{said}");
    let wrong = text(&check("wrong.pcap").stdout);
    assert!(said.contains("ssh: WOULD OPEN for 30s") && said.contains("; 1 opening\n"), "{said}");
    assert!(wrong.contains("the attempt is cancelled") && !wrong.contains("WOULD OPEN"), "{wrong}");
    write("wireless.pcap", &pcap(105, &frames(&[7391, 2804])));
    let said = text(&check("wireless.pcap").stdout);
    assert!(said.contains("2 on a kind of link that is not read here (link type 105)"), "{said}");
    let tagged = |port: u16| {
        let frame = Frame::tcp(CLIENT, 40_000, SERVER, port).flags(flag::SYN).vlan(0x8100, 5);
        (Duration::ZERO, frame.bytes(Link::Ethernet))
    };
    write("trunk.pcap", &pcap(ETHERNET, &[tagged(7391), tagged(2804)]));
    let said = text(&check("trunk.pcap").stdout);
    assert!(said.contains("2 in a VLAN: ") && said.contains("0 not for this host"), "{said}");
    let mut short = frames(&[7391]);
    short[0].1.truncate(40);
    write("short.pcap", &pcap(ETHERNET, &short));
    let said = text(&check("short.pcap").stdout);
    assert!(said.contains("1 malformed: "), "{said}");
    let cut = check("cut.pcap");
    assert_eq!(cut.status.code(), Some(1));
    assert!(text(&cut.stderr).contains("cut.pcap: at byte"), "{}", text(&cut.stderr));
}

/// What does not count is told apart, and a file that cannot be read has a next step.
#[test]
fn what_of_a_capture_does_not_count() {
    let folder = folder(&[("good.toml", GOOD), ("v4.toml", &format!("ipv6 = false\n{GOOD}"))]);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    let syn = |frame: Frame| (Duration::ZERO, frame.flags(flag::SYN).bytes(Link::Ethernet));
    let mut cut = pcap(ETHERNET, &[syn(Frame::tcp(CLIENT, 40_000, SERVER, 7391))]);
    cut.truncate(cut.len() - 7);
    write("cut.pcap", &cut);
    for (name, word) in
        [("cut.pcap", "tcpdump -U"), ("good.toml", "tcpdump -i any"), ("none.pcap", "tcpdump -i any")]
    {
        let refused = run("aldabad", folder.path(), &["check", "--pcap", name, "good.toml"]);
        let said = text(&refused.stderr);
        assert!(refused.status.code() == Some(1) && said.contains("\n  help: "), "{said}");
        assert!(said.contains(word), "{word} in {said}");
    }
    let from_nobody = syn(Frame::tcp(Ipv4Addr::UNSPECIFIED, 40_000, SERVER, 7391));
    let v6 = syn(Frame::tcp(CLIENT6, 40_000, SERVER6, 7391));
    write("odd.pcap", &pcap(ETHERNET, &[from_nobody, v6]));
    let said = text(&run("aldabad", folder.path(), &["check", "--pcap", "odd.pcap", "v4.toml"]).stdout);
    for part in [
        "1 from a source that nobody can have",
        "1 over IPv6, which the configuration",
        "0 not for this host",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// As README.md goes: keys first, then a door with a sequence, in a file that nobody else can read.
#[test]
fn a_registry_that_all_can_read_tells_no_sequence() {
    let folder = folder(&[]);
    let dir = folder.path().to_str().expect("plain");
    let state = folder.path().join("state");
    let state = state.to_str().expect("plain");
    let made =
        run("aldabad", folder.path(), &["init", "--dir", dir, "--state-dir", state, "--host", "192.0.2.1"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let config = folder.path().join("aldaba.toml");
    let door = GOOD.replace("ssh", "by-sequence").replace("22/tcp", "2222/tcp");
    std::fs::write(&config, std::fs::read_to_string(&config).expect("made") + "\n" + &door).expect("written");
    Command::new("chmod").arg("600").arg(&config).status().expect("chmod");
    let checked = run("aldabad", folder.path(), &["check", "aldaba.toml"]);
    assert_eq!(
        text(&checked.stdout),
        "aldaba.toml: good: 2 doors, 0 warnings\n",
        "{}",
        text(&checked.stderr)
    );
}

#[test]
fn explain_is_a_way_to_migrate() {
    let knockd = "[options]\n\tUseSyslog\n[openSSH]\n\tsequence = 7391,2804:udp,8816\n\tseq_timeout = 5\n\
                  \tcommand = /usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT\n\ttcpflags = syn\n";
    let folder = folder(&[("knockd.conf", knockd)]);
    let explained = run("aldabad", folder.path(), &["check", "--explain", "knockd.conf"]);
    assert!(explained.status.success(), "{}", text(&explained.stderr));
    std::fs::write(folder.path().join("aldaba.toml"), &explained.stdout).expect("a file");
    let again = run("aldabad", folder.path(), &["check", "--explain", "aldaba.toml"]);
    assert_eq!(text(&again.stdout), text(&explained.stdout), "it means the same");
}
