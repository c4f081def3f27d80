//! Leases end at their time although nobody of the daemon's is left: `aldabad reap` (hazards R1 and R2 of docs/reliability.md).
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "real daemons take real time, every wait is bounded; tests fail by panicking"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, until};
use rustix::process::{Signal, kill_process};

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

/// Doors whose commands make and remove a file named after the door.
fn scene(doors: &[(&str, u16, &str)]) -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let door = |(name, port, lease): &(&str, u16, &str)| {
        let file = dir.path().join(name).display().to_string();
        format!(
            "[[door]]\nname = \"{name}\"\nsequence = \"{port},{}\"\nlease = \"{lease}\"\n\
             start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"{file}\"]\n",
            port + 1
        )
    };
    let doors: String = doors.iter().map(door).collect::<Vec<_>>().concat();
    let config = format!("interfaces = [\"srv0\"]\n{doors}");
    // A service manager that writes down what it is asked for.
    let fake = dir.path().join("systemd-run");
    std::fs::write(&fake, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}/armed\n", dir.path().display()))
        .unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = Program::aldabad_with(&hosts, dir.path(), &config, &["--keep"]);
    Some(Scene { hosts, dir, daemon })
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, door: &str, port: u16) -> Instant {
        self.hosts.knock(&[port, port + 1]);
        assert!(
            until(Duration::from_secs(3), || self.path(door).exists()).is_some(),
            "{}",
            self.daemon.said()
        );
        self.daemon.wait_for(&format!("opened door={door}"));
        Instant::now()
    }

    fn reap(&self, more: &[&str]) -> Output {
        let state = self.path("state");
        let words = ["reap", "--state-dir", state.to_str().unwrap()];
        Command::new(binary("aldabad")).args(words).args(more).output().unwrap()
    }

    fn reap_with_timer(&self) -> Output {
        let fake = self.path("systemd-run");
        self.reap(&["--timer", fake.to_str().unwrap()])
    }

    fn armed(&self) -> Option<Vec<String>> {
        let words = std::fs::read_to_string(self.path("armed")).ok()?;
        Some(words.lines().map(str::to_owned).collect())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// R1: everything is killed, the closer too, and no daemon comes back.
#[test]
fn r1_without_any_daemon_the_timer_closes_each_door_at_its_time() {
    let doors = [("short", 7000, "3s"), ("long", 7100, "7s")];
    let Some(mut scene) = scene(&doors) else { return };
    let opened = scene.open("long", 7100);
    scene.open("short", 7000);
    scene.daemon.kill_everything();
    std::thread::sleep(Duration::from_millis(3100));
    let output = scene.reap_with_timer();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("closed door=short address=10.9.0.2 why=overdue"), "{}", said(&output));
    assert!(!scene.path("short").exists() && scene.path("long").exists(), "{}", said(&output));
    // The timer is armed for the other one's deadline, with the words that close it.
    let armed = scene.armed().expect("a timer");
    let active = armed.iter().find_map(|word| word.strip_prefix("--on-active=")?.strip_suffix("ms"));
    let pause = Duration::from_millis(active.unwrap().parse().unwrap());
    let deadline = opened + Duration::from_secs(7);
    let fires = Instant::now() + pause;
    let off = fires.max(deadline) - fires.min(deadline);
    assert!(off < Duration::from_millis(700), "off by {off:?}");
    std::fs::remove_file(scene.path("armed")).unwrap();
    std::thread::sleep(pause);
    let end = armed.iter().position(|word| word == "--").unwrap();
    let again = Command::new(&armed[end + 1]).args(&armed[end + 2..]).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
    assert!(!scene.path("long").exists());
    println!("figure: R1 without any daemon closed {} ms after its deadline", deadline.elapsed().as_millis());
    let nothing = scene.reap_with_timer();
    assert!(nothing.status.success() && scene.armed().is_none(), "nothing is left: {}", said(&nothing));
}

