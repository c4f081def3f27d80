//! Doors with commands: a lease survives whatever happens to the daemon (hazards R1, R2, R19 of docs/reliability.md).
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "commands/anew.rs"]
mod anew;
#[path = "commands/closer.rs"]
mod closer;
#[path = "commands/journal.rs"]
mod journal;
#[path = "commands/moved.rs"]
mod moved;
#[path = "commands/restarts.rs"]
mod restarts;
#[path = "commands/turns.rs"]
mod turns;
#[path = "commands/unready.rs"]
mod unready;

use std::path::Path;
use std::time::{Duration, Instant};

use aldaba_tests::{Hosts, Program, serve_prepared, until};
use rustix::process::Signal;

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

/// A door whose command makes a file named after the client, and whose stop command removes it.
fn config(dir: &Path, lease: &str, more: &str) -> String {
    let file = dir.join("open-{ip}");
    let file = file.display();
    format!(
        "interfaces = [\"srv0\"]\n{more}\n[[door]]\nname = \"web\"\nsequence = \"7000,8000,9000\"\nlease = \"{lease}\"\n\
         start = [\"/usr/bin/touch\", \"{file}\"]\nstop = [\"/bin/rm\", \"{file}\"]\n"
    )
}

fn scene(lease: &str, more: &str) -> Option<Scene> {
    scene_with(|dir| config(dir, lease, more))
}

fn scene_with(config: impl FnOnce(&Path) -> String) -> Option<Scene> {
    let (hosts, dir, daemon) = serve_prepared(|_, dir| config(dir))?;
    Some(Scene { hosts, dir, daemon })
}

impl Scene {
    fn is_open(&self) -> bool {
        self.dir.path().join("open-10.9.0.2").exists()
    }

    fn open(&self) -> Instant {
        self.hosts.knock(&[7000, 8000, 9000]);
        assert!(until(Duration::from_secs(3), || self.is_open()).is_some(), "{}", self.daemon.said());
        Instant::now()
    }

    fn closes_within(&self, limit: Duration) -> Duration {
        let start = Instant::now();
        let closed = until(limit, || !self.is_open());
        assert!(closed.is_some(), "still open after {limit:?}:\n{}", self.daemon.said());
        start.elapsed()
    }

    fn again(&mut self) {
        self.daemon = Program::aldabad_again(&self.hosts, self.dir.path());
    }
}

#[test]
fn a_command_door_opens_renews_and_closes_once() {
    let Some(scene) = scene("2s", "") else { return };
    let first = scene.open();
    std::thread::sleep(Duration::from_secs(1));
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("renewed door=web");
    scene.closes_within(Duration::from_secs(4));
    let took = first.elapsed();
    assert!(took > Duration::from_millis(2500), "the second knock prolonged it: {took:?}");
    scene.daemon.wait_for("closed door=web");
    let said = scene.daemon.said();
    assert_eq!(said.matches("part=start").count(), 1, "{said}");
    assert_eq!(said.matches("part=stop").count(), 1, "{said}");
}

/// R1: everything is killed; the restart closes what is overdue.
#[test]
fn r1_an_overdue_lease_is_closed_at_the_next_start() {
    let Some(mut scene) = scene("1s", "") else { return };
    scene.open();
    scene.daemon.kill_everything();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(scene.is_open(), "nobody is left to close it");
    scene.again();
    scene.closes_within(Duration::from_secs(1));
}

/// R1: everything is killed; the restart comes before the deadline.
#[test]
fn r1_a_lease_goes_on_after_a_restart_and_ends_in_time() {
    let Some(mut scene) = scene("3s", "") else { return };
    let opened = scene.open();
    scene.daemon.kill_everything();
    scene.again();
    assert!(scene.is_open());
    scene.closes_within(Duration::from_secs(5));
    let took = opened.elapsed();
    assert!(took > Duration::from_millis(2500) && took < Duration::from_secs(4), "{took:?}");
}

/// R1: the monitor alone is killed; the closer is left.
#[test]
fn r1_the_closer_closes_in_time_when_the_monitor_is_gone() {
    let Some(mut scene) = scene("2s", "") else { return };
    let opened = scene.open();
    scene.daemon.kill_alone();
    scene.closes_within(Duration::from_secs(4));
    let took = opened.elapsed();
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(3), "{took:?}");
    // And nothing of the daemon is left.
    let empty = until(Duration::from_secs(2), || {
        let pids = scene.hosts.on_server(&["ip", "netns", "pids", &scene.hosts.server]);
        // The `ip` that asks runs there itself.
        pids.lines().count() <= 1
    });
    assert!(empty.is_some());
}

