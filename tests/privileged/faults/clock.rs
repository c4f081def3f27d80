//! The server's wall clock is set under open doors (hazard R4), and is wrong when the replay store is lost (R26).

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt as _;

use aldaba_spa::{Operation, Timestamp};
use aldaba_tests::hosts::CLIENT;
use aldaba_tests::{Device, device, until};
use aldabad::fault::CLOCK;
use rustix::process::Signal;

use super::{Duration, Instant, KNOCK, Path, Scene, config, each, start};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const PORT: u16 = 42731;
const LEASE: Duration = Duration::from_secs(5);
/// How far from its deadline a lease may end.
const LINE: Duration = Duration::from_millis(500);
/// Who knocks by datagram.
const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 9, 4, 1);

/// A wall clock that the daemon goes by.
struct Clock(tempfile::NamedTempFile);

impl Clock {
    fn new(says: &str) -> Self {
        let clock = Self(tempfile::NamedTempFile::new_in("/dev/shm").expect("a file"));
        clock.set(says);
        clock
    }

    /// In one write and never shorter, so that it can be read at any moment.
    fn set(&self, says: &str) {
        let file = File::options().write(true).open(self.0.path()).expect("the file");
        file.write_all_at(format!("{says:<30}\n").as_bytes(), 0).expect("written");
    }

    fn wish(&self) -> String {
        format!("{CLOCK}={}", self.0.path().display())
    }
}

/// The time of a clock that is so far ahead.
fn ahead(seconds: i64) -> Timestamp {
    Timestamp(device::now().0.checked_add_signed(seconds * 1_000_000).expect("a time"))
}

/// A door by command and one by element, each for sequences and datagrams.
fn both_doors(dir: &Path) -> String {
    let doors = config(dir).replace("lease = \"1s\"", "lease = \"5s\"\nspa = true");
    format!("{doors}\n[spa]\nport = {PORT}\ntrust-clock = true\n")
}

/// The server's keys and replay store beside it, for this device.
fn with_device(alice: &Device, config: impl FnOnce(&Path) -> String) -> impl FnOnce(&Path) -> String {
    |dir| {
        device::write_server(dir, &alice.line("", "alice"));
        aldabad::monitor::make_store(&dir.join("state")).expect("as init makes it");
        config(dir)
    }
}

impl Scene {
    fn count(&self, word: &str) -> usize {
        self.daemon.said().lines().filter(|line| line.starts_with(word)).count()
    }

    /// Sends this, and waits until so many more lines of the log begin with this word.
    fn answers(&self, datagram: &[u8], word: &str) {
        let before = self.count(word);
        device::send(&self.hosts, DEVICE.into(), PORT, datagram);
        self.daemon.wait_until(word, |_| self.count(word) > before);
    }

    /// Waits for a step of the clock to be told, the `times`th.
    fn stepped(&self, direction: &str, times: usize) {
        self.daemon.wait_for(&format!("clock-stepped direction={direction} by="));
        assert_eq!(self.count("clock-stepped"), times, "{}", self.daemon.said());
    }
}

/// By an hour forth and back, and back and forth.
pub(super) fn r4_a_step_of_the_clock_moves_no_deadline() {
    let worst = each(&[HOUR, -HOUR], |by| {
        // A busy machine may be late with anything: one of three times it is not.
        let late = (0..3).map(|_| step_scene(by)).find(|late| *late <= LINE);
        late.unwrap_or_else(|| {
            panic!("three times a lease of {LEASE:?} ended more than {LINE:?} from its deadline")
        })
    });
    println!(
        "figure: R4 leases of {} s ended at most {} ms from their deadline over steps of the clock by an hour, and no datagram was taken twice",
        LEASE.as_secs(),
        worst.as_millis()
    );
}

/// The clock steps under leases of both actions, by sequence and by datagram, and back when they have ended. How far from its
/// deadline one ended, at most.
fn step_scene(by: i64) -> Duration {
    let (alice, clock) = (Device::new(1), Clock::new("0"));
    let mut scene = Scene::new(with_device(&alice, both_doors), &clock.wish());
    scene.hosts.add_client(DEVICE);
    let opened = open_both_ways(&scene, &alice);
    clock.set(&by.to_string());
    let (first, second) = if by > 0 { ("forward", "back") } else { ("back", "forward") };
    scene.stepped(first, 1);
    let used: Vec<&[u8]> = opened.iter().filter_map(|lease| lease.datagram.as_deref()).collect();
    for datagram in &used {
        scene.answers(datagram, "rejected ");
    }
    let worst = wait_for_their_ends(&scene, &opened);
    assert!(!scene.has_file() && !scene.has_element(), "{}", scene.daemon.said());
    // A clock that was set forward and back is the way to make old times new again.
    let (later, _) = alice.seal_at(Operation::Hello, ahead(by));
    if by > 0 {
        scene.answers(&later, "hello ");
    }
    clock.set("0");
    scene.stepped(second, 2);
    for again in [false, true] {
        if again {
            // What is known of them in memory is not what counts.
            scene.daemon.kill_everything();
            scene.daemon = start(&scene.hosts, scene.dir.path(), &clock.wish());
        }
        for datagram in used.iter().copied().chain([&later[..]]) {
            scene.answers(datagram, "rejected ");
        }
    }
    assert_eq!(scene.count("admitted "), 2, "{}", scene.daemon.said());
    worst
}