/// R1: the same without a service manager. A busy machine may be late with anything: one of three times it is not, or no later than
/// some times what it takes there to find that nothing is left.
#[test]
fn r1_reap_waits_itself_where_it_is_told_to() {
    if cannot_run().is_some() {
        return;
    }
    let is_in_time = |(late, to_find_nothing): &(Duration, Duration)| {
        *late < Duration::from_secs(1).max(*to_find_nothing * 5)
    };
    let mut seen = Vec::new();
    while !seen.last().is_some_and(is_in_time) {
        assert!(seen.len() < 3, "late, and how long nothing takes: {seen:?}");
        seen.push(late_by_reap());
    }
}

/// How late a door is closed by a command that waits, and how long that command takes where nothing is left to close.
fn late_by_reap() -> (Duration, Duration) {
    let lease = Duration::from_secs(4);
    let mut scene = scene(&[("web", 7000, "4s")]).unwrap();
    let knocked = Instant::now();
    let opened = scene.open("web", 7000);
    assert!(scene.daemon.stop().success());
    assert!(scene.path("web").exists() || knocked.elapsed() > lease, "kept");
    let output = scene.reap(&["--wait"]);
    let late = opened.elapsed().saturating_sub(lease);
    assert!(output.status.success() && !scene.path("web").exists(), "{}", said(&output));
    assert!(knocked.elapsed() + Duration::from_millis(50) > lease, "before its time");
    let begun = Instant::now();
    let nothing = scene.reap(&["--wait"]);
    assert!(nothing.status.success(), "{}", said(&nothing));
    (late, begun.elapsed())
}

/// Whoever runs a stop command gives it what the daemon would have, and no more.
#[test]
fn r23_stop_commands_have_the_same_capabilities_whoever_runs_them() {
    let heads = ["capabilities = [\"chown\", \"net_admin\"]", "capabilities = \"all\""];
    let root = own_capabilities();
    for (head, set) in heads.into_iter().zip([0x1001, root]) {
        let Some(mut scene) = scene(&[("other", 6400, "60s")]) else { return };
        assert!(scene.daemon.stop().success());
        let door = |name: &str, port: u16, lease: &str| {
            let file = |part: &str| scene.path(&format!("{name}-{part}")).display().to_string();
            let command = |part| format!("[\"/bin/cp\", \"/proc/self/status\", \"{}\"]", file(part));
            format!(
                "[[door]]\nname = \"{name}\"\nsequence = \"{port},{}\"\nlease = \"{lease}\"\nstart = {}\nstop = {}\n",
                port + 1,
                command("start"),
                command("stop")
            )
        };
        let doors = [door("soon", 7000, "2s"), door("late", 7100, "1h")].concat();
        let config = format!("interfaces = [\"srv0\"]\n{head}\n{doors}");
        let mut daemon = Program::aldabad_with(&scene.hosts, scene.dir.path(), &config, &["--keep"]);
        for (name, port) in [("soon", 7000), ("late", 7100)] {
            scene.hosts.knock(&[port, port + 1]);
            daemon.wait_for(&format!("opened door={name}"));
        }
        daemon.kill_alone();
        let closed =
            || std::fs::read_to_string(scene.path("soon-stop")).is_ok_and(|may| may.contains("CapAmb"));
        assert!(until(Duration::from_secs(10), closed).is_some(), "the closer has not: {}", daemon.said());
        let output = scene.reap(&["--now", "--timer", "/bin/false"]);
        assert!(output.status.success(), "{}", said(&output));
        for part in ["soon-start", "soon-stop", "late-start", "late-stop"] {
            let status = std::fs::read_to_string(scene.path(part)).unwrap();
            assert_eq!(capabilities(&status), set, "{head} {part}: {status}");
        }
    }
}

fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t"));
    u64::from_str_radix(line.unwrap(), 16).unwrap()
}

fn own_capabilities() -> u64 {
    capabilities(&std::fs::read_to_string("/proc/self/status").unwrap())
}

