//! The daemon killed at every point of a lease's life (hazard R1), a store that fails (R3) and a wall clock that is set (R4):
//! this very program, built with the points of `aldabad::fault`, starts itself as the daemon. What is released has none of them.
//!
//! No test harness: the daemon starts its worker and closer from its own program, so this is all of them, and the tests.
#![expect(clippy::disallowed_methods, reason = "starts itself as the daemon; real daemons take real time")]

#[path = "faults/clock.rs"]
mod clock;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aldaba_spa::{DoorTag, Operation};
use aldaba_tests::{Device, Hosts, Program, cannot_run, degraded, device, until};
use aldabad::fault::{Point, VARIABLE};
use aldabad::role::Role;

/// Scenes at a time: they mostly wait.
const AT_ONCE: usize = 10;
const LEASE: Duration = Duration::from_secs(1);
const KNOCK: [u16; 3] = [7000, 8000, 9000];
/// Of datagrams.
const PORT: u16 = 42731;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if Role::of(&arguments).is_some() || arguments.get(1).is_some_and(|word| word == "run") {
        return aldabad::main_as_aldabad();
    }
    let words: Vec<String> =
        arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let tests: [(&str, fn()); 12] = [
        ("each_point_is_used_by_a_test", each_point_is_used_by_a_test),
        ("r1_killed_at_any_point_of_a_command_lease", r1_killed_at_any_point_of_a_command_lease),
        (
            "r1_a_command_that_nobody_saw_begin_is_waited_for",
            r1_a_command_that_nobody_saw_begin_is_waited_for,
        ),
        ("r1_killed_at_any_point_of_an_element_lease", r1_killed_at_any_point_of_an_element_lease),
        ("r1_killed_while_an_element_is_taken_out", r1_killed_while_an_element_is_taken_out),
        ("r3_a_journal_that_fails_opens_nothing", r3_a_journal_that_fails_opens_nothing),
        ("r3_lines_of_the_log_that_fail_are_counted", r3_lines_of_the_log_that_fail_are_counted),
        ("r3_a_commit_that_fails_admits_nobody", r3_a_commit_that_fails_admits_nobody),
        (
            "r7_without_notices_the_firewall_is_looked_at_again_and_again",
            r7_without_notices_the_firewall_is_looked_at_again_and_again,
        ),
        (
            "r12_a_socket_that_cannot_be_read_is_left_alone_for_a_while",
            r12_a_socket_that_cannot_be_read_is_left_alone_for_a_while,
        ),
        ("r4_a_step_of_the_clock_moves_no_deadline", clock::r4_a_step_of_the_clock_moves_no_deadline),
        (
            "a_lost_store_stays_closed_while_the_clock_may_be_wrong",
            clock::a_lost_store_stays_closed_while_the_clock_may_be_wrong,
        ),
    ];
    let wanted =
        |name: &str| words.iter().filter(|word| !word.starts_with('-')).all(|word| name.contains(word));
    let list = words.iter().any(|word| word == "--list");
    let mut passed = 0;
    for (name, test) in tests.into_iter().filter(|(name, _)| wanted(name)) {
        if list {
            println!("{name}: test");
        } else if cannot_run().is_none() {
            test();
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    if !list {
        println!("test result: ok. {passed} passed; 0 failed");
    }
    ExitCode::SUCCESS
}

/// A daemon with a fault, on hosts of its own.
struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

/// A door by command, one by element.
fn config(dir: &Path) -> String {
    let file = dir.join("open-{ip}");
    let file = file.display();
    format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"7000,8000,9000\"\nlease = \"1s\"\n\
         close-sequence = \"9100,8100\"\n\
         start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"-f\", \"{file}\"]\n\
         [[door]]\nname = \"ssh\"\nsequence = \"7001,8001,9001\"\nclose-sequence = \"9101,8101\"\nlease = \"1s\"\n\
         ports = [\"2222/tcp\"]\n"
    )
}

