//! Too much of everything (docs/reliability.md): R9 to R12, R14, R25. One flood at a time: each wants the machine.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "overload/scan.rs"]
mod scan;
#[path = "overload/soak.rs"]
mod soak;
#[path = "overload/sources.rs"]
mod sources;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aldaba_packet::Link;
use aldaba_packet::build::{Frame, flag};
use aldaba_tests::hosts::{CLIENT, SERVER};
use aldaba_tests::memory::resident;
use aldaba_tests::{Device, Hosts, Program, Wire, asked, cannot_run, device, lost_on_the_way, status, until};

const SPA_PORT: u16 = 42731;
const MEGABYTE: u64 = 1 << 20;
/// So many openings are asked for in the flood of them, at least.
const COMPLETIONS: u64 = 5000;
/// A debug build takes its time over each frame.
const SLOWER: u32 = if cfg!(debug_assertions) { 4 } else { 1 };

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
    alice: Device,
    bob: Device,
    _alone: MutexGuard<'static, ()>,
}

/// A door by command that takes its time, two by element: by sequence and by datagram.
fn config(dir: &Path) -> String {
    let file = dir.join("open-{ip}");
    let file = file.display();
    format!(
        "interfaces = [\"srv0\"]\n[spa]\nport = {SPA_PORT}\ntrust-clock = true\n\
         [[door]]\nname = \"slow\"\nsequence = \"7000,8000,9000\"\nlease = \"30s\"\n\
         start = [\"/bin/sleep\", \"0.2\"]\nstop = [\"/bin/true\"]\n\
         [[door]]\nname = \"web\"\nsequence = \"7100,8100,9100\"\nlease = \"60s\"\n\
         start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"-f\", \"{file}\"]\n\
         [[door]]\nname = \"ssh\"\nsequence = \"7200,8200,9200\"\nspa = true\nlease = \"60s\"\nports = [\"2222/tcp\"]\n"
    )
}

fn scene() -> Option<Scene> {
    scene_of(&[], config)
}

/// `prefix` stands before the daemon's own words.
fn scene_of(prefix: &[&str], config: fn(&Path) -> String) -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let hosts = Hosts::new();
    // In memory: a busy disk would measure itself.
    let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let (alice, bob) = (Device::new(1), Device::new(2));
    device::write_server(dir.path(), &(alice.line("", "alice") + &bob.line("", "bob")));
    aldabad::monitor::make_store(&dir.path().join("state")).expect("as init makes it");
    let daemon = Program::aldabad_within(&hosts, dir.path(), &config(dir.path()), prefix);
    Some(Scene { hosts, dir, daemon, alice, bob, _alone: alone })
}

/// The middle one and the 95th of a hundred.
fn middle_and_worst(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len() - 1)).copied();
    (at(50).expect("some"), at(95).expect("some"))
}

impl Scene {
    /// Monitor, worker and closer, without the commands of doors.
    fn resident(&self) -> u64 {
        let name = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let ours = self.daemon.children().into_iter().filter(|pid| name(pid).starts_with(b"aldabad: "));
        ours.map(resident).sum::<u64>() + resident(self.daemon.pid())
    }

    /// How many processes there are on the server.
    fn processes(&self) -> usize {
        // The `ip` that asks runs there itself.
        self.hosts.on_server(&["ip", "netns", "pids", &self.hosts.server]).lines().count() - 1
    }

    /// Runs something while frames of this making go out, so many a second; how many did.
    fn flooded<T>(
        &self,
        each_second: u32,
        frame: impl Fn(u64) -> Frame + Send,
        work: impl FnOnce() -> T,
    ) -> (u64, T) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let flood =
                scope.spawn(|| self.hosts.as_client(|| Wire::open().flood_with(each_second, &stop, frame)));
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            stop.store(true, Ordering::Relaxed);
            let sent = flood.join().expect("the flood");
            (sent, done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// How many frames of this making this machine can send in a second.
    fn possible_rate(&self, frame: impl Fn(u64) -> Frame + Send) -> u64 {
        self.hosts.as_client(|| Wire::open().fastest(frame))
    }

    fn events(&self, word: &str) -> usize {
        self.daemon.said().matches(word).count()
    }

    /// One knock by a sequence, without a second try; how long the door took.
    fn knock(&self, ports: &[u16], door: &str) -> Option<Duration> {
        let word = format!("ed door={door} address={CLIENT}");
        let before = self.events(&word);
        let begun = Instant::now();
        self.hosts.knock(ports);
        until(Duration::from_secs(1), || self.events(&word) > before).map(|_| begun.elapsed())
    }

    /// One datagram, without a second try.
    fn send(&self) -> Option<Duration> {
        self.send_by(&self.alice)
    }

    fn send_by(&self, device: &Device) -> Option<Duration> {
        let word = format!("ed door=ssh address={CLIENT}");
        let before = self.events(&word);
        let (datagram, _) = device.seal(device::open("ssh", None));
        let begun = Instant::now();
        device::send(&self.hosts, CLIENT.into(), SPA_PORT, &datagram);
        until(Duration::from_secs(1), || self.events(&word) > before).map(|_| begun.elapsed())
    }
}

/// A spoofed SYN: ever new sources, each of them through these ports.
fn syn(number: u64, ports: &[u16]) -> Frame {
    let steps = ports.len() as u64;
    let source = u32::try_from(number / steps % (1 << 22)).expect("small");
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 1)) + source);
    let port = ports[usize::try_from(number % steps).expect("small")];
    let sequence = u32::try_from(number % (1 << 31)).expect("small");
    Frame::tcp(source, 40_000, SERVER, port).flags(flag::SYN).sequence(sequence)
}