/// An open door.
struct Opened {
    door: &'static str,
    address: Ipv4Addr,
    /// What opened it, if it was a datagram.
    datagram: Option<Vec<u8>>,
    /// When it was knocked for: a moment before it opened.
    knocked: Instant,
}

fn open_both_ways(scene: &Scene, alice: &Device) -> Vec<Opened> {
    let one = |door, address, by: &dyn Fn() -> Option<Vec<u8>>| {
        let knocked = Instant::now();
        let datagram = by();
        scene.daemon.wait_for(&format!("opened door={door} address={address} "));
        Opened { door, address, datagram, knocked }
    };
    let sequence = |ports: &[u16]| {
        scene.hosts.knock(ports);
        None
    };
    let datagram = |door| {
        let (datagram, _) = alice.seal(device::open(door, None));
        device::send(&scene.hosts, DEVICE.into(), PORT, &datagram);
        Some(datagram)
    };
    vec![
        one("web", CLIENT, &|| sequence(&KNOCK)),
        one("ssh", CLIENT, &|| sequence(&[7001, 8001, 9001])),
        one("web", DEVICE, &|| datagram("web")),
        one("ssh", DEVICE, &|| datagram("ssh")),
    ]
}

/// How far from its deadline one ended, at most.
fn wait_for_their_ends(scene: &Scene, opened: &[Opened]) -> Duration {
    let (mut open, mut worst): (Vec<&Opened>, _) = (opened.iter().collect(), Duration::ZERO);
    let all = until(LEASE * 2, || {
        let said = scene.daemon.said();
        open.retain(|Opened { door, address, knocked, .. }| {
            let ended = said.contains(&format!("closed door={door} address={address} why=expired"));
            if ended {
                let early = LEASE.saturating_sub(knocked.elapsed());
                assert!(early < LINE, "{door} for {address} {early:?} early:\n{said}");
                worst = worst.max(early).max(knocked.elapsed().saturating_sub(LEASE));
            }
            !ended
        });
        open.is_empty()
    });
    assert!(all.is_some(), "{} still open:\n{}", open.len(), scene.daemon.said());
    worst
}

/// The store is lost while the clock is a day behind, and what was captured that day comes again: until somebody vouches for
/// the clock nobody gets in, and then nothing of before.
pub(super) fn a_lost_store_stays_closed_while_the_clock_may_be_wrong() {
    each(&[true, false], |administrator| {
        let trusting = "trust-clock = true\n";
        let config = format!(
            "interfaces = [\"srv0\"]\n[[door]]\nname = \"ssh\"\nspa = true\nports = [\"2222/tcp\"]\n\
             [spa]\nport = {PORT}\nfuture = \"5s\"\n"
        );
        let (alice, clock) = (Device::new(1), Clock::new(&format!("{} synchronised", -DAY)));
        let mut scene = Scene::new(with_device(&alice, |_| config.clone()), &clock.wish());
        scene.hosts.add_client(DEVICE);
        let hello = |ahead_by| alice.seal_at(Operation::Hello, ahead(ahead_by)).0;
        let captured = hello(-DAY);
        scene.answers(&captured, "hello ");
        scene.daemon.kill_everything();
        std::fs::remove_file(scene.dir.path().join("state/replay.redb")).expect("removed");
        clock.set(&format!("{} doubtful", -DAY));
        for told in ["until it is synchronised", "is new (it was lost before) and the clock may be wrong"] {
            scene.daemon = start(&scene.hosts, scene.dir.path(), &clock.wish());
            scene.daemon.wait_for(told);
            scene.answers(&captured, "rejected device=alice address=10.9.4.1");
            scene.daemon.kill_everything();
        }
        assert_eq!(scene.daemon.said().matches("why=store").count(), 2, "{}", scene.daemon.said());
        scene.daemon = start(&scene.hosts, scene.dir.path(), &clock.wish());
        // The administrator says that it is right as it is; or it is set right, and the kernel says so.
        let by = if administrator {
            std::fs::write(scene.dir.path().join("aldaba.toml"), config + trusting).expect("written");
            scene.daemon.signal(Signal::HUP);
            -DAY
        } else {
            clock.set("0 synchronised");
            0
        };
        scene.daemon.wait_for("replay-store-new why=\"it was lost before\" refusing-for=5s");
        scene.answers(&hello(by), "rejected ");
        assert!(scene.daemon.said().contains("why=guard"), "{}", scene.daemon.said());
        std::thread::sleep(Duration::from_millis(5100));
        scene.answers(&hello(by), "hello ");
        scene.answers(&captured, "rejected ");
        assert_eq!(scene.count("hello "), 2, "{}", scene.daemon.said());
        Duration::ZERO
    });
}
