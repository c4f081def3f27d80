//! R24: ten minutes of everything, on demand: `tests/soak [SECONDS]`.
//!
//! A thousand knocks a minute by sequence and by datagram, at doors by command and by element; five thousand frames of junk a
//! second; a reload every ten seconds, every third file broken. Every look takes the memory, the descriptors and the age of
//! whatever is open.

use std::collections::BTreeMap;

use aldaba_tests::memory;
use rustix::process::Signal;

use super::*;

/// How long a door stays open, and how late it may close.
const LEASE: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(1);
/// Devices knock in turn: each may twice a second.
const DEVICES: u8 = 20;
/// What runs for so long has filled all that fills in its first half.
const LONG: Duration = Duration::from_secs(600);
/// Bytes a minute that would be lost if each knock of one kind, by datagram or by command, lost the smallest block an allocator gives.
const LEAK: i64 = 1000 / 2 * 32;
const BETWEEN_KNOCKS: Duration = Duration::from_millis(60);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const BETWEEN_RELOADS: Duration = Duration::from_secs(10);

fn config(dir: &Path, number: usize) -> String {
    let file = dir.join("open/{ip}");
    let file = file.display();
    let commands = format!("start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"{file}\"]\n");
    let door = |name: &str, knock: &str, action: &str| {
        format!("[[door]]\nname = \"{name}\"\n{knock}\nlease = \"2s\"\n{action}\n")
    };
    [
        format!("# {number}\ninterfaces = [\"srv0\"]\n[spa]\nport = {SPA_PORT}\ntrust-clock = true\n"),
        door("command", "sequence = \"7000,8000,9000\"", &commands),
        door("element", "sequence = \"7100,8100,9100\"", "ports = [\"2222/tcp\"]"),
        door("command-spa", "spa = true", &commands),
        door("element-spa", "spa = true", "ports = [\"2223/tcp\"]"),
    ]
    .concat()
}

/// What was seen in one second.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    resident: u64,
    /// Of that, what is theirs and not a file's.
    own: u64,
    descriptors: usize,
}

struct Soak {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
    worker: u32,
    looks: Vec<Look>,
    oldest: Duration,
    knocks: u32,
    reloads: usize,
}

impl Soak {
    fn look(&mut self, at: Duration) {
        let processes = [self.daemon.pid(), self.worker];
        self.looks.push(Look {
            at,
            resident: processes.map(resident).iter().sum(),
            own: processes.map(memory::own).iter().sum(),
            descriptors: processes.map(memory::descriptors).iter().sum(),
        });
        for entry in std::fs::read_dir(self.dir.path().join("open")).expect("a folder").flatten() {
            // One that has just gone was closed.
            let age =
                entry.metadata().and_then(|facts| facts.modified()).ok().and_then(|made| made.elapsed().ok());
            self.oldest = self.oldest.max(age.unwrap_or_default());
        }
    }

    fn reload(&mut self) {
        self.reloads += 1;
        let good = config(self.dir.path(), self.reloads);
        let text = if self.reloads.is_multiple_of(3) { good.replace("7000,", "70000,") } else { good };
        std::fs::write(self.dir.path().join("aldaba.toml"), text).expect("written");
        self.daemon.signal(Signal::HUP);
    }

    /// The next knock, by each door in turn and from an address of its own.
    fn knock(&mut self, wire: &mut Wire, devices: &[Device]) {
        self.knocks += 1;
        let number = self.knocks;
        // Not again before it has long been closed; soon from each of 64 networks, of which the worker remembers 4,096.
        let (network, host) = (number % 0x40, number / 0x40 % 0x100);
        let source = address(u16::try_from(0x0400 + network * 0x100 + host).expect("small"));
        let frames = match number % 4 {
            0 => knock_frames(source, &[7000, 8000, 9000], number),
            1 => knock_frames(source, &[7100, 8100, 9100], number),
            kind => {
                let door = if kind == 2 { "command-spa" } else { "element-spa" };
                let device = &devices[usize::try_from(number / 4).expect("small") % devices.len()];
                let (datagram, _) = device.seal(device::open(door, None));
                vec![Frame::udp(source, 41_000, SERVER, SPA_PORT).payload(&datagram)]
            }
        };
        for frame in &frames {
            wire.send(frame);
        }
    }
}