/// The same doors, for a device too.
fn by_both(dir: &Path, alice: &Device) -> String {
    device::write_server(dir, &alice.line("", "alice"));
    aldabad::monitor::make_store(&dir.join("state")).expect("as init makes it");
    let doors = config(dir).replace("sequence = \"700", "spa = true\nsequence = \"700");
    format!("{doors}[spa]\nport = {PORT}\ntrust-clock = true\n")
}

/// Opens a door or closes it again, by its sequence or by a datagram.
fn knock(hosts: &Hosts, alice: &Device, operation: Operation, sequence: &[u16], by_datagram: bool) {
    if by_datagram {
        device::post(hosts, aldaba_tests::hosts::CLIENT.into(), PORT, &alice.seal(operation).0);
    } else {
        hosts.knock(sequence);
    }
}

fn start(hosts: &Hosts, dir: &Path, faults: &str) -> Program {
    let this = std::env::current_exe().expect("this program");
    let (config, state, control) = (dir.join("aldaba.toml"), dir.join("state"), dir.join("control.sock"));
    let output = dir.join("output");
    let text = |path: &Path| path.to_str().expect("plain").to_owned();
    let wish = format!("{VARIABLE}={faults}");
    let words = ["env".to_owned(), wish, text(&this), "run".to_owned()].into_iter();
    let options = [("--config", config), ("--state-dir", state), ("--control", control)];
    let words: Vec<String> =
        words.chain(options.iter().flat_map(|(name, path)| [(*name).to_owned(), text(path)])).collect();
    let before = std::fs::read_to_string(&output).unwrap_or_default().matches("started version=").count();
    let program = Program::start(hosts, &words.iter().map(String::as_str).collect::<Vec<_>>(), &output);
    program.wait_until("it starts", |said| said.matches("started version=").count() > before);
    program
}

impl Scene {
    fn new(config: impl FnOnce(&Path) -> String, faults: &str) -> Self {
        let hosts = Hosts::new();
        // In memory: what is killed here are processes, and a busy disk would measure itself.
        let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
        std::fs::write(dir.path().join("aldaba.toml"), config(dir.path())).expect("written");
        let daemon = start(&hosts, dir.path(), faults);
        Self { hosts, dir, daemon }
    }

    fn again(&mut self) {
        self.daemon = start(&self.hosts, self.dir.path(), "");
    }

    fn has_file(&self) -> bool {
        self.dir.path().join("open-10.9.0.2").exists()
    }

    fn has_element(&self) -> bool {
        self.hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]).contains("10.9.0.2")
    }

    /// Waits until this is what `aldabad status` calls degraded.
    fn becomes(&self, wanted: &[&str]) {
        let heard = until(Duration::from_secs(10), || degraded(self.dir.path()) == wanted);
        assert!(heard.is_some(), "{:?}\n{}", degraded(self.dir.path()), self.daemon.said());
    }

    fn closes_within(&self, limit: Duration, is_open: impl Fn() -> bool, point: Point) -> Duration {
        let took = until(limit, || !is_open());
        let said = || format!("{point:?}: still open after {limit:?}:\n{}", self.daemon.said());
        took.unwrap_or_else(|| panic!("{}", said()))
    }
}

/// Each scene one way and the other.
fn both<T: Copy>(scene: T) -> [(T, bool); 2] {
    [(scene, false), (scene, true)]
}

/// Runs these scenes, some at a time.
fn each<T: Copy + Send + Sync>(scenes: &[T], run: impl Fn(T) -> Duration + Sync) -> Duration {
    let mut worst = Duration::ZERO;
    for some in scenes.chunks(AT_ONCE) {
        let took = std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|scene| scope.spawn(|| run(*scene))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Duration>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).max()
        });
        worst = worst.max(took.unwrap_or_default());
    }
    worst
}

