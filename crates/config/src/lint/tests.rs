use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::files::{FileBytes, FileFacts, Files};
use crate::{Diagnostic, Kind, Options, load};

/// A machine with a configuration, some more files and some programs.
#[derive(Clone)]
struct Machine {
    text: String,
    facts: FileFacts,
    files: BTreeMap<&'static str, &'static str>,
    programs: BTreeMap<&'static str, FileFacts>,
    interfaces: Vec<&'static str>,
}

impl Files for Machine {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let text = match path.to_str() {
            Some("/a.toml" | "/k.conf") => self.text.as_str(),
            other => self.files.get(other.unwrap_or_default()).ok_or(io::ErrorKind::NotFound)?,
        };
        Ok(FileBytes { bytes: text.as_bytes().to_vec(), facts: self.facts })
    }

    fn list_dir(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        if path == Path::new("/sys/class/net") {
            return Ok(self.interfaces.iter().map(OsString::from).collect());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn facts(&mut self, path: &Path) -> io::Result<FileFacts> {
        let facts = path.to_str().and_then(|path| self.programs.get(path));
        facts.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

const TIGHT: FileFacts = FileFacts { mode: 0o600, uid: 0, is_regular: true };
const PROGRAM: FileFacts = FileFacts { mode: 0o755, uid: 0, is_regular: true };

fn machine(text: &str) -> Machine {
    Machine {
        text: text.to_owned(),
        facts: TIGHT,
        files: BTreeMap::new(),
        programs: ["/usr/sbin/iptables", "/usr/sbin/ip6tables", "/usr/bin/touch", "/opt/open"]
            .map(|path| (path, PROGRAM))
            .into(),
        interfaces: Vec::new(),
    }
}

fn found(kind: Kind, mut machine: Machine, strict_check: bool) -> Vec<Diagnostic> {
    let options = Options { strict_check, ..Options::default() };
    let path = Path::new(if kind == Kind::Toml { "/a.toml" } else { "/k.conf" });
    let loaded = load(kind, path, &mut machine, &options).unwrap_or_else(|report| {
        panic!("{}", report.render(crate::Paint::Plain));
    });
    loaded.warnings
}

/// The warnings, as `line:column code`.
fn codes(found: &[Diagnostic]) -> Vec<String> {
    let place = |place: &crate::Place| match place.line_column() {
        Some((line, column)) => format!("{line}:{column}"),
        None => "file".to_owned(),
    };
    for found in found {
        assert!(!found.help.is_empty(), "{} says what is wrong and not what to do", found.code);
    }
    found.iter().map(|found| format!("{} {}", place(&found.place), found.code)).collect()
}

fn knockd(text: &str) -> Vec<String> {
    codes(&found(Kind::Knockd, machine(text), true))
}

fn toml(text: &str) -> Vec<String> {
    codes(&found(Kind::Toml, machine(text), true))
}

/// A door that nothing can be said against, with more lines.
fn door(more: &str) -> String {
    format!("[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\n{more}")
}

/// What is said of more lines in it; they begin with line 4.
fn of_lines(more: &str) -> Vec<String> {
    knockd(&door(more))
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_tutorials_file() {
    let text = "[options]\n  logfile = /var/log/knockd.log\n[opencloseSSH]\n  sequence = 2222,3333,4444\n  \
                seq_timeout = 15\n  tcpflags = syn,ack\n  \
                start_command = /usr/sbin/iptables -I INPUT 1 -s %IP% -p tcp --syn --dport 22 -j ACCEPT\n  \
                cmd_timeout = 10\n  \
                stop_command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT\n";
    assert_eq!(knockd(text), ["4:14 open-to-scans", "6:14 impossible-flags", "7:19 no-v6-command"]);
}

#[test]
fn scans() {
    let door = |sequence: &str| {
        let text = format!("[a]\nsequence={sequence}\ntcpflags=syn\ncommand=touch /x\n");
        let found = found(Kind::Knockd, machine(&text), true);
        found.iter().map(|found| found.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(door("1,2,3"), "a port scan in ascending order opens this door, every time");
    assert_eq!(door("3,2,1"), "a port scan in descending order opens this door, every time");
    assert_eq!(door("7000"), "every port scan opens this door");
    assert_eq!(door("7000,9000,8000"), "a port scan in random order opens this door once in 6 times");
    assert_eq!(door("1,9,2,8,3,7,4,6"), "");
    assert_eq!(toml("[[door]]\nname=\"a\"\nsequence=\"7000,9000,8000\"\nports=[\"22/tcp\"]\n"), NOTHING);
}

#[test]
fn flags_and_times() {
    let text = |sequence: &str, more: &str| format!("[a]\nsequence={sequence}\n{more}\ncommand=/opt/open\n");
    for flags in ["ack", "!syn", "syn,fin", "psh"] {
        let said = knockd(&text("1,9,2,8,3,7,4,6", &format!("tcpflags={flags}")));
        assert_eq!(said, ["3:10 impossible-flags"], "{flags}");
    }
    // Flags are for TCP only.
    assert_eq!(knockd(&text("1:udp,9:udp,2:udp,8:udp,3:udp,7:udp,4:udp,6:udp", "tcpflags=ack")), NOTHING);
    assert_eq!(knockd(&text("7000", "")), ["2:10 every-packet", "2:10 open-to-scans"]);
    assert_eq!(knockd(&text("7000", "tcpflags=syn,!ack")), ["2:10 open-to-scans"]);
    assert_eq!(knockd(&text("7000:udp", "")), ["2:10 open-to-scans"]);
    assert_eq!(knockd(&text("1,9,2,8,3,7,4,6", "tcpflags=syn\nseq_timeout=0")), ["4:13 no-time"]);
    assert_eq!(knockd(&text("1", "tcpflags=syn\nseq_timeout=0")), ["2:10 open-to-scans"]);
}

#[test]
fn programs_that_cannot_be_started() {
    for (line, expected) in [
        ("touch x; /opt/open %IP%", &[][..]),
        ("/usr/bin/nothere %IP%", &["4:9 no-such-program"]),
        ("touch x; '/usr/bin/nothere' %IP%", &["4:19 no-such-program"]),
        ("touch x && nothere >/dev/null || nothere", &["4:20 no-such-program"]),
        ("X=1 sudo -n y", &["4:13 no-such-program"]),
        ("$(which touch) x", &[]),
        ("cd / && [ -e /x ] && exec touch y", &[]),
        ("./open %IP%", &["4:9 relative-program"]),
        ("bin/open %IP%", &["4:9 relative-program"]),
        ("echo \"/usr/bin/nothere\"", &[]),
    ] {
        assert_eq!(of_lines(&format!("command={line}\n")), expected, "{line}");
    }
    let two =
        "start_command=/opt/gone %IP%\nstart_command_6=nothere6\nstop_command=/opt/gone x\ncmd_timeout=9\n";
    assert_eq!(of_lines(two), ["4:15 no-such-program", "5:17 no-such-program"]);
    let native =
        "[[door]]\nname = \"a\"\nsequence = \"7,2\"\nstart = [\"/opt/open\"]\nstop = [\"x\", \"{ip}\"]\n";
    assert_eq!(toml(native), ["5:8 no-such-program"]);
}

#[test]
fn programs_as_they_are() {
    let with = |mode: u32, uid: u32, is_regular: bool| {
        let mut machine = machine(&door("command=/opt/open\n"));
        machine.programs.insert("/opt/open", FileFacts { mode, uid, is_regular });
        codes(&found(Kind::Knockd, machine, true))
    };
    assert_eq!(with(0o755, 0, true), NOTHING);
    assert_eq!(with(0o700, 0, true), NOTHING);
    assert_eq!(with(0o644, 0, true), ["4:9 not-executable"]);
    assert_eq!(with(0o755, 0, false), ["4:9 no-such-program"]);
    assert_eq!(with(0o757, 0, true), ["4:9 loose-program"]);
    assert_eq!(with(0o775, 0, true), ["4:9 loose-program"]);
    assert_eq!(with(0o755, 1000, true), ["4:9 loose-program"]);
}

#[test]
fn whoever_can_put_another_program_in_its_place_can_change_it() {
    let in_folder = |line: &str, folder: &'static str, mode: u32, uid: u32| {
        let mut machine = machine(&door(&format!("command={line} %IP%\n")));
        machine.programs.insert(folder, FileFacts { mode, uid, is_regular: false });
        codes(&found(Kind::Knockd, machine, true))
    };
    assert_eq!(in_folder("/opt/open", "/opt", 0o755, 0), NOTHING);
    assert_eq!(in_folder("/opt/open", "/opt", 0o1777, 0), NOTHING, "everybody's files are his own");
    assert_eq!(in_folder("/opt/open", "/opt", 0o777, 0), ["4:9 loose-program"]);
    assert_eq!(in_folder("/opt/open", "/opt", 0o755, 1000), ["4:9 loose-program"]);
    assert_eq!(in_folder("touch", "/usr/bin", 0o775, 0), ["4:9 loose-program"], "found by its name");
}

#[test]
fn firewalls() {
    let add = "/usr/sbin/iptables -A INPUT --dport 22 -j ACCEPT";
    assert_eq!(of_lines(&format!("command={add}\n")), ["4:9 no-address", "4:9 stays-open"]);
    let closed = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\ncommand=/usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT\n\
                  command_6=/usr/sbin/ip6tables -A INPUT -s %IP% -j ACCEPT\n\
                  [b]\nsequence=6,4,7,3,8,2,9,1\ntcpflags=syn\ncommand=/usr/sbin/iptables -D INPUT -s %IP% -j ACCEPT\n\
                  command_6=\n";
    assert_eq!(knockd(closed), NOTHING);
}

#[test]
fn commands_for_one_family() {
    let start = "/usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT\nstop_command=/opt/open %IP%";
    assert_eq!(of_lines(&format!("command={start}\n")), ["4:9 no-v6-command"]);
    for more in ["command_6=", "command_6=/usr/sbin/ip6tables -s %IP%", "target=192.0.2.1"] {
        assert_eq!(of_lines(&format!("command={start}\n{more}\n")), NOTHING, "{more}");
    }
    assert_eq!(of_lines("command_6=/opt/open %IP%\n"), ["4:11 only-v6"]);
    let native = "[[door]]\nname = \"a\"\nsequence = \"7,2\"\n\
                  start = [\"iptables\", \"-A\", \"{ip}\"]\nstop = [\"iptables\", \"-D\", \"{ip}\"]\n";
    assert_eq!(toml(native), ["4:9 no-v6-command"]);
    assert_eq!(toml(&format!("ipv6 = false\n{native}")), NOTHING);
    assert_eq!(toml(&format!("{native}start-v6 = []\n")), NOTHING);
}

#[test]
fn stop_commands_that_delete_another_rule() {
    let pair = |start: &str, stop: &str| {
        of_lines(&format!("start_command_6=\nstart_command=iptables {start}\nstop_command=iptables {stop}\n"))
    };
    for (start, stop) in [
        ("-I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "-D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"),
        ("-I INPUT 1 -s %IP% -p tcp --dport 22 -j ACCEPT", "-D INPUT -p tcp -s %IP% --dport 22 -j ACCEPT"),
        ("-w 5 -A INPUT --source %IP%/32 -j ACCEPT", "-t filter -D INPUT -s %IP% --jump ACCEPT"),
        ("-A INPUT -p tcp -m tcp -s %IP%", "-D INPUT -p tcp -s %IP%"),
        ("-A INPUT -s %IP%; touch x", "-D INPUT -s %IP% && touch y"),
        ("-A $CHAIN -s %IP%", "-D INPUT -s %IP%"),
    ] {
        assert_eq!(pair(start, stop), NOTHING, "{start} {stop}");
    }
    for (start, stop) in [
        ("-I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "-D INPUT -s %IP% -p tcp --dport 2222 -j ACCEPT"),
        ("-I INPUT -s %IP% -j ACCEPT", "-D FORWARD -s %IP% -j ACCEPT"),
        ("-I INPUT -s %IP% -p tcp --syn -j ACCEPT", "-D INPUT -s %IP% -p tcp -j ACCEPT"),
    ] {
        assert_eq!(pair(start, stop), ["6:14 stop-differs"], "{start} {stop}");
    }
}

#[test]
fn commands_that_never_run_and_times_that_nothing_uses() {
    assert_eq!(of_lines(""), ["1:1 runs-nothing"]);
    assert_eq!(of_lines("stop_command=/opt/open\n"), ["4:14 stop-never-runs"]);
    assert_eq!(of_lines("command=/opt/open\ncmd_timeout=10\n"), ["5:13 idle-time"]);
    let stop = "command=/opt/open\nstop_command=/opt/open\n";
    assert_eq!(of_lines(&format!("{stop}cmd_timeout=0\n")), ["6:13 no-lease"]);
    assert_eq!(of_lines(&format!("{stop}cmd_timeout=1\n")), NOTHING);
}

#[test]
fn placeholders() {
    for text in ["%ip%", "%Ip%", "{ip}"] {
        assert_eq!(
            of_lines(&format!("command=/opt/open {text}\n")),
            ["4:9 misspelled-placeholder"],
            "{text}"
        );
    }
    assert_eq!(of_lines("command=/opt/open %IP% % ip %\n"), NOTHING);
}

#[test]
fn doors_that_open_together() {
    let text = "[a]\nsequence=1,9,2,8,3,7,4,6\ntcpflags=syn\ncommand=/opt/open\n\
                [b]\nsequence=1,9,2,8,3,7,4,6,5\ntcpflags=syn\ncommand=/opt/open\n";
    assert_eq!(knockd(text), ["6:10 shared-sequence"]);
    let apart =
        text.replacen("syn\n", "syn\ntarget=192.0.2.1\n", 1).replace("[b]\n", "[b]\ntarget=192.0.2.2\n");
    assert_eq!(knockd(&apart), NOTHING);
}

#[test]
fn a_step_on_the_guarded_port() {
    let text = "[[door]]\nname = \"a\"\nsequence = \"7000,22,8000\"\nports = [\"20-25/tcp\"]\n";
    assert_eq!(toml(text), ["3:12 knocks-at-guarded-port"]);
    for (rule, found) in [
        ("-p tcp --dport 9", true),
        ("-p udp --dport 9", false),
        ("-m multiport --dports 22,9", true),
        ("--dport 90", false),
    ] {
        let lines = format!(
            "start_command=iptables -A INPUT -s %IP% {rule} -j ACCEPT\nstart_command_6=\n\
             stop_command=iptables -D INPUT -s %IP% {rule} -j ACCEPT\n"
        );
        let expected: &[&str] = if found { &["2:10 knocks-at-guarded-port"] } else { &[] };
        assert_eq!(of_lines(&lines), expected, "{rule}");
    }
}

#[test]
fn doors_that_hear_nothing() {
    let text = "interfaces = [\"wan\"]\nignore = [\"443/tcp\"]\n[[door]]\nname = \"a\"\n\
                sequence = \"7000,443,8000\"\ninterfaces = [\"lan\"]\nports = [\"22/tcp\"]\n";
    assert_eq!(toml(text), ["5:12 ignored-step", "6:14 not-captured"]);
}

#[test]
fn interfaces_that_are_not_there() {
    let with = |kind, text: &str| {
        let mut machine = machine(text);
        machine.interfaces = vec!["lo", "ens3", "wg0"];
        let found = found(kind, machine, true);
        (codes(&found), found.iter().flat_map(|found| found.help.clone()).collect::<Vec<_>>().join("; "))
    };
    let good = door("command=/opt/open\n");
    let named = |name: &str| with(Kind::Knockd, &format!("[options]\ninterface={name}\n{good}"));
    assert_eq!(named("ens3").0, NOTHING);
    assert_eq!(named("wg0:1").0, NOTHING);
    assert_eq!(named("ens4"), (vec!["2:11 absent-interface".to_owned()], "did you mean ens3?".to_owned()));
    let far = "it is listened on once it comes; there are: ens3, lo, wg0";
    assert_eq!(named("bridge"), (vec!["2:11 absent-interface".to_owned()], far.to_owned()));
    let (codes, help) = with(Kind::Knockd, &good);
    assert_eq!(codes, ["file absent-interface"]);
    assert!(help.starts_with("where no interface is named, eth0 is meant"), "{help}");
    let own = "[[door]]\nname=\"a\"\nsequence=\"7,2\"\nports=[\"22/tcp\"]\ninterfaces=[\"lo\",\"wlan0\"]\n";
    assert_eq!(with(Kind::Toml, own).0, ["5:12 absent-interface"]);
}

#[test]
fn one_time_files() {
    let with = |file: &'static str, more: &str, strict| {
        let mut machine =
            machine(&format!("[a]\none_time_sequences=/f\ntcpflags=syn\ncommand=/opt/open\n{more}"));
        machine.files.insert("/f", file);
        codes(&found(Kind::Knockd, machine, strict))
    };
    // Eight steps, which no scan opens by chance.
    let line = |n: u8| format!("{n}1,{n}9,{n}2,{n}8,{n}3,{n}7,{n}4,{n}6\n");
    let five: &str = (1..=5).map(line).collect::<String>().leak();
    let three: &str = (1..=3).map(line).collect::<String>().leak();
    let twice: &str = [1, 2, 3, 4, 2].map(line).concat().leak();
    assert_eq!(with(five, "", true), NOTHING);
    assert_eq!(with(three, "", true), ["2:20 nearly-used-up"]);
    assert_eq!(with(three, "", false), NOTHING);
    assert_eq!(with(twice, "", true), ["5:1 repeated-line"]);
    assert_eq!(with(five, "sequence=1,9,2,8,3,7,4,6\n", true), ["5:10 counts-once"]);
    let other = "[b]\none_time_sequences=/f\ntcpflags=syn\ncommand=/opt/open\n";
    assert_eq!(with(five, other, true), ["6:20 shared-file"]);
}

#[test]
fn files_without_a_door() {
    for strict in [true, false] {
        for text in ["", "# nothing yet\n", "[options]\nUseSyslog\n"] {
            assert_eq!(codes(&found(Kind::Knockd, machine(text), strict)), ["file no-doors"], "{text:?}");
        }
        for text in ["", "ipv6 = false\n", "[log]\nsyslog = true\n"] {
            let options = Options { strict_check: strict, ..Options::default() };
            let refused = load(Kind::Toml, Path::new("/a.toml"), &mut machine(text), &options).unwrap_err();
            assert_eq!(
                (codes(&refused.diagnostics), refused.errors()),
                (vec!["file no-doors".to_owned()], 1),
                "{text:?}"
            );
        }
        let good = door("command=/opt/open\n");
        assert_eq!(codes(&found(Kind::Knockd, machine(&good), strict)), NOTHING);
    }
}

#[test]
fn advice_is_given_in_the_files_own_grammar() {
    let help = |kind, text: &str| {
        let found = found(kind, machine(text), true);
        found.iter().flat_map(|found| found.help.clone()).collect::<Vec<_>>().join("; ")
    };
    let said =
        help(Kind::Knockd, "[a]\nsequence=7000\ncommand=/opt/open\n[b]\nsequence=1,2\ncommand=/opt/open\n");
    assert!(said.contains("TCPFlags = syn") && said.contains("check --explain"), "{said}");
    let door = "[[door]]\nname=\"a\"\nmode=\"compatible\"\nports=[\"22/tcp\"]\n";
    let said = help(Kind::Toml, &format!("{door}tcp-flags=\"any\"\nsequence=\"7000\"\n"));
    assert!(said.contains("tcp-flags = \"syn,!ack\"") && !said.contains("TCPFlags"), "{said}");
    let said = help(Kind::Toml, &format!("{door}sequence=\"1,2\"\n"));
    assert!(said.contains("give the door mode = \"strict\"") && !said.contains("--explain"), "{said}");
}

#[test]
fn loose_files() {
    let with = |mode, uid, strict| {
        let mut machine = machine(&door("command=/opt/open\n"));
        machine.facts = FileFacts { mode, uid, is_regular: true };
        codes(&found(Kind::Knockd, machine, strict))
    };
    assert_eq!(with(0o640, 0, true), NOTHING);
    assert_eq!(with(0o644, 0, true), ["file readable-file"]);
    assert_eq!(with(0o644, 0, false), NOTHING);
    // Where the sequences stand in a file of their own, that is the one to keep.
    let line = "11,19,12,18,13,17,14,16\n21,29,22,28,23,27,24,26\n31,39,32,38,33,37,34,36\n41,49,42,48,43,47,44,46\n";
    let mut machine = machine("[a]\none_time_sequences=/f\ntcpflags=syn\ncommand=/opt/open\n");
    machine.files.insert("/f", line);
    machine.facts = FileFacts { mode: 0o644, uid: 0, is_regular: true };
    let said = found(Kind::Knockd, machine, true);
    let readable = said.iter().filter(|found| found.code == "readable-file");
    assert_eq!(readable.map(|found| found.place.source.name()).collect::<Vec<_>>(), ["/f"]);
    for strict in [true, false] {
        assert_eq!(with(0o620, 0, strict), ["file loose-file"]);
        assert_eq!(with(0o602, 0, strict), ["file loose-file"]);
        assert_eq!(with(0o600, 1000, strict), ["file loose-file"]);
    }
}
