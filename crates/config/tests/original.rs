//! Files of knockd.conf's grammar read by Debian's knockd and by ours: what one refuses the other refuses, with the same
//! line, and what is taken means the same.
//!
//! `knockd -D` prints each directive as it takes it. It is given an interface that does not exist, so that it ends when it
//! has read the file, and the rights of nobody, so that it opens no log. What is checked only once it listens (targets)
//! belongs to tests/compat.
#![expect(clippy::disallowed_methods, reason = "starts the original")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aldaba_config::{Disk, Kind, Options, Paint, Policy, load};
use aldaba_gate::knock::Sequence;
use aldaba_gate::{Knock, SequenceSource};
use aldaba_runner::door::{Action, Commands, Door, PerFamily, Template};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

const ORIGINAL: &str = "/usr/sbin/knockd";
/// Files of the tests which the original refuses on purpose: what ours can do besides.
const OURS_ALONE: [&str; 1] = ["cooldown.conf"];
const NOBODY: u32 = 65534;
/// What the original calls an interface that is not there begins so.
const HAS_READ: &str = "could not open none0: ";

/// A door as far as the original prints it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    name: String,
    sequence: String,
    timeout: i64,
    flags: Vec<String>,
    target: Option<IpAddr>,
    start: [Option<String>; 2],
    stop: [Option<String>; 2],
    lease: i64,
}

/// What a program made of a file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refused(String),
    /// Its interface is not here: the command line's counts.
    Taken {
        log: Option<PathBuf>,
        doors: Vec<Seen>,
    },
}

/// What the original makes of it; `None` if it crashes.
fn theirs(path: &Path) -> Option<Verdict> {
    let mut command = Command::new(ORIGINAL);
    command.args(["-D", "-v", "-i", "none0", "-c"]).arg(path).current_dir(path.parent().expect("a folder"));
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("it starts");
    if output.status.signal().is_some() {
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut errors = errors.lines().filter(|line| !line.starts_with("warning: cannot open logfile"));
    let first = errors.next().unwrap_or_default();
    if !first.starts_with(HAS_READ) {
        return Some(Verdict::Refused(first.to_owned()));
    }
    Some(taken(&String::from_utf8_lossy(&output.stdout)))
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0"))
}

/// The directives of a door as they were printed, the last of each.
#[derive(Default)]
struct Printed {
    name: String,
    values: BTreeMap<String, String>,
    flags: BTreeMap<String, bool>,
}

fn taken(printed: &str) -> Verdict {
    let mut log = None;
    let mut doors: Vec<Printed> = Vec::new();
    for line in printed.lines() {
        let Some(line) = line.strip_prefix("config: ") else { continue };
        if let Some(name) = line.strip_prefix("new section: '").and_then(|rest| rest.strip_suffix('\'')) {
            if name != "options" {
                // It is cut after it was printed; no name of these files has more bytes than characters there.
                let name = name.chars().take(127).collect();
                doors.push(Printed { name, ..Printed::default() });
            }
        } else if let Some(flag) = line.strip_prefix("tcp flag: ") {
            let door = doors.last_mut().expect("a door");
            door.flags.insert(flag.trim_start_matches('!').to_owned(), !flag.starts_with('!'));
        } else if let Some(path) = line.strip_prefix("log file: ") {
            log = (!path.is_empty()).then(|| PathBuf::from(path));
        } else if let Some(door) = doors.last_mut()
            && let Some(directive) = line.strip_prefix(&format!("{}: ", door.name))
            && let Some((name, value)) = directive.split_once(": ")
        {
            door.values.insert(name.to_owned(), value.to_owned());
        }
    }
    Verdict::Taken { log, doors: doors.into_iter().map(meaning).collect() }
}

/// knockd.md's rules for what the directives mean together: IPv6 falls back, an empty start runs nothing, a stop runs
/// only after a start.
fn meaning(door: Printed) -> Seen {
    let value = |name: &str| door.values.get(name).cloned();
    let seconds =
        |name: &str, default: i64| value(name).map_or(default, |text| text.parse().expect("a number"));
    let start = [value("start_command"), value("start_command_6").or_else(|| value("start_command"))];
    let start = start.map(|line| line.filter(|line| !line.is_empty()));
    let [stop, stop_v6] = [value("stop_command"), value("stop_command_6").or_else(|| value("stop_command"))];
    let stop = [stop.filter(|_| start[0].is_some()), stop_v6.filter(|_| start[1].is_some())];
    let flag = |(name, set): (&String, &bool)| format!("{}{name}", if *set { "" } else { "!" });
    Seen {
        sequence: value("sequence").unwrap_or_default(),
        timeout: seconds("seq_timeout", 25).max(0),
        flags: door.flags.iter().map(flag).collect(),
        target: value("target").and_then(|text| text.parse().ok()),
        lease: seconds("cmd_timeout", 10).max(0),
        name: door.name,
        start,
        stop,
    }
}

/// What ours makes of it; `None` if it refuses what the original looks at later.
fn ours(path: &Path) -> Option<Verdict> {
    let options = Options { own_uid: NOBODY, ..Options::default() };
    // The same name as on the original's command line: it is part of what both say.
    let report = match load(Kind::Knockd, path, &mut InFolder(path.parent().expect("a folder")), &options) {
        Ok(loaded) => return Some(mine(&loaded.policy)),
        Err(report) => report,
    };
    let line = report.knockd_line().map(str::to_owned);
    let later = line.as_ref().is_none_or(|line| line.starts_with("pcap_compile"));
    (!later).then(|| Verdict::Refused(line.unwrap_or_else(|| report.render(Paint::Plain))))
}

/// The disk, with relative names beginning in a folder, as the original's do.
struct InFolder<'a>(&'a Path);