/// R1: the monitor alone is killed while a start command runs; its stop command does not overtake it.
#[test]
fn r1_the_closer_waits_for_a_start_command_that_still_runs() {
    // The door is closed the moment it has opened, so the command leaves word that it got there.
    let slow = |dir: &Path| {
        let command = format!("[\"/bin/sh\", \"-c\", \"sleep 2; touch {}/ran; touch ", dir.display());
        config(dir, "1s", "").replace("[\"/usr/bin/touch\", \"", &command)
    };
    let Some(mut scene) = scene_with(slow) else { return };
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("part=start");
    // The line comes first: the command, and the word of it to the closer, follow.
    std::thread::sleep(Duration::from_millis(300));
    scene.daemon.kill_alone();
    let killed = Instant::now();
    let ran = scene.dir.path().join("ran");
    assert!(until(Duration::from_secs(4), || ran.exists()).is_some(), "the start command goes on");
    scene.closes_within(Duration::from_secs(2));
    assert!(killed.elapsed() > Duration::from_millis(1200), "{:?}", killed.elapsed());
    std::thread::sleep(Duration::from_millis(500));
    assert!(!scene.is_open(), "and stays closed");
}

/// A door whose start command takes longer than its lease lasts, and leaves `ran` when it is done.
fn slow_start(dir: &Path) -> String {
    let command = format!("[\"/bin/sh\", \"-c\", \"sleep 3; touch {}/ran; touch ", dir.display());
    let config = config(dir, "1s", "").replace("[\"/usr/bin/touch\", \"", &command);
    // One that has nothing to complain about when it comes too early.
    config.replace("\"/bin/rm\"", "\"/bin/rm\", \"-f\"")
}

/// R1: a closer that was started while the start command ran has heard nothing of it: it knows it by the note on the disk.
#[test]
fn r1_a_closer_knows_start_commands_by_their_notes() {
    let Some(mut scene) = scene_with(slow_start) else { return };
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("part=start");
    std::thread::sleep(Duration::from_millis(300));
    let closer = |daemon: &Program| {
        daemon.roles().into_iter().find(|role| {
            let path = format!("/proc/{}/cmdline", role.as_raw_nonzero());
            std::fs::read_to_string(path).is_ok_and(|name| name.starts_with("aldabad: closer"))
        })
    };
    let first = closer(&scene.daemon).expect("a closer");
    rustix::process::kill_process(first, Signal::KILL).expect("it lives");
    let another = || closer(&scene.daemon).is_some_and(|closer| closer != first);
    assert!(until(Duration::from_secs(1), another).is_some(), "another one: {}", scene.daemon.said());
    // Time to get to its post.
    std::thread::sleep(Duration::from_millis(200));
    scene.daemon.kill_alone();
    let ran = scene.dir.path().join("ran");
    assert!(until(Duration::from_secs(4), || ran.exists()).is_some(), "the start command goes on");
    // It opens a moment after that, and the closer closes what it sees then.
    let stays_closed = || {
        let was_open = scene.is_open();
        std::thread::sleep(Duration::from_millis(300));
        !was_open && !scene.is_open()
    };
    assert!(until(Duration::from_secs(10), stays_closed).is_some(), "closed, and stays closed");
}

/// R1: a new daemon begins while a start command of the one before still runs, and its deadline has passed before it ends.
fn a_start_command_outlives(kill: impl FnOnce(&mut Program)) {
    let Some(mut scene) = scene_with(slow_start) else { return };
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("part=start");
    // The line comes first: the command, and the note of it, follow.
    std::thread::sleep(Duration::from_millis(300));
    kill(&mut scene.daemon);
    scene.again();
    scene.daemon.wait_for("taken-over door=web");
    let ran = scene.dir.path().join("ran");
    assert!(!ran.exists(), "the daemon was there before the command ended");
    assert!(until(Duration::from_secs(5), || ran.exists()).is_some(), "the start command goes on");
    scene.closes_within(Duration::from_secs(2));
    scene.daemon.wait_for("closed door=web");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!scene.is_open(), "and stays closed");
    let said = scene.daemon.said();
    assert_eq!(said.matches("part=stop").count(), 1, "{said}");
}

#[test]
fn r1_a_new_daemon_does_not_overtake_an_old_start_command() {
    a_start_command_outlives(Program::kill_alone);
}

