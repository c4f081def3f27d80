//! A worker that lies (spec/ipc.md, "Rules"): this very program, started by the monitor as its worker, has the channel to itself
//! and asks for all it may not have; or it stands in the way of what the administrator wants. The monitor is the real one, on a
//! host of its own with the real firewall.
//!
//! No test harness: the monitor starts its worker from its own program, so this is both, and the test.
#![expect(clippy::disallowed_methods, reason = "asks a real daemon")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use aldaba_gate::spa::{KnockId, Refusal};
use aldaba_gate::{DoorId, KnockAction};
use aldaba_spa::{KeyKind, SecretKey, text};
use aldaba_sys::channel::{Channel, Received, Sent};
use aldaba_sys::poll::{self, Interest};
use aldaba_tests::hosts::{CLIENT, CLIENT6, SERVER};
use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, until};
use aldabad::ipc::{FromWorker, Place, ToWorker};
use aldabad::role::Role;
use aldabad::worker::Confined;
use rustix::process::Signal;

const CONFIG: &str = r#"
interfaces = ["srv0"]

[spa]
port = 42731
trust-clock = true

[[door]]
name = "ssh"
spa = true
ports = ["2222/tcp"]
lease = "20s"
max-lease = "60s"

[[door]]
name = "attic"
sequence = "7000,8000,9000"
ports = ["3333/tcp"]