/// Half of it aims at doors: first steps of sequences, and noise where datagrams are expected.
fn junk(number: u64) -> Frame {
    let source = Ipv4Addr::from(0x0b00_0001 + u32::try_from(number % (1 << 22)).expect("small"));
    let port = u16::try_from(number * 7919 % 65_521).expect("small") + 1;
    match number % 4 {
        0 => Frame::tcp(source, 40_000, SERVER, 7000).flags(flag::SYN),
        1 => Frame::udp(source, 40_000, SERVER, SPA_PORT).payload(&[0x5a; 200]),
        2 => Frame::udp(source, 40_000, SERVER, port),
        _ => Frame::tcp(source, 40_000, SERVER, port).flags(flag::SYN),
    }
}

#[test]
#[ignore = "ten minutes: tests/soak"]
fn r24_a_soak_grows_nothing_and_closes_every_door_in_time() {
    if cannot_run().is_some() {
        return;
    }
    let seconds = std::env::var("ALDABA_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let time = Duration::from_secs(seconds);
    let hosts = Hosts::new();
    // In memory: how long a disk takes to make a record durable is not what is looked at here.
    let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
    // From 11 on: 7, 8 and 9 are what the keys of the server are made of.
    let devices: Vec<Device> = (11..11 + DEVICES).map(Device::new).collect();
    let lines = (1..)
        .zip(&devices)
        .map(|(number, device)| device.line("max-leases=1000 ", &format!("user{number}/laptop")));
    device::write_server(dir.path(), &lines.collect::<String>());
    aldabad::monitor::make_store(&dir.path().join("state")).expect("as init makes it");
    std::fs::create_dir(dir.path().join("open")).expect("a folder");
    let daemon = Program::aldabad(&hosts, dir.path(), &config(dir.path(), 0));
    let worker = daemon.children()[0];
    let mut soak =
        Soak { hosts, dir, daemon, worker, looks: Vec::new(), oldest: Duration::ZERO, knocks: 0, reloads: 0 };
    let junk = run(&mut soak, time, &devices);
    judge(&mut soak, junk, time);
}

fn run(soak: &mut Soak, time: Duration, devices: &[Device]) -> u64 {
    let stop = AtomicBool::new(false);
    let client = soak.hosts.client.clone();
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| aldaba_tests::hosts::inside(&client, || minutes(&stop)));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            aldaba_tests::hosts::inside(&client, || {
                let mut wire = Wire::open();
                let begun = Instant::now();
                let mut due = [Duration::ZERO, Duration::ZERO, BETWEEN_RELOADS];
                while begun.elapsed() < time {
                    let now = begun.elapsed();
                    if due[0] <= now {
                        soak.knock(&mut wire, devices);
                        due[0] += BETWEEN_KNOCKS;
                    }
                    if due[1] <= now {
                        soak.look(now);
                        due[1] += BETWEEN_LOOKS;
                    }
                    if due[2] <= now {
                        soak.reload();
                        due[2] += BETWEEN_RELOADS;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }));
        stop.store(true, Ordering::Relaxed);
        let sent = flood.join().expect("the flood");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent
    })
}

/// A flood ends by itself after some minutes: one after the other.
fn minutes(stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        sent += Wire::open().flood_with(5000, stop, junk);
    }
    sent
}

/// Bytes a minute by which memory grows when all that fills has been filled: from the middle of what was seen in the third
/// quarter to that of the last. A reload needs memory for a moment; what is seen in such moments does not move the middle.
fn growth(looks: &[Look]) -> i64 {
    let quarter = looks.len() / 4;
    let (third, last) = looks[looks.len() - 2 * quarter..].split_at(quarter);
    let middle =
        |looks: &[Look]| i64::try_from(memory::middle(looks.iter().map(|look| look.own))).expect("small");
    let between = |looks: &[Look]| looks.first().map_or(Duration::ZERO, |look| look.at);
    let millis = between(last).saturating_sub(between(third)).as_millis().max(1);
    (middle(last) - middle(third)) * 60_000 / i64::try_from(millis).expect("small")
}