fn r1_killed_at_any_point_of_a_command_lease() {
    use Point::{
        AfterPut, AfterRemove, AfterStart, AfterStartEnded, AfterStop, AfterStopEnded, BeforePut,
        BeforeRemove, BeforeStart, BeforeStop,
    };
    let points = [
        BeforePut,
        AfterPut,
        BeforeStart,
        AfterStart,
        AfterStartEnded,
        BeforeStop,
        AfterStop,
        AfterStopEnded,
        BeforeRemove,
        AfterRemove,
    ];
    // By datagram everything at one point, and the monitor alone at the next.
    let by_datagram = points.into_iter().zip([false, true].into_iter().cycle());
    let scenes: Vec<(Point, bool, bool)> = points
        .into_iter()
        .flat_map(|point| [(point, false, false), (point, true, false)])
        .chain(by_datagram.map(|(point, everything)| (point, everything, true)))
        .collect();
    let worst =
        each(&scenes, |(point, everything, by_datagram)| command_scene(point, everything, by_datagram));
    println!(
        "figure: R1 killed at {} points of a command lease, everything or the monitor alone: closed {} ms late at most",
        points.len(),
        worst.as_millis()
    );
}

/// Stops the daemon at this point and kills it there: everything, and it starts again after the deadline; or the monitor
/// alone, and nobody starts it. How late the door was closed.
fn command_scene(point: Point, everything: bool, by_datagram: bool) -> Duration {
    let alice = Device::new(1);
    let mut scene = Scene::new(|dir| by_both(dir, &alice), &format!("{}=hang", point.name()));
    let knock = |scene: &Scene| knock(&scene.hosts, &alice, device::open("web", None), &KNOCK, by_datagram);
    knock(&scene);
    let knocked = Instant::now();
    scene.daemon.wait_for(&format!("fault: hangs at {}", point.name()));
    let late = if everything {
        scene.daemon.kill_everything();
        std::thread::sleep((LEASE + Duration::from_millis(200)).saturating_sub(knocked.elapsed()));
        scene.again();
        scene.closes_within(Duration::from_secs(1), || scene.has_file(), point)
    } else {
        scene.daemon.kill_alone();
        // A lease begins when its start command is handed out, so this is its deadline at the latest.
        let deadline = knocked + LEASE;
        let now = Instant::now();
        let limit = deadline.saturating_duration_since(now) + Duration::from_secs(1);
        // What a killed daemon had just begun needs its moment.
        std::thread::sleep(limit.saturating_sub(Duration::from_millis(900)).min(LEASE));
        scene.closes_within(limit, || scene.has_file(), point);
        Instant::now().saturating_duration_since(deadline)
    };
    if !everything {
        scene.again();
    }
    // Nothing is opened again later, and nothing is left in the journal.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!scene.has_file(), "{point:?}: opened again:\n{}", scene.daemon.said());
    knock(&scene);
    scene.daemon.wait_until("it works again", |_| scene.has_file());
    assert!(scene.daemon.stop().success());
    assert!(!scene.has_file(), "{point:?}: {}", scene.daemon.said());
    late
}