/// Before the program is removed, and with it whoever could close a door later.
#[test]
fn reap_closes_everything_now_where_it_is_told_to() {
    let Some(mut scene) = scene(&[("web", 7000, "60s"), ("long", 7100, "1h")]) else { return };
    scene.open("web", 7000);
    scene.open("long", 7100);
    let output = scene.reap(&["--now", "--timer", "/bin/false"]);
    assert!(output.status.success() && scene.path("web").exists(), "a daemon runs: {}", said(&output));
    assert!(scene.daemon.stop().success());
    let output = scene.reap(&["--now", "--timer", "/bin/false"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!scene.path("web").exists() && !scene.path("long").exists(), "{}", said(&output));
}

/// R2: a daemon that runs again owns its leases.
#[test]
fn r2_reap_leaves_the_leases_of_a_daemon_alone() {
    let Some(scene) = scene(&[("web", 7000, "60s")]) else { return };
    scene.open("web", 7000);
    let output = scene.reap_with_timer();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("has these leases"), "{}", said(&output));
    let output = scene.reap(&["--quiet", "--timer", "/bin/false"]);
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    assert!(scene.path("web").exists() && scene.armed().is_none());
}

#[test]
fn what_cannot_be_closed_or_armed_is_said_and_kept() {
    let Some(mut scene) = scene(&[("web", 7000, "3s")]) else { return };
    scene.open("web", 7000);
    scene.daemon.kill_everything();
    let output = scene.reap(&["--timer", "/bin/false"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("help: run aldabad reap --wait"), "{}", said(&output));
    // The stop command fails: somebody has put a folder in the file's place.
    std::thread::sleep(Duration::from_millis(3100));
    std::fs::remove_file(scene.path("web")).unwrap();
    std::fs::create_dir(scene.path("web")).unwrap();
    let output = scene.reap_with_timer();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("command-failed door=web"), "{}", said(&output));
    assert!(scene.armed().is_some_and(|armed| armed.iter().any(|word| word.starts_with("--on-active=29"))));
    std::fs::remove_dir(scene.path("web")).unwrap();
    std::fs::write(scene.path("web"), "").unwrap();
    assert!(scene.reap_with_timer().status.success());
    assert!(!scene.path("web").exists());
}

/// R1: the machine has restarted, and what the stop command takes back has outlived that; it works only later.
#[test]
fn r1_what_another_boot_left_open_is_closed_as_soon_as_that_works() {
    let Some(mut scene) = scene(&[("web", 7000, "60s")]) else { return };
    scene.open("web", 7000);
    scene.daemon.kill_everything();
    // The stop command fails: a folder is in the file's place.
    std::fs::remove_file(scene.path("web")).unwrap();
    std::fs::create_dir(scene.path("web")).unwrap();
    let id = "0123456789abcdef0123456789abcdef";
    let output = scene.reap(&["--boot", id, "--timer", "/bin/true"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("close-failed door=web"), "{}", said(&output));
    let file = scene.path("boot-id");
    std::fs::write(&file, "01234567-89ab-cdef-0123-456789abcdef\n").unwrap();
    let mount = format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"", file.display());
    let prefix = ["unshare", "-m", "sh", "-c", &mount, "sh"];
    let config = std::fs::read_to_string(scene.path("aldaba.toml")).unwrap();
    let fails = |text: &str| text.matches("close-failed door=web").count();
    for times in [1, 2] {
        scene.daemon = Program::aldabad_within(&scene.hosts, scene.dir.path(), &config, &prefix);
        let failed = || fails(&scene.daemon.said()) >= times;
        assert!(until(Duration::from_secs(10), failed).is_some(), "{}", scene.daemon.said());
        if times == 1 {
            scene.daemon.kill_everything();
        }
    }
    std::fs::remove_dir(scene.path("web")).unwrap();
    std::fs::write(scene.path("web"), "").unwrap();
    let closed = || !scene.path("web").exists();
    assert!(until(Duration::from_secs(40), closed).is_some(), "{}", scene.daemon.said());
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=overdue");
}

#[test]
fn nothing_is_made_where_nothing_was() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let words = ["reap", "--state-dir", state.to_str().unwrap(), "--timer", "/bin/false"];
    let output = Command::new(binary("aldabad")).args(words).output().unwrap();
    assert!(output.status.success() && !Path::new(&state).exists(), "{}", said(&output));
}