impl aldaba_config::Files for InFolder<'_> {
    fn read(&mut self, path: &Path) -> std::io::Result<aldaba_config::FileBytes> {
        // No name at all is not the folder's.
        if path.as_os_str().is_empty() { Disk.read(path) } else { Disk.read(&self.0.join(path)) }
    }

    fn list_dir(&mut self, path: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        Disk.list_dir(&self.0.join(path))
    }

    fn facts(&mut self, path: &Path) -> std::io::Result<aldaba_config::FileFacts> {
        Disk.facts(&self.0.join(path))
    }
}

fn mine(policy: &Policy) -> Verdict {
    let doors = policy.gate.doors.iter().zip(&policy.catalogue.doors);
    Verdict::Taken {
        log: policy.daemon.log.file.clone(),
        doors: doors.map(|(rule, door)| seen(&rule.knocks[0], rule.target, door)).collect(),
    }
}

fn seen(knock: &Knock, target: Option<IpAddr>, door: &Door) -> Seen {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).expect("fits");
    let none = || (PerFamily::default(), PerFamily::default());
    let (start, stop) = match &door.action {
        Action::Command(Commands { start, stop, .. }) => (start.clone(), stop.clone()),
        _ => none(),
    };
    let lines = |of: PerFamily| {
        [of.v4, of.v6].map(|template| {
            template.map(|template| match template {
                Template::Shell(line) => line,
                Template::Argv(words) => panic!("{words:?} in a knockd.conf"),
            })
        })
    };
    let flags = knock.flags.to_string().to_uppercase();
    let mut flags: Vec<String> =
        flags.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
    flags.sort_by(|a, b| a.trim_start_matches('!').cmp(b.trim_start_matches('!')));
    Seen {
        name: door.name.clone(),
        sequence: match &knock.source {
            SequenceSource::Fixed(sequence) | SequenceSource::OneTime(Some(sequence)) => steps(sequence),
            SequenceSource::OneTime(None) => String::new(),
        },
        timeout: seconds(knock.timeout),
        flags,
        // A host name, which never matches.
        target: target.filter(|target| !target.is_unspecified()),
        start: lines(start),
        stop: lines(stop),
        lease: seconds(door.lease),
    }
}

fn steps(sequence: &Sequence) -> String {
    let steps = sequence.steps().iter().map(|step| format!("{}:{}", step.port, step.protocol));
    steps.collect::<Vec<_>>().join(",")
}

/// A folder that nobody may read and write, with a file of one-time sequences.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("its mode");
    for (name, text) in [("once", "# used\n 11,22:udp,33\n 44,55\n"), ("used", "#1,2\n#3,4\n"), ("none", "")]
    {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("its mode");
    }
    folder
}

/// Compares what both make of a text; says what differs.
fn compare(folder: &Path, text: &[u8]) -> Result<(), String> {
    let path = folder.join("knockd.conf");
    fs::write(&path, text).expect("a file");
    let (Some(theirs), Some(ours)) = (theirs(&path), ours(&path)) else { return Ok(()) };
    if theirs == ours {
        return Ok(());
    }
    let text = String::from_utf8_lossy(text);
    Err(format!("{text}\n--- the original:\n{theirs:#?}\n--- ours:\n{ours:#?}"))
}

fn is_here() -> bool {
    let here = Path::new(ORIGINAL).exists();
    if !here {
        assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "needs knockd (tests/run)");
        println!("SKIPPED: knockd is not installed");
    }
    here
}

#[test]
fn every_file_of_the_tests() {
    if !is_here() {
        return;
    }
    let folder = folder();
    let mut compared = 0;
    for of in ["wild", "broken"] {
        for entry in
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(of)).expect("files")
        {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
            if path.extension().is_none_or(|extension| extension != "conf") || OURS_ALONE.contains(&name) {
                continue;
            }
            let text = fs::read(&path).expect("a file");
            compare(folder.path(), &text).unwrap_or_else(|why| panic!("{}:\n{why}", path.display()));
            compared += 1;
        }
    }
    assert!(compared > 90, "{compared}");
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (1_u16..=65535).prop_map(|port| port.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => select(vec![
            "", " ", "0", "65535", "65536", "-1", "-65536", "+22", "007", "22x", "x22", "0x16", "\"22\"", "!22",
            "7000-7005", " 22 ", "4294967318", "99999999999999999999", "1 2",
        ])
        .prop_map(str::to_owned),
    ]
}