/// Monitor, worker and closer are killed at the first moment of a command, which takes longer than the lease does: whoever comes
/// next knows of it all the same, and nothing is run beside it.
fn r1_a_command_that_nobody_saw_begin_is_waited_for() {
    each(&[(Point::AfterStart, "start"), (Point::AfterStop, "stop")], |(point, slow)| {
        let mut scene = Scene::new(|dir| one_at_a_time(dir, slow), &format!("{}=hang", point.name()));
        scene.hosts.knock(&KNOCK);
        scene.daemon.wait_for(&format!("fault: hangs at {}", point.name()));
        let roles = scene.daemon.roles();
        scene.daemon.kill_alone();
        for pid in roles {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
        let is_there = |name: &str| scene.dir.path().join(name).exists();
        let begun = until(Duration::from_secs(5), || is_there(slow));
        assert!(begun.is_some(), "{point:?}: the command goes on");
        scene.daemon = start(&scene.hosts, scene.dir.path(), "");
        scene.daemon.wait_for("taken-over door=web");
        assert!(is_there(slow), "{point:?}: the daemon was there before the command ended");
        let closed = until(Duration::from_secs(15), || scene.daemon.said().contains("closed door=web"));
        assert!(closed.is_some(), "{point:?}: not closed:\n{}", scene.daemon.said());
        assert!(!is_there("beside"), "{point:?}: two at a time:\n{}", scene.daemon.said());
        assert!(!is_there("start") && !is_there("stop"), "{point:?}: closed before a command had ended");
        assert!(!scene.has_file(), "{point:?}: open:\n{}", scene.daemon.said());
        assert!(scene.daemon.stop().success());
        Duration::ZERO
    });
}

/// A door whose commands leave word when they run, and of another that runs meanwhile; one of them is slow.
fn one_at_a_time(dir: &Path, slow: &str) -> String {
    let folder = dir.display();
    let command = |part: &str, does: &str| {
        let rest = if part == slow { "sleep 3; " } else { "" };
        let others = "[ -e start ] || [ -e stop ]";
        format!(
            "{part} = [\"/bin/sh\", \"-c\", \"cd {folder}; {others} && touch beside; touch {part}; {rest}{does} open-{{ip}}; rm {part}\"]\n"
        )
    };
    format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"7000,8000,9000\"\nlease = \"1s\"\n{}{}",
        command("start", "touch"),
        command("stop", "rm -f")
    )
}

fn r1_killed_at_any_point_of_an_element_lease() {
    use Point::{AfterElement, AfterPut, BeforeElement, BeforePut, BeforeRemove};
    let points = [BeforeElement, AfterElement, BeforePut, AfterPut, BeforeRemove];
    let scenes: Vec<_> = points.into_iter().flat_map(both).collect();
    let worst = each(&scenes, |(point, by_datagram)| {
        let alice = Device::new(1);
        let mut scene = Scene::new(|dir| by_both(dir, &alice), &format!("{}=hang", point.name()));
        let open = device::open("ssh", None);
        knock(&scene.hosts, &alice, open, &[7001, 8001, 9001], by_datagram);
        let knocked = Instant::now();
        scene.daemon.wait_for(&format!("fault: hangs at {}", point.name()));
        scene.daemon.kill_everything();
        let left = (LEASE + Duration::from_millis(500)).saturating_sub(knocked.elapsed());
        let listener = scene.hosts.listen(2222);
        scene.closes_within(left.max(Duration::from_millis(400)), || scene.hosts.reachable(2222), point);
        let late = knocked.elapsed().saturating_sub(LEASE);
        drop(listener);
        scene.again();
        let gone = until(Duration::from_secs(5), || !scene.has_element());
        assert!(gone.is_some(), "{point:?}: an element is left");
        late
    });
    println!(
        "figure: R1 killed at {} points of an nftables lease: closed {} ms after the deadline at most, without a restart",
        points.len(),
        worst.as_millis()
    );
}