/// R9: 5,000 spoofed completions of a command's door, in five seconds where the machine can.
#[test]
fn r9_a_flood_of_openings_is_bounded_and_leaves_other_doors_alone() {
    let Some(scene) = scene() else { return };
    scene.knock(&[7100, 8100, 9100], "web").expect("opens at rest");
    let at_rest = (0..20).map(|_| scene.send_by(&scene.bob).expect("opens at rest")).collect();
    let (_, worst_at_rest) = middle_and_worst(at_rest);
    let before = scene.resident();
    let so_far = AtomicU64::new(0);
    let (sent, (processes, tries)) = scene.flooded(
        3000,
        |number| {
            so_far.store(number, Ordering::Relaxed);
            syn(number, &[7000, 8000, 9000])
        },
        || {
            let begun = Instant::now();
            let (mut most, mut tries) = (0, Vec::new());
            // A slow machine takes longer over as many.
            let few = || so_far.load(Ordering::Relaxed) < 3 * COMPLETIONS;
            let is_over = |seconds| begun.elapsed() >= Duration::from_secs(seconds);
            while !is_over(5) || few() && !is_over(45) {
                most = most.max(scene.processes());
                tries.push((scene.send(), scene.knock(&[7100, 8100, 9100], "web")));
                std::thread::sleep(Duration::from_millis(50));
            }
            (most, tries)
        },
    );
    assert!(sent >= 3 * COMPLETIONS, "{sent} frames are no flood");
    let grown = scene.resident().saturating_sub(before);
    let (datagrams, sequences): (Vec<_>, Vec<_>) = tries.iter().copied().unzip();
    let [datagrams, sequences] =
        [datagrams, sequences].map(|times| times.into_iter().flatten().collect::<Vec<_>>());
    let shut_out = tries.len() * 2 - datagrams.len() - sequences.len();
    assert!(
        shut_out <= 1,
        "{shut_out} of {} knocks at other doors:\n{}",
        tries.len() * 2,
        scene.daemon.said()
    );
    let (middle, worst) = middle_and_worst(datagrams);
    let (other, _) = middle_and_worst(sequences);
    println!(
        "figure: R9 {} spoofed completions: {processes} processes at most, {} KiB more, \
         a datagram's door opens in {} ms (p95 {} ms, at rest {} ms), another command's in {} ms",
        sent / 3,
        grown / 1024,
        middle.as_millis(),
        worst.as_millis(),
        worst_at_rest.as_millis(),
        other.as_millis()
    );
    // Monitor, worker, closer; 16 start commands of one door, and what the other doors run.
    assert!(processes <= 3 + 16 + 4, "{processes} processes");
    assert!(grown <= 10 * MEGABYTE, "{grown} bytes more");
    // On a machine that is slow for everybody, no more than some times as slow.
    let bound = (Duration::from_millis(200) * SLOWER).max(worst_at_rest * 5);
    assert!(worst < bound, "p95 {worst:?}, at rest {worst_at_rest:?}");
    let said = scene.daemon.said();
    assert!(said.contains("why=queue-full") && said.contains("refusals-left-out lines="), "{said}");
    assert!(said.lines().filter(|line| line.starts_with("refused ")).count() < 100, "limited");
}