/// R1: what was overdue when everything was killed is closed after its start command has ended, and not before.
#[test]
fn r1_reap_waits_for_a_start_command_that_still_runs() {
    let doors = [("slow", 7000, "1s")];
    let Some(mut scene) = scene(&doors) else { return };
    let config = scene.path("aldaba.toml");
    let (file, ran) = (scene.path("slow").display().to_string(), scene.path("ran"));
    let slow = format!("[\"/bin/sh\", \"-c\", \"sleep 3; touch {}; touch {file}\"]", ran.display());
    let text = std::fs::read_to_string(&config)
        .unwrap()
        .replace(&format!("[\"/usr/bin/touch\", \"{file}\"]"), &slow);
    // A stop command that has nothing to complain about when it comes too early.
    std::fs::write(&config, text.replace("\"/bin/rm\"", "\"/bin/rm\", \"-f\"")).unwrap();
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reloaded doors=1");
    scene.hosts.knock(&[7000, 7001]);
    scene.daemon.wait_for("part=start");
    // The line comes first: the command, and the note of it, follow.
    std::thread::sleep(Duration::from_millis(300));
    let roles = scene.daemon.roles();
    scene.daemon.kill_alone();
    for role in roles {
        kill_process(role, Signal::KILL).ok();
    }
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!ran.exists(), "it is overdue, and the start command runs");
    let output = scene.reap(&["--wait"]);
    assert!(output.status.success() && ran.exists(), "{}", said(&output));
    assert_eq!(
        said(&output).matches("closed door=slow address=10.9.0.2 why=overdue").count(),
        1,
        "{}",
        said(&output)
    );
    std::thread::sleep(Duration::from_millis(300));
    assert!(!scene.path("slow").exists(), "closed, and it stays closed: {}", said(&output));
}

/// R1: two state folders, whose stop commands end in the same moment: the one is not taken for a leftover of the other.
#[test]
fn r1_reap_closes_the_doors_of_two_folders_at_once() {
    let Some(mut scene) = scene(&[("other", 6400, "60s")]) else { return };
    scene.daemon.kill_everything();
    let (program, state, control) = (binary("aldabad"), scene.path("state"), scene.path("other.sock"));
    let folders = [state.clone(), state.join("knockd-two")];
    for (number, folder) in folders.iter().enumerate() {
        let (config, door) = (scene.path("two.toml"), scene.path(&format!("door{number}")));
        let (door, go) = (door.display(), scene.path("go").display().to_string());
        let text = format!(
            "interfaces = [\"srv0\"]\n[[door]]\nname = \"door\"\nsequence = \"7000,7001\"\nlease = \"1s\"\n\
             start = [\"/usr/bin/touch\", \"{door}\"]\n\
             stop = [\"/bin/sh\", \"-c\", \"touch {door}-runs; until [ -e {go} ]; do sleep 0.05; done; rm {door}\"]\n"
        );
        std::fs::write(&config, text).unwrap();
        let paths = [&program, &config, folder, &control].map(|path| path.to_str().unwrap());
        let [program, config, folder, control] = paths;
        let words = [program, "run", "--config", config, "--state-dir", folder, "--control", control];
        let mut daemon = Program::start(&scene.hosts, &words, &scene.path(&format!("output{number}")));
        daemon.wait_for("started version=");
        scene.hosts.knock(&[7000, 7001]);
        daemon.wait_for("opened door=door");
        daemon.kill_everything();
    }
    let words = ["reap", "--wait", "--state-dir", state.to_str().unwrap()];
    let mut reap = Program::start(
        &scene.hosts,
        &[&[program.to_str().unwrap()][..], &words].concat(),
        &scene.path("reaped"),
    );
    let both = |what: &dyn Fn(&Path) -> bool| ["door0", "door1"].iter().all(|name| what(&scene.path(name)));
    let run = |door: &Path| Path::new(&format!("{}-runs", door.display())).exists();
    assert!(until(Duration::from_secs(10), || both(&run)).is_some(), "{}", reap.said());
    // It looks again when both have ended.
    reap.signal(Signal::STOP);
    std::fs::write(scene.path("go"), "").unwrap();
    let gone = |pids: &[u32]| {
        pids.iter().all(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
        })
    };
    let commands = reap.children();
    assert!(
        until(Duration::from_secs(10), || gone(&commands)).is_some() && commands.len() == 2,
        "{commands:?}"
    );
    reap.signal(Signal::CONT);
    let status = reap.wait(Duration::from_secs(10));
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", reap.said());
    assert!(both(&|door| !door.exists()), "{}", reap.said());
}
