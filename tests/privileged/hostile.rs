//! A worker that somebody has taken over: confined as every worker is, it tries whatever might get it further. Each attempt
//! has a fresh process, whose end is the proof (docs/reliability.md, R23). What it may still say over its channel is the
//! business of `lying.rs`.
//!
//! No test harness: this very program is the worker, the monitor and the test. Nothing of it is in what is released.

#[path = "hostile/attempts.rs"]
mod attempts;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use aldaba_gate::{DoorId, KnockAction};
use aldaba_sys::capture::{CaptureSocket, Kept, RingSize, Target};
use aldaba_sys::channel::{Channel, Received, Sent};
use aldaba_sys::filter::FilterSpec;
use aldaba_sys::poll::{self, Interest};
use aldaba_sys::privileges::Room;
use aldaba_sys::process::{self, Ending};
use aldaba_sys::reexec::{self, Surroundings};
use aldaba_sys::{datagram, memfd, privileges};
use aldaba_tests::hosts::CLIENT;
use aldaba_tests::{Hosts, Program, cannot_run, until};
use aldabad::fault::{SHORT_PAUSES, VARIABLE};
use aldabad::ipc::{FromWorker, Place, ToWorker};
use aldabad::role::Role;
use aldabad::worker::{Confined, Confinement};
use attempts::{Attempt, Holds};
use rustix::process::Signal;

const NAME: &str = "r23_a_hostile_worker_gets_nothing";
const SOON: Duration = Duration::from_secs(20);
/// As it is for a small policy.
const ROOM: Room = Room { memory: 256 << 20, file: 64 << 20 };

/// A door by element, and one by command.
fn config(file: &Path) -> String {
    let file = file.display();
    format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"attic\"\nsequence = \"7000,8000,9000\"\nports = [\"3333/tcp\"]\n\
         lease = \"4s\"\n[[door]]\nname = \"shed\"\nsequence = \"7001,8001,9001\"\nlease = \"4s\"\n\
         start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"{file}\"]\n"
    )
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if Role::of(&arguments) == Some(Role::Worker) {
        return attack(arguments.get(1..).unwrap_or_default()).unwrap_or(ExitCode::FAILURE);
    }
    // The closer is what it always is.
    if Role::of(&arguments).is_some() || arguments.get(1).is_some_and(|word| word == "run") {
        return aldabad::main_as_aldabad();
    }
    let mut words = arguments.iter().skip(1).filter(|word| !word.to_string_lossy().starts_with('-'));
    if arguments.iter().any(|word| word == "--list") {
        println!("{NAME}: test");
    } else if words.all(|word| NAME.contains(&*word.to_string_lossy())) && cannot_run().is_none() {
        r23_a_hostile_worker_gets_nothing();
        println!("test {NAME} ... ok");
    }
    ExitCode::SUCCESS
}

/// The worker: locks itself in as every worker does, and then turns on whoever started it.
fn attack(arguments: &[OsString]) -> Option<ExitCode> {
    let parent = process::parent_id();
    let channel = Channel::inherited().ok()?;
    // The monitor's own faults concern the monitor.
    let wish = |word: &OsString| word.to_string_lossy().starts_with(VARIABLE);
    let arguments: Vec<OsString> = arguments.iter().filter(|word| !wish(word)).cloned().collect();
    let confined = Confinement::from_arguments(&arguments)?.enter(&channel).ok()?;
    say(&channel, &FromWorker::Ready(confined).encode());
    loop {
        let (bytes, fds) = match channel.receive() {
            Ok(Received::Message { bytes, fds }) => (bytes, fds),
            Ok(Received::Nothing) => {
                poll::wait(&[(channel.as_fd(), Interest::READ)], None).ok()?;
                continue;
            }
            _ => return Some(ExitCode::SUCCESS),
        };
        let number =
            bytes.strip_prefix(b"try ").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        match (number, ToWorker::decode(&bytes)) {
            (Some(number), _) => {
                let holds = Holds::new(&channel, &fds, parent);
                let (result, error) = attempts::numbered(number)?.run(&holds);
                say(&channel, format!("{result} {error}").as_bytes());
            }
            (None, Ok(ToWorker::Prepare { generation, .. })) => {
                say(&channel, &FromWorker::Prepared { generation }.encode());
            }
            (None, Ok(ToWorker::Commit { generation: generation @ 1 })) => {
                for door in [0, 1] {
                    let place = Place { generation, door: DoorId(door), knock: 0 };
                    let (action, source) = (KnockAction::Open, IpAddr::V4(CLIENT));
                    say(&channel, &FromWorker::Request { place, action, source }.encode());
                }
                // The monitor is to hear them before it sees this process end.
                poll::wait(&[], Some(Duration::from_millis(100))).ok()?;
                attempts::named("read the monitor's memory").run(&Holds::new(&channel, &fds, parent));
            }
            _ => {}
        }
    }
}