/// Monitor, worker and closer are killed together: nobody is left who saw the command begin.
#[test]
fn r1_a_start_command_that_outlives_everything_of_ours_is_waited_for() {
    a_start_command_outlives(|daemon| {
        let roles = daemon.roles();
        daemon.kill_alone();
        for pid in roles {
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    });
}

#[test]
fn a_stop_closes_the_doors_by_default() {
    let Some(mut scene) = scene("60s", "") else { return };
    scene.open();
    assert!(scene.daemon.stop().success());
    assert!(!scene.is_open());
}

/// R19: two daemons on one state folder.
#[test]
fn r19_a_second_daemon_is_refused_by_the_first_ones_number() {
    let Some(mut scene) = scene("60s", "") else { return };
    let first = scene.daemon.pid();
    let output = scene.dir.path().join("second");
    let program = aldaba_tests::program::binary("aldabad");
    let config = scene.dir.path().join("aldaba.toml");
    let state = scene.dir.path().join("state");
    let words = ["run", "--config", config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()];
    let began = Instant::now();
    let mut second =
        Program::start(&scene.hosts, &[&[program.to_str().unwrap()][..], &words].concat(), &output);
    let status = second.wait(Duration::from_secs(8)).expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", second.said());
    assert!(second.said().contains(&first.to_string()), "names the pid {first}: {}", second.said());
    println!("figure: R19 a second daemon is refused within {} ms", began.elapsed().as_millis());
    scene.daemon.kill_everything();
    scene.again();
    scene.open();
}

/// A reload takes a door away while it is open: its stop command still runs.
#[test]
fn a_reload_is_atomic_and_leases_of_removed_doors_still_close() {
    let Some(scene) = scene("2s", "") else { return };
    scene.open();
    let path = scene.dir.path().join("aldaba.toml");
    std::fs::write(&path, "interfaces = [\"srv0\"]\n[[door]]\nname = \"other\"\nsequence = \"70000\"\n")
        .unwrap();
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reload-refused");
    let other = config(scene.dir.path(), "60s", "")
        .replace("\"web\"", "\"other\"")
        .replace("7000,8000,9000", "7100,8100");
    std::fs::write(&path, other.replace("open-", "other-")).unwrap();
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reloaded");
    scene.closes_within(Duration::from_secs(4));
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.hosts.knock(&[7100, 8100]);
    scene.daemon.wait_for("opened door=other");
    assert!(!scene.is_open(), "the removed door opens no more");
}

/// A worker that is killed is replaced, and leases do not notice.
#[test]
fn a_killed_worker_is_replaced() {
    let Some(scene) = scene("60s", "") else { return };
    scene.open();
    let worker = scene.daemon.children().into_iter().find(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        name.starts_with("aldabad: worker")
    });
    let worker = rustix::process::Pid::from_raw(i32::try_from(worker.expect("a worker")).unwrap()).unwrap();
    rustix::process::kill_process(worker, Signal::KILL).unwrap();
    scene.daemon.wait_for("worker-ended");
    scene.daemon.wait_until("a new worker", |said| said.matches("worker-started").count() == 2);
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("renewed door=web");
    assert!(scene.is_open());
}

/// The worker has no privileges, and no file but its channel and its captures.
#[test]
fn the_worker_is_another_user_without_capabilities() {
    let Some(scene) = scene("60s", "") else { return };
    scene.daemon.wait_for("worker-started");
    let children = scene.daemon.children();
    let status = std::fs::read_to_string(format!("/proc/{}/status", children[0])).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(field("Uid:").iter().all(|uid| uid != "0"), "{status}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert_eq!(field("Seccomp:"), ["2"]);
    assert!(field("Groups:").is_empty());
}

/// R8: the start program is not there at the start, then is; it fails, then does not.
#[test]
fn r8_a_command_that_is_missing_or_fails_is_loud_and_works_when_it_is_back() {
    use std::os::unix::fs::PermissionsExt;
    let Some(scene) = scene_with(|dir| {
        let program = dir.join("opener");
        config(dir, "60s", "").replace("/usr/bin/touch", &program.display().to_string())
    }) else {
        return;
    };
    let program = scene.dir.path().join("opener");
    let install = |text: &str| {
        // Renamed into its place: a program that is being written cannot be started.
        let new = scene.dir.path().join("new");
        std::fs::write(&new, text).expect("written");
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).expect("its mode");
        std::fs::rename(&new, &program).expect("renamed");
    };
    let knock = || scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("degraded what=command error=\"there is no program ");
    let said = aldaba_tests::status(scene.dir.path());
    let first = &said["degraded"][0];
    assert_eq!((&first["what"], &first["door"]), (&"command".into(), &"web".into()), "{said}");
    knock();
    scene.daemon.wait_for("command-failed door=web address=10.9.0.2 part=start not-started error=");
    install("#!/bin/sh\nexit 3\n");
    scene.daemon.wait_for("program-found path=");
    assert!(!aldaba_tests::degraded(scene.dir.path()).contains(&"command".to_owned()));
    knock();
    scene.daemon.wait_for("command-failed door=web address=10.9.0.2 part=start status=3");
    // What may have been opened half is closed.
    scene.daemon.wait_for("part=stop line=");
    scene.daemon.wait_until("nothing is left to close", |said| {
        said.contains("cannot-close") || said.contains("close-failed")
    });
    install("#!/bin/sh\nexec /usr/bin/touch \"$1\"\n");
    assert!(!scene.is_open());
    let opened = until(Duration::from_secs(5), || {
        knock();
        scene.is_open()
    });
    assert!(opened.is_some(), "{}", scene.daemon.said());
    let said = scene.daemon.said();
    assert_eq!(said.matches("degraded what=command").count(), 1, "{said}");
    println!("figure: R8 a program that is missing, then fails, then works: 3 knocks, the last one opens");
}