fn judge(soak: &mut Soak, junk: u64, time: Duration) {
    let left = |soak: &Soak| std::fs::read_dir(soak.dir.path().join("open")).expect("a folder").count();
    let closed = until(LEASE + LATE + Duration::from_secs(1), || left(soak) == 0);
    let table = || soak.hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]);
    let gone = until(Duration::from_secs(10), || !table().contains("expires"));
    let said = soak.daemon.said();
    let mut opened: BTreeMap<&str, usize> = BTreeMap::new();
    for line in said.lines().filter(|line| line.starts_with("opened ")) {
        *opened.entry(line.split_whitespace().nth(1).unwrap_or_default()).or_default() += 1;
    }
    let all: usize = opened.values().sum();
    let closings = said.lines().filter(|line| line.starts_with("closed ")).count();
    let (_, end) = soak.looks.split_at(soak.looks.len() / 5);
    let (begin, rest) = end.split_at(end.len() / 2);
    let fewest = |looks: &[Look]| looks.iter().map(|look| look.descriptors).min().unwrap_or_default();
    let (grown, descriptors) = (growth(&soak.looks), [fewest(begin), fewest(rest)]);
    let kilobytes = |look: Option<&Look>| look.map_or(0, |look| look.resident / 1024);
    println!("| {} s | |\n|---|---|", time.as_secs());
    println!("| knocks, opened, closed | {}, {all}, {closings} |", soak.knocks);
    println!("| by door | {opened:?} |");
    println!("| junk frames | {junk} |");
    println!("| reloads | {} |", soak.reloads);
    println!(
        "| memory of monitor and worker, after a fifth and at the end | {} and {} KiB |",
        kilobytes(end.first()),
        kilobytes(end.last())
    );
    println!("| of its own, from the third quarter to the last | {grown} bytes a minute |");
    println!("| descriptors, fewest in the first and in the second half | {descriptors:?} |");
    println!(
        "| oldest open door by command (lease {} s) | {} ms |",
        LEASE.as_secs(),
        soak.oldest.as_millis()
    );
    assert!(closed.is_some() && gone.is_some(), "something stays open:\n{said}");
    assert_eq!(all, closings, "each is closed once:\n{said}");
    assert!(soak.oldest <= LEASE + LATE, "{:?}", soak.oldest);
    assert!(all * 100 >= usize::try_from(soak.knocks).expect("small") * 98, "{all} of {}", soak.knocks);
    assert!(descriptors[0] == descriptors[1], "{descriptors:?}");
    assert!(grown < LEAK || time < LONG, "{grown} bytes a minute");
    assert_eq!(said.matches("worker-ended").count(), 0, "{said}");
}

/// A thousand knocks of which none loses anything, or each of one kind 32 bytes, among all that makes memory look larger for a while.
#[test]
fn the_smallest_leak_shows_and_nothing_else_does() {
    let own = |second: u64, lost: u64| {
        let tables = 600_000 * second.min(120) / 120;
        let reload = if second.is_multiple_of(10) { 3 * MEGABYTE } else { 0 };
        let noise = second * 7919 % 5 * 4096;
        (8 * MEGABYTE + tables + noise + lost * 1000 / 2 * second / 60) / 4096 * 4096 + reload
    };
    let seen = |lost| {
        let look = |second| Look {
            at: Duration::from_secs(second),
            resident: 20 * MEGABYTE,
            own: own(second, lost),
            descriptors: 31,
        };
        growth(&(0..600).map(look).collect::<Vec<_>>())
    };
    assert!((-2048..2048).contains(&seen(0)), "{}", seen(0));
    assert!(seen(0) < LEAK && seen(40) >= LEAK, "{} and {}", seen(0), seen(40));
    assert!((LEAK - 2048..LEAK + 2048).contains(&seen(32)), "{}", seen(32));
}