fn say(channel: &Channel, bytes: &[u8]) {
    while channel.send(bytes, &[]) == Ok(Sent::Full) {
        drop(poll::wait(&[(channel.as_fd(), Interest::WRITE)], None));
    }
}

/// What a worker holds, and a file that was the daemon's standard error.
struct Prey {
    capture: OwnedFd,
    udp: OwnedFd,
    store: File,
    policy: OwnedFd,
}

impl Prey {
    fn new() -> Self {
        let capture =
            CaptureSocket::open(Target::Any, &FilterSpec::default(), RingSize::usual(Kept::Datagrams));
        let capture = capture.expect("a capture socket").as_fd().try_clone_to_owned().expect("a copy");
        let udp = datagram::listen(42_731, 144, 1232).expect("a UDP socket");
        let store = tempfile::tempfile().expect("a file");
        let policy = memfd::sealed("policy", b"secret").expect("sealed memory");
        Self { capture, udp, store, policy }
    }

    fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        [self.capture.as_fd(), self.udp.as_fd(), self.store.as_fd(), self.policy.as_fd()]
    }
}

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Killed,
    /// The call returned this, with this error.
    Returned(String),
    Ended(Ending),
}

fn next(channel: &Channel) -> Option<Vec<u8>> {
    assert_eq!(poll::wait(&[(channel.as_fd(), Interest::READ)], Some(SOON)).expect("a wait"), [true]);
    match channel.receive() {
        Ok(Received::Message { bytes, .. }) => Some(bytes),
        _ => None,
    }
}

/// One attempt in a worker of its own; how that one was confined, and what came of it.
fn attempt(
    program: &reexec::Program,
    number: usize,
    sandbox: bool,
    prey: &Prey,
    error: &File,
) -> (Confined, Became) {
    let (ours, theirs) = Channel::pair().expect("a channel");
    let identity = privileges::Identity { uid: 61_990, gid: 61_991 };
    let arguments = Confinement { identity, sandbox, room: ROOM, pnet: Vec::new() }.arguments();
    let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let role = reexec::Role {
        name: Role::Worker.argv0(),
        arguments: &arguments,
        surroundings: Surroundings::ErrorTo(error.as_fd()),
        descriptors: &[theirs.as_fd()],
    };
    let started = program.start(&role).expect("a worker");
    drop(theirs);
    let ready = next(&ours).and_then(|bytes| FromWorker::decode(&bytes).ok());
    let Some(FromWorker::Ready(confined)) = ready else { panic!("the worker does not come up: {ready:?}") };
    let sent = ours.send(format!("try {number}").as_bytes(), &prey.descriptors());
    assert_eq!(sent, Ok(Sent::Done));
    let answer = next(&ours);
    drop(ours);
    poll::wait(&[(started.pidfd.as_fd(), Interest::READ)], Some(SOON)).expect("a wait");
    let (pid, ending) = process::reap().expect("a wait").expect("it has ended");
    assert_eq!(pid, started.pid);
    let became = match (answer, ending) {
        (Some(answer), _) => Became::Returned(String::from_utf8_lossy(&answer).into_owned()),
        (None, Ending::Signal(libc::SIGSYS)) => Became::Killed,
        (None, ending) => Became::Ended(ending),
    };
    (confined, became)
}

fn r23_a_hostile_worker_gets_nothing() {
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    hosts.as_server(|| first_wall(dir.path()));
    hosts.as_server(|| second_wall(dir.path()));
    again_and_again(&hosts, dir.path());
}

/// The list of system calls: whatever is not on it ends the worker.
fn first_wall(dir: &Path) {
    let (program, prey) = (reexec::Program::open().expect("this program"), Prey::new());
    let path = dir.join("log");
    let mut log =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).expect("a file");
    log.write_all(b"what the daemon has said").expect("written");
    let mut denied = 0;
    for (number, Attempt { what, .. }) in attempts::all().iter().enumerate() {
        let (_, became) = attempt(&program, number, true, &prey, &log);
        println!("tried: {what}: {became:?}");
        assert_eq!(became, Became::Killed, "{what}");
        denied += 1;
    }
    // Nor by what the list allows for the replay store.
    cut_standard_error(&program, &prey, &log);
    assert_eq!(std::fs::read(&path).expect("the log"), b"what the daemon has said");
    println!("figure: R23 {denied} attempts of {denied} ended the worker that made them");
    meet_limits(&program, &prey, &log);
}

/// Cutting and overwriting are allowed for the store; under the number of standard error they find /dev/null.
fn cut_standard_error(program: &reexec::Program, prey: &Prey, log: &File) {
    for (number, _) in attempts::at_standard_error().iter().enumerate() {
        attempt(program, attempts::all().len() + number, true, prey, log);
    }
}