/// R9: one source completes the sequence of a door a thousand times in five seconds; from the first time on it is open.
#[test]
fn r9_who_renews_without_end_costs_few_lines() {
    let Some(scene) = scene() else { return };
    let source = Ipv4Addr::new(11, 9, 9, 9);
    let frame = |number: u64| {
        let port = [7200, 8200, 9200][usize::try_from(number % 3).expect("small")];
        let sequence = u32::try_from(number % (1 << 31)).expect("small");
        Frame::tcp(source, 40_000, SERVER, port).flags(flag::SYN).sequence(sequence)
    };
    let completed =
        || status(scene.dir.path())["packets"]["sequences"]["completed"].as_u64().unwrap_or_default();
    let begun = Instant::now();
    let enough = 1000 / u64::from(SLOWER);
    let (_, (enough, other)) = scene.flooded(600 / SLOWER, frame, || {
        let enough = until(Duration::from_secs(40), || completed() >= enough);
        // Where the daemon does not keep up, a knock waits behind the others, or is among what is lost.
        let opens = || {
            scene.knock(&[7100, 8100, 9100], "web").is_some() || scene.events("opened door=web address=") > 0
        };
        (enough, until(Duration::from_secs(15), opens))
    });
    assert!(enough.is_some() && other.is_some(), "{} completed:\n{}", completed(), scene.daemon.said());
    asked(scene.dir.path(), &["close", &source.to_string()]);
    // What was written, and what was left out, at a moment when the log has told all of it.
    let mut seen = None;
    until(Duration::from_secs(10), || {
        let (said, status) = (scene.daemon.said(), status(scene.dir.path()));
        let left_out = status["log"]["left-out"]["repeats"].as_u64().expect("a number");
        seen = Some((said, left_out, status["leases"]["renewed"].as_u64().expect("a number")));
        seen.as_ref().is_some_and(|(said, ..)| sum(said, "repeats-left-out lines=") == left_out)
    });
    let (said, left_out, all) = seen.expect("looked at");
    let begins = |begin: &str| said.lines().filter(|line| line.starts_with(begin)).count() as u64;
    let lines = begins(&format!("renewed door=ssh address={source} "));
    let counts = begins("repeats-left-out ");
    println!("figure: R9 {all} renewals by one source: {lines} lines, {left_out} counted in {counts}");
    assert_eq!(sum(&said, "repeats-left-out lines="), left_out, "{said}");
    let seconds = begun.elapsed().as_secs() + 1;
    assert!(lines <= 50 + seconds && counts <= seconds, "{lines} lines, {counts} counts in {seconds} s");
    // A renewal in the same moment as the one before makes nothing longer, and is no event.
    assert!(lines > 0 && lines + left_out <= all, "{lines} lines and {left_out} of {all}");
    // The first line and the last are not among what is left out.
    for line in [format!("opened door=ssh address={source} "), format!("closed door=ssh address={source} ")] {
        assert!(begins(&line) > 0, "{line} is not in\n{said}");
    }
}

/// The sum of what follows this at the beginning of a line.
fn sum(said: &str, begin: &str) -> u64 {
    said.lines().filter_map(|line| line.strip_prefix(begin)?.parse::<u64>().ok()).sum()
}

/// R12: noise of a datagram's length on the datagrams' port, at two rates.
///
/// A machine that cannot send as fast is asked for four fifths of half of what it can, measured just before and after.
#[test]
fn r12_noise_on_the_port_of_datagrams_keeps_nobody_out() {
    let Some(scene) = scene() else { return };
    scene.send().expect("opens at rest");
    let mut possible = scene.possible_rate(noise);
    let mut figures = Vec::new();
    for (wanted, least) in [(20_000 / SLOWER, 19), (100_000 / SLOWER, 18)] {
        // What the measurement has left is out of the way.
        assert!(
            until(Duration::from_secs(10), || scene.send().is_some()).is_some(),
            "{}",
            scene.daemon.said()
        );
        let begun = Instant::now();
        let (sent, times) = scene.flooded(wanted, noise, || {
            // A device has 40 datagrams at once, and two a second.
            let knock = |number: u32| {
                let due = begun + Duration::from_millis(150) * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                scene.send()
            };
            (0..20).map(knock).collect::<Vec<_>>()
        });
        let rate = rate(sent, begun);
        let accepted = times.iter().flatten().count();
        let after = scene.possible_rate(noise);
        let (line, before) = (u64::from(wanted).min(possible.min(after) / 2), possible);
        let what =
            format!("noise at {rate} of {wanted} datagrams/s, where {before} and then {after} were possible");
        assert!(rate * 5 >= line * 4, "the flood was none: {what}");
        assert!(accepted >= least, "{accepted} of 20 accepted, {what}:\n{}", scene.daemon.said());
        figures.push((rate, accepted));
        possible = after;
    }
    let [(slow, of_slow), (fast, of_fast)] = figures[..] else { panic!("two rates") };
    println!(
        "figure: R12 noise at {slow} and {fast} datagrams/s, where {possible} were possible: {of_slow} and {of_fast} of 20 real ones accepted"
    );
}

/// As long as a datagram, and nobody's.
fn noise(number: u64) -> Frame {
    let source = Ipv4Addr::from(0x0b00_0001 + u32::try_from(number % 65_536).expect("small"));
    let mut payload = [0x5a; 160];
    payload[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    Frame::udp(source, 40_000, SERVER, SPA_PORT).payload(&payload)
}

/// So many a second, since then.
fn rate(sent: u64, begun: Instant) -> u64 {
    sent * 1000 / u64::try_from(begun.elapsed().as_millis().max(1)).expect("not that long")
}

fn address(last: u16) -> IpAddr {
    let [third, fourth] = last.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 9, third, fourth))
}

/// Frames of a whole sequence from this address.
fn knock_frames(source: IpAddr, ports: &[u16], number: u32) -> Vec<Frame> {
    let frame = |port: &u16| Frame::tcp(source, 41_000, SERVER, *port).flags(flag::SYN).sequence(number);
    ports.iter().map(frame).collect()
}

#[test]
fn frames_of_a_flood_are_frames() {
    let bytes = syn(7, &[7000, 8000]).bytes(Link::Ethernet);
    assert!(bytes.len() > 50);
    assert_eq!(knock_frames(address(0x0102), &[1, 2, 3], 9).len(), 3);
}
