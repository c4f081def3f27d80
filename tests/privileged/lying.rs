//! A worker that lies (spec/ipc.md, "Rules"): this very program, started by the monitor as its worker, has the channel to itself
//! and asks for all it may not have. The monitor is the real one, on a host of its own with the real firewall.
//!
//! No test harness: the monitor starts its worker from its own program, so this is both, and the test.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use aldaba_gate::spa::{KnockId, Refusal};
use aldaba_gate::{DoorId, KnockAction};
use aldaba_spa::{KeyKind, SecretKey, text};
use aldaba_sys::channel::{Channel, Received, Sent};
use aldaba_sys::poll::{self, Interest};
use aldaba_tests::hosts::{CLIENT, CLIENT6, SERVER};
use aldaba_tests::{Hosts, Program, cannot_run};
use aldabad::ipc::{FromWorker, Place, ToWorker};
use aldabad::role::Role;
use aldabad::worker::Confined;

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
    if arguments.get(1).is_some_and(|word| word == "run") {
        return aldabad::main_as_aldabad();
    }
    let wanted = |word: &std::ffi::OsString| !word.to_string_lossy().starts_with('-');
    let name = "the_monitor_opens_nothing_for_a_worker_that_lies";
    if arguments.iter().any(|word| word == "--list") {
        println!("{name}: test");
    } else if arguments
        .iter()
        .skip(1)
        .filter(|word| wanted(word))
        .all(|word| name.contains(&*word.to_string_lossy()))
        && cannot_run().is_none()
    {
        the_monitor_opens_nothing_for_a_worker_that_lies();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

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
        (carol.at(v4(255, 255, 255, 255)), "address"),
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
    admissions.into_iter().map(|(admission, why)| (admission.message(), why)).chain(requests).collect()
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

/// What costs a line and nothing else, again and again.
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
        ]
    })
}

/// The worker: it keeps all the privileges its monitor has, takes every policy, and then says what it likes.
fn lie() -> ExitCode {
    let Ok(channel) = Channel::inherited() else { return ExitCode::FAILURE };
    say(&channel, &FromWorker::Ready(Confined { kept_uid: false, landlock: 0 }));
    loop {
        match channel.receive() {
            Ok(Received::Message { bytes, .. }) => match ToWorker::decode(&bytes) {
                Ok(ToWorker::Prepare { generation, .. }) => {
                    say(&channel, &FromWorker::Prepared { generation });
                }
                Ok(ToWorker::Commit { .. }) => {
                    lies()
                        .iter()
                        .map(|(lie, _)| lie)
                        .chain(&allowed())
                        .for_each(|message| say(&channel, message));
                    flood().for_each(|message| say(&channel, &message));
                }
                _ => {}
            },
            Ok(Received::Nothing) => drop(poll::wait(&[(channel.as_fd(), Interest::READ)], None)),
            _ => return ExitCode::SUCCESS,
        }
    }
}

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

fn the_monitor_opens_nothing_for_a_worker_that_lies() {
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    write_keys(dir.path());
    let state = dir.path().join("state");
    drop(aldaba_sys::files::private_dir(&state).expect("a folder"));
    aldabad::monitor::make_store(&state).expect("as init makes it");
    let this = std::env::current_exe().expect("this program");
    let (config, output) = (dir.path().join("aldaba.toml"), dir.path().join("output"));
    let words =
        [this.as_path(), "run".as_ref(), "--config".as_ref(), &config, "--state-dir".as_ref(), &state];
    let words = words.map(|word| word.to_str().expect("plain"));
    let daemon = Program::start(&hosts, &words, &output);
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
