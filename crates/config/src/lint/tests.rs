use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::files::{FileBytes, FileFacts, Files};
use crate::{Kind, Options, load};

/// One file, and the programs that exist.
struct One {
    text: &'static str,
    facts: FileFacts,
    programs: BTreeSet<&'static str>,
}

impl Files for One {
    fn read(&mut self, _: &Path) -> io::Result<FileBytes> {
        Ok(FileBytes { bytes: self.text.as_bytes().to_vec(), facts: self.facts })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn program_exists(&mut self, program: &str) -> bool {
        self.programs.contains(program)
    }
}

const TIGHT: FileFacts = FileFacts { mode: 0o600, uid: 0, is_regular: true };

/// The warnings of a check, as `line:column code`.
fn warnings_with(kind: Kind, text: &'static str, facts: FileFacts, strict_check: bool) -> Vec<String> {
    let mut files = One { text, facts, programs: ["/usr/sbin/iptables", "touch"].into() };
    let options = Options { strict_check, ..Options::default() };
    let path = Path::new(if kind == Kind::Toml { "/a.toml" } else { "/k.conf" });
    let loaded = load(kind, path, &mut files, &options).unwrap_or_else(|report| {
        panic!("{}", report.render(crate::Paint::Plain));
    });
    let place = |place: &crate::Place| match place.line_column() {
        Some((line, column)) => format!("{line}:{column}"),
        None => "file".to_owned(),
    };
    loaded.warnings.iter().map(|found| format!("{} {}", place(&found.place), found.code)).collect()
}

fn knockd(text: &'static str) -> Vec<String> {
    warnings_with(Kind::Knockd, text, TIGHT, true)
}

fn toml(text: &'static str) -> Vec<String> {
    warnings_with(Kind::Toml, text, TIGHT, true)
}

#[test]
fn the_tutorials_file() {
    let text = "[options]\n  logfile = /var/log/knockd.log\n[opencloseSSH]\n  sequence = 2222,3333,4444\n  \
                seq_timeout = 15\n  tcpflags = syn,ack\n  \
                start_command = /usr/sbin/iptables -I INPUT 1 -s %IP% -p tcp --syn --dport 22 -j ACCEPT\n  \
                cmd_timeout = 10\n  \
                stop_command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT\n";
    assert_eq!(knockd(text), ["4:14 open-to-scans", "6:14 impossible-flags"]);
}

#[test]
fn scans() {
    let door = |sequence: &str| {
        let text = format!("[a]\nsequence={sequence}\ntcpflags=syn\ncommand=touch /x\n");
        let mut files = One { text: text.leak(), facts: TIGHT, programs: ["touch"].into() };
        let options = Options { strict_check: true, ..Options::default() };
        let loaded = load(Kind::Knockd, Path::new("/k.conf"), &mut files, &options).unwrap();
        loaded.warnings.iter().map(|found| found.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(door("1,2,3"), "a port scan in ascending order opens this door, every time");
    assert_eq!(door("3,2,1"), "a port scan in descending order opens this door, every time");
    assert_eq!(door("7000"), "every port scan opens this door");
    assert_eq!(door("7000,9000,8000"), "a port scan in random order opens this door once in 6 times");
    assert_eq!(door("1,9,2,8,3,7,4,6"), "");
    assert_eq!(toml("[[door]]\nname=\"a\"\nsequence=\"7000,9000,8000\"\nports=[\"22/tcp\"]\n"), [""; 0]);
}

#[test]
fn programs() {
    let text = "[a]\nsequence=1:udp,9,2,8,3,7,4,6\ntcpflags=syn\nstart_command=/usr/bin/nothere %IP%\nstop_command=cd / && x\n\
                [b]\nsequence=11,19,12,18,13,17,14,16\ntcpflags=syn\nstart_command=touch %IP%\nstart_command_6=nothere6 %IP%\n";
    assert_eq!(knockd(text), ["4:15 no-such-program", "10:17 no-such-program"]);
}

#[test]
fn firewalls() {
    let open = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\ncommand=/usr/sbin/iptables -A INPUT --dport 22 -j ACCEPT\n";
    assert_eq!(knockd(open), ["4:9 no-address", "4:9 stays-open"]);
    let closed = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\ncommand=/usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT\n\
                  [b]\nsequence=6,4,7,3,8,2,9,1\ntcpflags=syn\ncommand=/usr/sbin/iptables -D INPUT -s %IP% -j ACCEPT\n";
    assert_eq!(knockd(closed), [""; 0]);
}

#[test]
fn doors_that_open_together() {
    let text = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\n[b]\nsequence=1,9,2,8,3,7,4,6,5\ntcpflags=syn\n";
    assert_eq!(knockd(text), ["5:10 shared-sequence"]);
    let apart = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\ntarget=192.0.2.1\n\
                 [b]\nsequence=1,9,2,8,3,7,4,6,5\ntcpflags=syn\ntarget=192.0.2.2\n";
    assert_eq!(knockd(apart), [""; 0]);
}

#[test]
fn a_step_on_the_guarded_port() {
    let text = "[[door]]\nname = \"a\"\nsequence = \"7000,22,8000\"\nports = [\"20-25/tcp\"]\n";
    assert_eq!(toml(text), ["3:12 knocks-at-guarded-port"]);
}

#[test]
fn doors_that_hear_nothing() {
    let text = "interfaces = [\"wan\"]\nignore = [\"443/tcp\"]\n[[door]]\nname = \"a\"\n\
                sequence = \"7000,443,8000\"\ninterfaces = [\"lan\"]\nports = [\"22/tcp\"]\n";
    assert_eq!(toml(text), ["5:12 ignored-step", "6:14 not-captured"]);
}

#[test]
fn loose_files() {
    let text = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\n";
    let found = |mode, uid, strict| {
        warnings_with(Kind::Knockd, text, FileFacts { mode, uid, is_regular: true }, strict)
    };
    assert_eq!(found(0o640, 0, true), [""; 0]);
    assert_eq!(found(0o644, 0, true), ["file readable-file"]);
    assert_eq!(found(0o644, 0, false), [""; 0]);
    for strict in [true, false] {
        assert_eq!(found(0o620, 0, strict), ["file loose-file"]);
        assert_eq!(found(0o602, 0, strict), ["file loose-file"]);
        assert_eq!(found(0o600, 1000, strict), ["file loose-file"]);
    }
}