/// What it needs some of, memory and the store, it gets no more of than that.
fn meet_limits(program: &reexec::Program, prey: &Prey, log: &File) {
    let first = attempts::all().len() + attempts::at_standard_error().len();
    for (number, Attempt { what, without_list, .. }) in attempts::beyond_limits().iter().enumerate() {
        let (_, became) = attempt(program, first + number, true, prey, log);
        println!("tried: {what}: {became:?}");
        let error = without_list.map(|(error, _)| error).expect("an error");
        assert_eq!(became, Became::Returned(format!("-1 {error}")), "{what}");
    }
    assert_eq!(prey.store.metadata().expect("its facts").len(), 0);
    println!("figure: R23 {} attempts at more memory and disk met a limit", attempts::beyond_limits().len());
}

/// User id, capabilities, limits and Landlock, without the list.
fn second_wall(dir: &Path) {
    let (program, prey) = (reexec::Program::open().expect("this program"), Prey::new());
    let log = File::create(dir.join("other-log")).expect("a file");
    for (number, Attempt { what, without_list, .. }) in attempts::all().iter().enumerate() {
        let Some((error, landlock)) = without_list else { continue };
        let (confined, became) = attempt(&program, number, false, &prey, &log);
        if confined.landlock < *landlock {
            println!("tried without the list: {what}: passed over, Landlock is {}", confined.landlock);
            continue;
        }
        println!("tried without the list: {what}: {became:?}");
        assert_eq!(became, Became::Returned(format!("-1 {error}")), "{what}");
    }
}

/// So often in a row.
const KILLS: usize = 20;

/// Under the real monitor: started anew, later each time, while the doors that it asked for stay open; and they close in time
/// when a new policy ends it. The pauses are a fiftieth of what they are.
fn again_and_again(hosts: &Hosts, dir: &Path) {
    let this = std::env::current_exe().expect("this program");
    let [path, output, state, control, file] =
        ["aldaba.toml", "output", "state", "control.sock", "shed-is-open"].map(|name| dir.join(name));
    std::fs::write(&path, config(&file)).expect("written");
    let wish = format!("{VARIABLE}={SHORT_PAUSES}");
    let options = [("--config", &path), ("--state-dir", &state), ("--control", &control)];
    let mut words = vec!["env", &wish, this.to_str().expect("plain"), "run"];
    words.extend(options.iter().flat_map(|(name, path)| [*name, path.to_str().expect("plain")]));
    let daemon = Program::start(hosts, &words, &output);
    let ends = |said: &str| said.matches("worker-ended ").count();
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count();
    let element = || hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]).contains("10.9.0.2");
    daemon.wait_until("the third has ended", |said| ends(said) >= 3);
    let before = descriptors();
    until(Duration::from_secs(20), || ends(&daemon.said()) >= KILLS);
    let (after, said) = (descriptors(), daemon.said());
    assert!(
        ends(&said) >= KILLS && after < before + KILLS / 2,
        "{before} descriptors, then {after}:\n{said}"
    );
    let pauses = said.lines().filter_map(|line| line.split_once("again-in=")).map(|(_, it)| it);
    let real = (0..KILLS).map(|kill| Duration::from_millis(100 << kill).min(Duration::from_secs(10)));
    let expected = real.map(|pause| aldabad::wording::short(pause / 50)).collect::<Vec<_>>();
    assert_eq!(pauses.take(KILLS).collect::<Vec<_>>(), expected, "{said}");
    // Each life of the worker renewed them.
    assert!(element() && file.exists(), "{said}");
    for door in ["attic", "shed"] {
        assert_eq!(said.matches(&format!("opened door={door} address=10.9.0.2")).count(), 1, "{said}");
        assert!(!said.contains(&format!("closed door={door} ")), "{said}");
    }
    // Of the next policy it wants nothing.
    std::fs::write(&path, config(&file) + "# again\n").expect("written");
    daemon.signal(Signal::HUP);
    daemon.wait_for("closed door=attic address=10.9.0.2 why=expired");
    daemon.wait_for("closed door=shed address=10.9.0.2 why=expired");
    // The kernel counts from the moment it was asked, a little later.
    let closed = until(Duration::from_secs(1), || !element() && !file.exists());
    assert!(closed.is_some(), "{}", daemon.said());
    println!(
        "figure: R23 {KILLS} workers killed in a row, {before} descriptors after three and {after} after all, both leases stayed"
    );
}

/// The number of a descriptor, as a system call takes it.
fn number(fd: &impl std::os::fd::AsFd) -> u64 {
    u64::try_from(fd.as_fd().as_raw_fd()).unwrap_or(u64::MAX)
}