[[door]]
name = "vault"
spa = true
ports = ["4444/tcp"]
"#;
const SSH: u32 = 0;
const ATTIC: u32 = 1;
const VAULT: u32 = 2;
/// Devices by the byte their keys are made of: Alice may open ssh from 10.9.0.0/16, Bob's time is over, Carol may all that
/// datagrams may; Mallory is nobody.
const ALICE: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;
const MALLORY: u8 = 66;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if Role::of(&arguments) == Some(Role::Worker) {
        return lie();
    }
    // The closer is what it always is.
    if Role::of(&arguments).is_some() || arguments.get(1).is_some_and(|word| word == "run") {
        return aldabad::main_as_aldabad();
    }
    let wanted = |word: &std::ffi::OsString| !word.to_string_lossy().starts_with('-');
    for (name, test) in TESTS {
        let mut words = arguments.iter().skip(1).filter(|word| wanted(word));
        if arguments.iter().any(|word| word == "--list") {
            println!("{name}: test");
        } else if words.all(|word| name.contains(&*word.to_string_lossy())) && cannot_run().is_none() {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

const TESTS: [(&str, fn()); 2] = [
    ("the_monitor_opens_nothing_for_a_worker_that_lies", the_monitor_opens_nothing_for_a_worker_that_lies),
    ("r23_a_worker_that_lies_holds_nothing_up", r23_a_worker_that_lies_holds_nothing_up),
];

fn key(byte: u8) -> SecretKey {
    SecretKey::new(&[byte; 32])
}

/// What a worker has admitted, it says.
#[derive(Clone, Copy)]
struct Admission {
    generation: u32,
    door: u32,
    action: KnockAction,
    device: u8,
    from: IpAddr,
    address: IpAddr,
    seconds: u16,
}

/// Alice's, at home, for ssh: the one that is allowed.
const ALLOWED: Admission = Admission {
    generation: 1,
    door: SSH,
    action: KnockAction::Open,
    device: ALICE,
    from: IpAddr::V4(CLIENT),
    address: IpAddr::V4(CLIENT),
    seconds: 0,
};

impl Admission {
    const fn at(self, address: IpAddr) -> Self {
        Self { from: address, address, ..self }
    }

    fn message(self) -> FromWorker {
        FromWorker::Admitted {
            place: Place { generation: self.generation, door: DoorId(self.door), knock: 0 },
            action: self.action,
            source: self.address,
            from: self.from,
            device: *key(self.device).public().as_bytes(),
            id: KnockId([7; 8]),
            seconds: self.seconds,
            offset: 0,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// A sequence complete, it says.
const fn request(generation: u32, door: u32, knock: u8, action: KnockAction) -> FromWorker {
    let place = Place { generation, door: DoorId(door), knock };
    FromWorker::Request { place, action, source: IpAddr::V4(CLIENT) }
}

/// Each lie, and the word the monitor has for it.
fn lies() -> Vec<(FromWorker, &'static str)> {
    let close = Admission { action: KnockAction::Close, ..ALLOWED };
    let carol = Admission { device: CAROL, ..ALLOWED };
    let admissions = [
        (Admission { door: ATTIC, ..ALLOWED }, "no-such-door"),
        (Admission { door: ATTIC, ..carol }, "no-such-door"),
        (Admission { door: ATTIC, ..close }, "no-such-door"),
        (Admission { door: 99, ..ALLOWED }, "no-such-door"),
        (Admission { door: u32::MAX, ..ALLOWED }, "no-such-door"),
        (Admission { generation: 7, ..ALLOWED }, "no-such-door"),
        (Admission { generation: u32::MAX, ..ALLOWED }, "no-such-door"),
        (Admission { device: MALLORY, ..ALLOWED }, "no-such-device"),
        (Admission { device: MALLORY, ..close }, "no-such-device"),
        (Admission { device: BOB, ..ALLOWED }, "not-allowed"),
        (Admission { door: VAULT, ..ALLOWED }, "not-allowed"),
        (Admission { door: VAULT, ..close }, "not-allowed"),
        (ALLOWED.at(v4(192, 0, 2, 7)), "not-allowed"),
        (ALLOWED.at(IpAddr::V6(CLIENT6)), "not-allowed"),
        (Admission { address: v4(10, 9, 7, 7), ..ALLOWED }, "relayed"),
        (Admission { address: IpAddr::V6(CLIENT6), ..ALLOWED }, "relayed"),
        (Admission { door: VAULT, address: v4(10, 9, 7, 7), ..carol }, "relayed"),
        (carol.at(v4(127, 0, 0, 1)), "address"),
        (carol.at(v4(224, 0, 0, 1)), "address"),
        (carol.at(v4(240, 0, 0, 1)), "address"),
        (carol.at(v4(255, 255, 255, 255)), "address"),
        (carol.at(v4(10, 9, 255, 255)), "broadcast"),
        (carol.at(IpAddr::V4(SERVER)), "own-address"),
    ];
    let requests = [
        (request(1, SSH, 0, KnockAction::Open), "no-such-knock"),
        (request(1, VAULT, 0, KnockAction::Open), "no-such-knock"),
        (request(1, ATTIC, 0, KnockAction::Close), "no-such-knock"),
        (request(1, ATTIC, 1, KnockAction::Open), "no-such-knock"),
        (request(1, 99, 0, KnockAction::Open), "no-such-door"),
        (request(9, ATTIC, 0, KnockAction::Open), "no-such-door"),
    ];
    let of_nobody = [
        v4(0, 0, 0, 0),
        v4(127, 0, 0, 1),
        v4(224, 0, 0, 1),
        v4(240, 0, 0, 1),
        v4(255, 255, 255, 255),
        v4(10, 9, 255, 255),
        IpAddr::V4(SERVER),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V6(SERVER.to_ipv6_mapped()),
    ];
    let of_nobody = of_nobody.map(|source| {
        let place = Place { generation: 1, door: DoorId(ATTIC), knock: 0 };
        (FromWorker::Request { place, action: KnockAction::Open, source }, "no-client")
    });
    let admissions = admissions.into_iter().map(|(admission, why)| (admission.message(), why));
    admissions.chain(requests).chain(of_nobody).collect()
}

/// What may be, for the end: nine addresses of Alice's for as long as a message can ask, of which eight are allowed and
/// for a minute; and somebody else who closes what is hers.
fn allowed() -> Vec<FromWorker> {
    let long = Admission { seconds: u16::MAX, ..ALLOWED };
    let mut allowed: Vec<_> = (1..=9).map(|number| long.at(v4(10, 9, 3, number)).message()).collect();
    allowed.push(Admission { device: CAROL, action: KnockAction::Close, ..ALLOWED }.message());
    // Of locks there are, and of no others.
    let shut_out = |(generation, lock)| FromWorker::ShutOut { generation, lock, refused: 9 };
    allowed.extend([(7, 0), (1, 1), (1, u8::MAX), (1, 0)].map(shut_out));
    allowed
}

/// So many lines of each kind it tries to write.
const FLOOD: u64 = 3000;

/// What costs a line, and nothing else but one that costs none, again and again.
fn flood() -> impl Iterator<Item = FromWorker> {
    let (from, device, id) = (IpAddr::V4(CLIENT), *key(ALICE).public().as_bytes(), KnockId([9; 8]));
    let place = Place { generation: 1, door: DoorId(ATTIC), knock: 0 };
    (0..FLOOD).flat_map(move |_| {
        [
            FromWorker::Hello { from, device, id, offset: 0 },
            FromWorker::Rejected { from, refusal: Refusal::Forged, id, device: Some(device) },
            FromWorker::Stage { place, stage: 1, source: from },
            FromWorker::LeftOut { events: 1 },
            FromWorker::Overrun { requests: 1 },
            FromWorker::StoreFailed,
            // It costs no line, and nothing comes of it, whatever was allowed before.
            FromWorker::Recording,
        ]
    })
}

/// The worker: it keeps all the privileges its monitor has, and says what it likes. What it does follows from the first policy
/// it is handed: with the daemon's first one it lies, with each later one it stands in the way of the next.
fn lie() -> ExitCode {
    let Ok(channel) = Channel::inherited() else { return ExitCode::FAILURE };
    say(&channel, &FromWorker::Ready(Confined { kept_uid: false, landlock: 0 }));
    let mut lying = Lying { channel, first: None, captures: 0 };
    loop {
        match lying.channel.receive() {
            Ok(Received::Message { bytes, .. }) => {
                if let Ok(message) = ToWorker::decode(&bytes) {
                    lying.handle(&message);
                }
            }
            Ok(Received::Nothing) => {
                drop(poll::wait(&[(lying.channel.as_fd(), Interest::READ)], None));
            }
            _ => return ExitCode::SUCCESS,
        }
    }
}

struct Lying {
    channel: Channel,
    /// The first policy it was handed.
    first: Option<u32>,
    /// How many captures it was given.
    captures: u64,
}

impl Lying {
    fn say(&self, message: &FromWorker) {
        say(&self.channel, message);
    }

    fn handle(&mut self, message: &ToWorker) {
        match *message {
            ToWorker::Ping { number } => self.say(&FromWorker::Pong { number }),
            ToWorker::Prepare { generation, .. } => self.answer_policy(generation),
            ToWorker::Commit { generation: 1 } => {
                lies().iter().map(|(lie, _)| lie).chain(&allowed()).for_each(|message| self.say(message));
                flood().for_each(|message| self.say(&message));
            }
            ToWorker::Capture { capture, .. } if self.first == Some(2) => {
                self.captures += 1;
                // This one, one that is gone, and one to come: it cannot read any of them.
                for _ in 0..1000 {
                    let numbers = [capture, capture.wrapping_sub(1), capture.wrapping_add(1)];
                    for capture in numbers {
                        self.say(&FromWorker::CaptureFailed { capture });
                    }
                }
            }
            _ => {}
        }
    }

    fn answer_policy(&mut self, generation: u32) {
        let Some(first) = self.first else {
            self.first = Some(generation);
            if generation == ENDS_ALL {
                std::process::exit(1);
            }
            return self.say(&if generation == NOBODYS {
                FromWorker::Unfit { generation }
            } else {
                FromWorker::Prepared { generation }
            });
        };
        match first {
            // Nothing at all; questions it answers.
            1 => {}
            // With an answer to another one; and how many captures it was given, in the only number the log shows.
            2 => {
                self.say(&FromWorker::Overrun { requests: self.captures });
                self.say(&FromWorker::Unfit { generation: 2 });
            }
            _ if generation == ENDS_ALL || generation == ENDS_ONE => std::process::exit(1),
            _ if generation == NOBODYS || first < 4 => self.say(&FromWorker::Unfit { generation }),
            _ => self.say(&FromWorker::Prepared { generation }),
        }
    }
}

/// The policy that no worker of ours can build.
const NOBODYS: u32 = 5;
/// The one that ends whoever builds it, and one that ends who has served before.
const ENDS_ALL: u32 = 7;
const ENDS_ONE: u32 = 8;

fn say(channel: &Channel, message: &FromWorker) {
    while channel.send(&message.encode(), &[]) == Ok(Sent::Full) {
        drop(poll::wait(&[(channel.as_fd(), Interest { read: false, write: true })], None));
    }
}

fn write_keys(dir: &Path) {
    for (name, kind, byte) in [
        ("server.key", KeyKind::ServerSecret, 9),
        ("gate.key", KeyKind::Gate, 8),
        ("psk.key", KeyKind::Seed, 7),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text::encode(kind, &[byte; 32]).as_bytes()).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    let public = |byte| key(byte).public().to_text(KeyKind::Device);
    let lines = format!(
        "doors=\"ssh\",from=\"10.9.0.0/16\" {} alice\nexpires=2020-01-01 {} bob\n{} carol\n",
        public(ALICE),
        public(BOB),
        public(CAROL)
    );
    std::fs::write(dir.join("authorized_keys"), lines).expect("written");
    std::fs::write(dir.join("aldaba.toml"), CONFIG).expect("written");
}

/// Why requests were refused, in their order.
fn whys(said: &str) -> Vec<&str> {
    let refused =
        said.lines().filter(|line| line.starts_with("request-refused ") || line.starts_with("refused "));
    refused.filter_map(|line| line.rsplit_once("why=").map(|(_, why)| why)).collect()
}

/// Every line it tried to write stands there or is counted, and few stand there.
fn the_flood_is_counted(daemon: &Program) {
    let lines = |said: &str, names: &[&str]| {
        let of = |line: &&str| names.iter().any(|name| line.starts_with(&format!("{name} ")));
        said.lines().filter(of).count() as u64
    };
    let left_out = |said: &str, kind: &str| {
        let counts = said.lines().filter_map(|line| line.strip_prefix(&format!("{kind}-left-out lines=")));
        counts.map(|count| count.parse::<u64>().expect("a number")).sum::<u64>()
    };
    // Nine admitted ones and one who closes stand before the hellos; each LeftOut counts for one more.
    let whole = |said: &str| {
        let requests = lines(said, &["hello", "admitted", "close-asked"]) + left_out(said, "requests");
        let rejected = lines(said, &["rejected"]) + left_out(said, "rejected");
        let stages = lines(said, &["stage"]) + left_out(said, "stages");
        (requests, rejected, stages)
    };
    let wanted = (FLOOD + 9, FLOOD, 2 * FLOOD);
    daemon.wait_until("all of it is counted", |said| whole(said) == wanted);
    let said = daemon.said();
    for (names, most) in
        [(&["hello"][..], 600), (&["rejected"], 120), (&["stage"], 120), (&["requests-lost"], 60)]
    {
        assert!(lines(&said, names) <= most, "{names:?}: {}", lines(&said, names));
    }
    let (all, sent) = (said.lines().count(), 6 * FLOOD);
    println!("figure: R10 {all} lines for {sent} that a lying worker tried to write");
}

/// A daemon whose worker this program is.
fn daemon(hosts: &Hosts, dir: &Path) -> Program {
    let this = std::env::current_exe().expect("this program");
    let [config, state, control] = ["aldaba.toml", "state", "control.sock"].map(|name| dir.join(name));
    let words: [&Path; 8] = [
        &this,
        "run".as_ref(),
        "--config".as_ref(),
        &config,
        "--state-dir".as_ref(),
        &state,
        "--control".as_ref(),
        &control,
    ];
    Program::start(hosts, &words.map(|word| word.to_str().expect("plain")), &dir.join("output"))
}

fn the_monitor_opens_nothing_for_a_worker_that_lies() {
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    write_keys(dir.path());
    let state = dir.path().join("state");
    drop(aldaba_sys::files::private_dir(&state).expect("a folder"));
    aldabad::monitor::make_store(&state).expect("as init makes it");
    let daemon = daemon(&hosts, dir.path());
    let lies = lies();
    let refused = lies.len() + 1;
    daemon.wait_until("every lie is refused", |said| whys(said).len() == refused);
    daemon.wait_for("close-asked door=ssh");
    daemon.wait_for("shut-out lock=1 server=aldaba-server-1");
    the_flood_is_counted(&daemon);
    let said = daemon.said();
    let expected: Vec<&str> = lies.iter().map(|(_, why)| *why).chain(["too-many-of-device"]).collect();
    assert_eq!(whys(&said), expected, "{said}");
    let opened: Vec<&str> = said.lines().filter(|line| line.starts_with("opened ")).collect();
    let eight: Vec<String> =
        (1..=8).map(|number| format!("opened door=ssh address=10.9.3.{number} lease=60s")).collect();
    assert_eq!(opened, eight, "{said}");
    assert_eq!(said.matches("shut-out ").count(), 1, "{said}");
    assert!(!said.contains("closed ") && !said.contains("worker-ended"), "{said}");
    let table = hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]);
    assert_eq!(table.matches("expires").count(), 8, "{table}");
}

/// A policy with this many doors, and what says which it is.
fn policy(doors: usize) -> String {
    let door = |number| {
        format!("[[door]]\nname = \"d{number}\"\nsequence = \"{number}000,7000\"\nports = [\"2222/tcp\"]\n")
    };
    format!("interfaces = [\"srv0\"]\n{}", (1..=doors).map(door).collect::<String>())
}

/// Reloads come into force, or are refused, whatever the worker does; and captures that it says it cannot read are not opened
/// without end.
fn r23_a_worker_that_lies_holds_nothing_up() {
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    let set = |doors| std::fs::write(dir.path().join("aldaba.toml"), policy(doors)).expect("written");
    set(1);
    let daemon = daemon(&hosts, dir.path());
    daemon.wait_for("started version=");
    let reload = |doors| {
        set(doors);
        daemon.signal(Signal::HUP);
    };
    let serving = |workers: usize| {
        let what = format!("worker {workers} serves");
        daemon.wait_until(&what, |said| said.matches("worker-started pid=").count() == workers);
    };
    let ended = |how: &str| daemon.said().matches(&format!("worker-ended {how} ")).count();
    // It passes the policy over, and is asked within five seconds whether it lives.
    reload(2);
    assert!(until(Duration::from_secs(8), || daemon.said().contains("reloaded doors=2")).is_some());
    assert_eq!(ended("why=lost"), 1, "{}", daemon.said());
    // The next one cannot read what it is given.
    let stopped = "degraded what=capture error=\"srv0: reading it has stopped";
    daemon.wait_for(&format!("{stopped} 3 times; opened anew in 2s"));
    let status = asked(dir.path(), &["status"]);
    assert!(status.contains("srv0") && status.contains("reading it has stopped 3 times"), "{status}");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("they are").count();
    let before = descriptors();
    // It answers with a policy that nobody asked it about.
    reload(3);
    daemon.wait_for("reloaded doors=3");
    daemon.wait_for("requests-lost requests=3");
    let status = asked(dir.path(), &["status"]);
    assert!(status.contains("[requests-lost]"), "{status}");
    assert_eq!((ended("why=lost"), daemon.said().matches(stopped).count()), (2, 2), "{}", daemon.said());
    // It says that it cannot build the policy; one that has seen no packet can.
    serving(3);
    reload(4);
    daemon.wait_for("reloaded doors=4");
    assert_eq!((ended("why=refuses"), ended("why=lost")), (1, 2), "{}", daemon.said());
    // Nor can that one: then it is so.
    serving(4);
    reload(5);
    daemon.wait_for("reload-refused errors=1");
    daemon.wait_for("the worker could not build this policy");
    serving(5);
    assert_eq!((ended("why=refuses"), ended("why=lost")), (2, 2), "{}", daemon.said());
    let said = daemon.said();
    assert!(!said.contains("reloaded doors=5") && descriptors() <= before + 1, "{said}");
    // The policy before is in force, and the next one comes.
    reload(6);
    daemon.wait_for("reloaded doors=6");
    // It ends at a policy, and a new one too: then it is the policy, and that does not come into force.
    reload(7);
    daemon.wait_for("the worker that was to build this policy has ended, and a new one too");
    serving(6);
    assert!(!daemon.said().contains("reloaded doors=7"), "{}", daemon.said());
    // The new one does not: then it was the worker.
    reload(8);
    daemon.wait_for("reloaded doors=8");
    println!("figure: R23 a worker that lies held no reload up, and got 3 captures while it could read none");
    a_policy_under_way_outlives_a_worker_that_is_replaced();
}

/// With pnet every change of the interfaces needs a new worker: what the one before was asked comes into force with that.
fn a_policy_under_way_outlives_a_worker_that_is_replaced() {
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    let set = |doors| {
        let text = format!(
            "capture = \"pnet\"
{}",
            policy(doors)
        );
        std::fs::write(dir.path().join("aldaba.toml"), text).expect("written");
    };
    set(1);
    let daemon = daemon(&hosts, dir.path());
    daemon.wait_for("started version=");
    set(2);
    daemon.signal(Signal::HUP);
    hosts.unplug();
    let in_force = until(Duration::from_secs(2), || daemon.said().contains("reloaded doors=2"));
    assert!(in_force.is_some(), "{}", daemon.said());
    daemon.wait_for("interface-gone name=srv0");
    assert_eq!(daemon.said().matches("worker-ended").count(), 0, "it was replaced: {}", daemon.said());
}

fn asked(dir: &Path, words: &[&str]) -> String {
    let output =
        Command::new(binary("aldabad")).args(words).arg("--control").arg(dir.join("control.sock")).output();
    String::from_utf8_lossy(&output.expect("it starts").stdout).into_owned()
}