fn sequence() -> impl Strategy<Value = String> {
    let protocols = select(vec![
        "", "", "", "", ":tcp", ":udp", ":UDP", ": Tcp ", ":udp:tcp", ":", ":sctp", " :udp", "::",
    ]);
    let item = (port(), protocols).prop_map(|(port, protocol)| port + protocol);
    prop_oneof![
        9 => vec(item, 1..6).prop_map(|items| items.join(",")),
        1 => (30_usize..35).prop_map(|count| vec!["7"; count].join(",")),
    ]
}

fn flags() -> impl Strategy<Value = String> {
    let flag = select(vec![
        "syn", "SYN", "!ack", "ack", "fin", "!Rst", "psh", "urg", "!!syn", "ece", "", " ", "! syn", "syn ",
    ]);
    prop_oneof![
        4 => select(vec!["syn", "syn,!ack", "ack", "syn,syn,!syn"]).prop_map(str::to_owned),
        1 => vec(flag, 1..4).prop_map(|flags| flags.join(",")),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (0_u16..4000).prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => select(vec![
            "", "x", "-", "-5", "+7", "5s", "5 # x", "0x10", "1.5", "\"5\"", "2147483647", "2147483648", "4294967296",
            "1e3", "   12",
        ])
        .prop_map(str::to_owned),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            "/usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT",
            "x = y # z",
            "\"quoted\"",
            "a; b",
            "%IP%%ip%",
            "[x]",
            "é ü"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,20}",
    ]
}

/// A directive with a value of its kind, or of another one.
fn directive() -> impl Strategy<Value = String> {
    let of = |names: &[&'static str], value: BoxedStrategy<String>| {
        (select(names.to_vec()), blanks(), blanks(), value)
            .prop_map(|(name, before, after, value)| format!("{name}{before}={after}{value}"))
            .boxed()
    };
    prop_oneof![
        5 => of(&["sequence", "Sequence", "SEQUENCE"], sequence().boxed()),
        1 => of(&["one_time_sequences"], select(vec!["once", "bad", "used", "none", "missing", "", "."]).prop_map(str::to_owned).boxed()),
        3 => of(&["seq_timeout", "Timeout", "cmd_timeout", "Cmd_Timeout"], number().boxed()),
        3 => of(&["tcpflags", "TCPFlags"], flags().boxed()),
        4 => of(
            &[
                "command", "start_command", "Start_Command", "START_COMMAND_6", "command_6", "stop_command",
                "Stop_Command_6",
            ],
            text().boxed(),
        ),
        1 => of(
            &["target"],
            select(vec!["192.0.2.1", "::1", "2001:db8::1", "host", "300.1.1.1"]).prop_map(str::to_owned).boxed(),
        ),
        1 => of(&["interface", "logfile", "pidfile", "UseSyslog", "acl", "", "sequence 2"], text().boxed()),
    ]
}

fn blanks() -> impl Strategy<Value = &'static str> {
    select(vec!["", " ", "\t", "  \t ", "   "])
}

/// The options a file may begin with, in a section of their own.
fn options() -> impl Strategy<Value = String> {
    let line = select(vec![
        "UseSyslog",
        "usesyslog",
        "logfile = /nowhere/log",
        "LogFile=",
        "interface = eth1",
        "Interface=",
        "interface = wlan0",
        "PidFile = /x",
        "# no",
        "",
    ]);
    vec(line, 0..4).prop_map(|lines| format!("[options]\n{}\n", lines.join("\n")))
}

fn file() -> impl Strategy<Value = String> {
    let name = select(vec!["a", "b", "open SSH", "Options", " x ", "ü", "a:b", "[y]", "#"]);
    let raw = select(vec![
        "",
        "   ",
        "# comment = 1",
        "  # indented",
        "; no comment",
        "UseSyslog",
        "nonsense",
        "[]",
        "[open",
        "[options]",
        "\r",
        "\u{c}",
    ]);
    let line = (blanks(), prop_oneof![12 => directive(), 1 => raw.prop_map(str::to_owned)], blanks())
        .prop_map(|(before, line, after)| format!("{before}{line}{after}"));
    let door =
        (name, sequence(), vec(line, 0..5), any::<bool>()).prop_map(|(name, sequence, lines, good)| {
            // Else hardly a file would be taken.
            let first =
                if good { "sequence = 7000,8000:udp".to_owned() } else { format!("sequence={sequence}") };
            format!("[{name}]\n{first}\n{}\n", lines.join("\n"))
        });
    let ends = select(vec!["\n", "\n", "\n", "\r\n"]);
    (prop_oneof![options(), Just(String::new())], vec(door, 0..4), ends)
        .prop_map(|(options, doors, end)| (options + &doors.concat()).replace('\n', end))
}

#[test]
fn files_made_up() {
    if !is_here() {
        return;
    }
    let folder = folder();
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let outcome =
        runner.run(&file(), |text| compare(folder.path(), text.as_bytes()).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