/// Its client closes the door before its time, and nobody lives to tell: without a daemon it is closed at its deadline, and one that
/// is started at once, which finds the record, gives the lease no more time than it had.
fn r1_killed_while_an_element_is_taken_out() {
    const LONGER: Duration = Duration::from_secs(5);
    let points = [Point::BeforeElementDelete, Point::AfterElementDelete];
    let scenes: Vec<_> = points.into_iter().flat_map(both).flat_map(both).collect();
    let worst = each(&scenes, |((point, at_once), by_datagram)| {
        let alice = Device::new(1);
        let longer = |dir: &Path| by_both(dir, &alice).replace("lease = \"1s\"", "lease = \"5s\"");
        let mut scene = Scene::new(longer, &format!("{}=hang", point.name()));
        let open = device::open("ssh", None);
        knock(&scene.hosts, &alice, open, &[7001, 8001, 9001], by_datagram);
        scene.daemon.wait_for("opened door=ssh");
        let opened = Instant::now();
        let close = Operation::Close { door: DoorTag::of("ssh").expect("a tag") };
        knock(&scene.hosts, &alice, close, &[9101, 8101], by_datagram);
        scene.daemon.wait_for(&format!("fault: hangs at {}", point.name()));
        scene.daemon.kill_everything();
        assert!(point != Point::AfterElementDelete || !scene.has_element(), "the kernel has done it");
        if at_once {
            scene.again();
        }
        let listener = scene.hosts.listen(2222);
        let left = (LONGER + Duration::from_secs(2)).saturating_sub(opened.elapsed());
        let limit = left.max(Duration::from_secs(2));
        let is_open = || opened.elapsed() < LONGER || scene.has_element() || scene.hosts.reachable(2222);
        scene.closes_within(limit, is_open, point);
        let late = opened.elapsed().saturating_sub(LONGER);
        drop(listener);
        if !at_once {
            scene.again();
        }
        assert!(!scene.has_element(), "{point:?}: opened again:\n{}", scene.daemon.said());
        scene.hosts.knock(&[7001, 8001, 9001]);
        scene.daemon.wait_until("it works again", |_| scene.has_element());
        assert!(scene.daemon.stop().success());
        late
    });
    println!(
        "figure: R1 killed at {} points of taking an element out: closed {} ms after the deadline at most",
        points.len(),
        worst.as_millis()
    );
}

/// Before a record is durable, and when it is but the journal says it is not; and when one cannot be taken out.
fn r3_a_journal_that_fails_opens_nothing() {
    each(&[Point::BeforePut, Point::AfterPut, Point::BeforeRemove], |point| {
        if point == Point::BeforeRemove {
            return a_journal_that_is_behind_says_so();
        }
        let mut scene = Scene::new(config, &format!("{}=fail*1", point.name()));
        scene.hosts.knock(&KNOCK);
        scene.daemon.wait_for("journal-error");
        scene.daemon.wait_for("refused door=web address=10.9.0.2");
        assert!(!scene.has_file(), "{point:?}: {}", scene.daemon.said());
        // The next one works, without a restart, and ends.
        scene.hosts.knock(&KNOCK);
        scene.daemon.wait_for("opened door=web");
        scene.closes_within(LEASE + Duration::from_secs(1), || scene.has_file(), point);
        assert!(scene.daemon.stop().success());
        Duration::ZERO
    });
}

/// The door is closed, and its record is still there: that is told until it is gone.
fn a_journal_that_is_behind_says_so() -> Duration {
    let scene = Scene::new(config, &format!("{}=fail*1", Point::BeforeRemove.name()));
    scene.hosts.knock(&KNOCK);
    scene.daemon.wait_for("closed door=web");
    scene.becomes(&["journal"]);
    // Other records are written meanwhile.
    scene.hosts.knock(&KNOCK);
    scene.becomes(&["journal-behind"]);
    scene.becomes(&[]);
    Duration::ZERO
}

/// The file takes none of its first four lines.
fn r3_lines_of_the_log_that_fail_are_counted() {
    let with_log =
        |dir: &Path| format!("{}[log]\nfile = \"{}\"\n", config(dir), dir.join("aldaba.log").display());
    let scene = Scene::new(with_log, &format!("{}=fail*4", Point::BeforeLogWrite.name()));
    let file = || std::fs::read_to_string(scene.dir.path().join("aldaba.log")).unwrap_or_default();
    let counted = until(Duration::from_secs(20), || {
        scene.hosts.knock(&KNOCK);
        file().contains("log-lines-lost lines=")
    });
    assert!(counted.is_some(), "{}", scene.daemon.said());
    assert!(scene.daemon.said().contains("opened door=web"), "{}", scene.daemon.said());
    assert_eq!(scene.daemon.said().matches("degraded what=log error=").count(), 1, "said once");
    let text = file();
    let first = text.lines().next().and_then(|line| line.rsplit_once("log-lines-lost lines="));
    let lost: u32 = first.and_then(|(_, number)| number.parse().ok()).expect("a number, in the first line");
    assert!((1..=4).contains(&lost), "{text}");
    scene.becomes(&[]);
}

/// Those of `Point::ALL` that stand in no scene guard nothing.
fn each_point_is_used_by_a_test() {
    let scenes = [include_str!("faults.rs"), include_str!("faults/clock.rs")].concat();
    let words: Vec<&str> = scenes.split(|c: char| !c.is_alphanumeric()).collect();
    for point in Point::ALL {
        let name = format!("{point:?}");
        assert!(words.contains(&name.as_str()), "no scene has {name}");
    }
}

/// They cannot be had at the start, nor two and four seconds later.
fn r7_without_notices_the_firewall_is_looked_at_again_and_again() {
    let scene = Scene::new(config, &format!("{}=fail*3", Point::BeforeWatch.name()));
    scene.becomes(&["firewall-watch"]);
    scene.hosts.on_server(&["nft", "delete", "table", "inet", "aldaba"]);
    let guarded = || scene.hosts.on_server(&["nft", "list", "tables"]).contains("inet aldaba");
    assert!(until(Duration::from_secs(10), guarded).is_some(), "{}", scene.daemon.said());
    scene.becomes(&[]);
    assert_eq!(scene.daemon.said().matches("degraded what=firewall-watch").count(), 1, "said once");
}

/// The worker gives it up after 16 errors in a row, twice; then it waits a second, and 8 more are none of anybody's business.
fn r12_a_socket_that_cannot_be_read_is_left_alone_for_a_while() {
    const LISTEN: &str = "interfaces = [\"srv0\"]\n[spa]\nport = 42731\ntrust-clock = true\nreceive = \"listen\"\n\
        [[door]]\nname = \"ssh\"\nspa = true\nports = [\"2222/tcp\"]\nlease = \"2s\"\n";
    let alice = Device::new(1);
    let prepare = |dir: &Path| {
        device::write_server(dir, &alice.line("", "alice"));
        aldabad::monitor::make_store(&dir.join("state")).expect("as init makes it");
        LISTEN.to_owned()
    };
    let scene = Scene::new(prepare, &format!("{}=fail*40", Point::BeforeReceive.name()));
    scene.daemon.wait_for(
        "degraded what=spa-port error=\"UDP port 42731: reading it has stopped 2 times; read again in 1s\"",
    );
    scene.becomes(&[]);
    let (datagram, _) = alice.seal(device::open("ssh", None));
    device::send(&scene.hosts, aldaba_tests::hosts::CLIENT.into(), 42731, &datagram);
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    assert_eq!(scene.daemon.said().matches("degraded what=").count(), 1, "{}", scene.daemon.said());
}

/// Before the replay record is durable, and when it is but the store says it is not.
fn r3_a_commit_that_fails_admits_nobody() {
    const SPA: &str = "interfaces = [\"srv0\"]\n[spa]\nport = 42731\ntrust-clock = true\n\
        [[door]]\nname = \"ssh\"\nspa = true\nports = [\"2222/tcp\"]\nlease = \"2s\"\n";
    each(&[Point::BeforeCommit, Point::AfterCommit], |point| {
        let alice = Device::new(1);
        let prepare = |dir: &Path| {
            device::write_server(dir, &alice.line("", "alice"));
            aldabad::monitor::make_store(&dir.join("state")).expect("as init makes it");
            SPA.to_owned()
        };
        let scene = Scene::new(prepare, &format!("{}=fail*1", point.name()));
        let knock = || {
            let (datagram, _) = alice.seal(device::open("ssh", None));
            device::send(&scene.hosts, aldaba_tests::hosts::CLIENT.into(), 42731, &datagram);
            datagram
        };
        let refused = knock();
        scene.daemon.wait_for("why=store");
        knock();
        scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
        device::send(&scene.hosts, aldaba_tests::hosts::CLIENT.into(), 42731, &refused);
        scene.daemon.wait_for("why=repeated");
        assert_eq!(scene.daemon.said().matches("opened door").count(), 1, "{}", scene.daemon.said());
        Duration::ZERO
    });
}
