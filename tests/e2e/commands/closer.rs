//! Stop commands that are slow, fail, or cannot be written down, when the daemon is gone: the closer and `aldabad reap` go on until
//! each door is closed (hazards R1 and R3 of docs/reliability.md).
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, SmallDisk, cannot_run, until};

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
    _disk: SmallDisk,
}

/// A door whose stop command is this script, which has the client's address as `$1` and the folder as `$D`. The state folder is a
/// file system of its own.
fn scene(lease: &str, stop: &str) -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let path = dir.path().display();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let disk = SmallDisk::mount(&dir.path().join("state"), 16);
    let script = dir.path().join("stop");
    std::fs::write(&script, format!("#!/bin/sh\nD={path}\n{stop}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"7000,8000,9000\"\nlease = \"{lease}\"\n\
         start = [\"/usr/bin/touch\", \"{path}/open-{{ip}}\"]\nstop = [\"{path}/stop\", \"{{ip}}\"]\n"
    );
    let daemon = Program::aldabad_with(&hosts, dir.path(), &config, &["--keep"]);
    Some(Scene { hosts, dir, daemon, _disk: disk })
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Opens the door for that many addresses, all at once.
    fn open(&self, clients: u8) {
        let open = |client: u8| {
            let mut command = Command::new(binary("aldabad"));
            command.args(["open", &format!("192.0.2.{client}"), "web", "--control"]);
            command.arg(self.path("control.sock")).spawn().unwrap()
        };
        let asked: Vec<_> = (1..=clients).map(open).collect();
        for mut asked in asked {
            assert!(asked.wait().unwrap().success(), "{}", self.daemon.said());
        }
        assert_eq!(self.open_doors(), usize::from(clients), "{}", self.daemon.said());
    }

    fn open_doors(&self) -> usize {
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("open-")).count()
    }

    fn all_close_within(&self, limit: Duration) -> Duration {
        let took = until(limit, || self.open_doors() == 0);
        took.unwrap_or_else(|| panic!("{} open:\n{}", self.open_doors(), self.daemon.said()))
    }

    /// How many closers there are.
    fn closers(&self) -> usize {
        let pids = self.hosts.on_server(&["ip", "netns", "pids", &self.hosts.server]);
        let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        pids.lines().filter(|pid| name(pid.trim()).starts_with("aldabad: closer")).count()
    }

    fn reap(&self) -> Output {
        let words = ["reap", "--timer", "/bin/true", "--state-dir"];
        Command::new(binary("aldabad")).args(words).arg(self.path("state")).output().unwrap()
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(self.path("state")).status();
        assert!(mounted.unwrap().success());
    }
}

fn touch(path: &Path) {
    std::fs::write(path, "").unwrap();
}

/// R1: longer than anybody holds the lock for it, and then it fails.
#[test]
fn r1_a_stop_command_that_is_slow_and_fails_has_not_closed_its_door() {
    let Some(mut scene) = scene("2s", "sleep 1.7; [ -e $D/mended ] && rm $D/open-$1") else { return };
    scene.open(1);
    scene.daemon.kill_everything();
    std::thread::sleep(Duration::from_secs(2));
    let output = scene.reap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("command-failed door=web address=192.0.2.1 part=stop status=1"), "{said}");
    touch(&scene.path("mended"));
    let output = scene.reap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("closed door=web"), "still in the journal: {said}");
    assert_eq!(scene.open_doors(), 0);
}

/// R1: the same for the closer, and its time limit.
#[test]
fn r1_the_closer_ends_a_stop_command_that_hangs_and_runs_it_again() {
    let stop = "[ -e $D/begun ] || { touch $D/begun; sleep 1000; }; rm $D/open-$1";
    let Some(mut scene) = scene("1s\"\ntime-limit = \"1s", stop) else { return };
    scene.open(1);
    scene.daemon.kill_alone();
    scene.daemon.wait_for("command-over-time door=web address=192.0.2.1 part=stop signal=TERM");
    scene.daemon.wait_for("close-failed door=web address=192.0.2.1 tries=1 next=1s");
    scene.all_close_within(Duration::from_secs(5));
    scene.daemon.wait_for("closed door=web address=192.0.2.1 why=overdue");
}

/// R1: ten doors are due at once while no stop command works.
#[test]
fn r1_the_closer_gives_no_lease_up() {
    let Some(mut scene) = scene("2s", "[ -e $D/busy ] && exit 4; rm $D/open-$1") else { return };
    touch(&scene.path("busy"));
    scene.open(10);
    scene.daemon.kill_alone();
    scene.daemon.wait_until("all have failed", |said| said.matches("close-failed").count() >= 10);
    std::thread::sleep(Duration::from_millis(600));
    std::fs::remove_file(scene.path("busy")).unwrap();
    let took = scene.all_close_within(Duration::from_secs(5));
    println!("figure: R1 ten doors closed {} ms after their stop commands worked again", took.as_millis());
}

/// R1: twelve doors whose stop commands take a second; a new daemon begins meanwhile.
#[test]
fn r1_a_new_daemon_begins_beside_slow_stop_commands_and_runs_none_twice() {
    let stop = "echo $1 >> $D/stops; sleep 1; rm $D/open-$1";
    let Some(mut scene) = scene("4s", stop) else { return };
    scene.open(12);
    scene.daemon.kill_alone();
    let stops = || std::fs::read_to_string(scene.path("stops")).unwrap_or_default();
    assert!(until(Duration::from_secs(5), || stops().lines().count() > 1).is_some());
    let begun = Instant::now();
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.all_close_within(Duration::from_secs(4).saturating_sub(begun.elapsed()));
    std::thread::sleep(Duration::from_millis(300));
    let stops = std::fs::read_to_string(scene.path("stops")).unwrap();
    assert_eq!(stops.lines().count(), 12, "{stops}\n{}", scene.daemon.said());
    assert!(!scene.daemon.said().contains("command-failed"), "{}", scene.daemon.said());
}

/// R1: somebody has the lock when the doors are due, as a daemon that cannot start has it for a moment, or one that the kernel cannot
/// clear away for longer.
#[test]
fn r1_a_lock_that_is_held_over_the_deadline_keeps_no_door_open() {
    let Some(mut scene) = scene("2s", "echo $1 >> $D/stops; rm $D/open-$1") else { return };
    scene.open(3);
    scene.daemon.kill_alone();
    // The closer has looked once.
    std::thread::sleep(Duration::from_millis(400));
    let lock = std::fs::File::open(scene.path("state/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    std::thread::sleep(Duration::from_millis(3200));
    assert_eq!((scene.open_doors(), scene.closers()), (3, 1), "{}", scene.daemon.said());
    drop(lock);
    let took = scene.all_close_within(Duration::from_secs(5));
    println!("figure: R1 three overdue doors closed {} ms after the lock was free", took.as_millis());
    assert!(until(Duration::from_secs(5), || scene.closers() == 0).is_some(), "then it ends");
    assert_eq!(std::fs::read_to_string(scene.path("stops")).unwrap().lines().count(), 3, "once for each");
}

/// R1: a new daemon has the lock, and a closer of its own.
#[test]
fn r1_a_closer_that_is_relieved_ends() {
    let Some(mut scene) = scene("3s", "rm $D/open-$1") else { return };
    scene.open(1);
    scene.daemon.kill_alone();
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.daemon.wait_for("closed door=web");
    let closers = until(Duration::from_secs(10), || scene.closers() == 1);
    assert!(closers.is_some(), "{} closers", scene.closers());
}

/// R3: the journal can be read, but nothing written.
#[test]
fn r3_a_state_folder_that_cannot_be_written_keeps_no_door_open() {
    let Some(mut scene) = scene("2s", "echo $1 >> $D/stops; rm $D/open-$1") else { return };
    scene.open(2);
    scene.daemon.kill_alone();
    // The closer has looked once.
    std::thread::sleep(Duration::from_millis(400));
    scene.remount("ro");
    scene.all_close_within(Duration::from_secs(4));
    scene.daemon.wait_for("Read-only file system");
    scene.remount("rw");
    let empty = until(Duration::from_secs(6), || {
        let pids = scene.hosts.on_server(&["ip", "netns", "pids", &scene.hosts.server]);
        // The `ip` that asks runs there itself.
        pids.lines().count() <= 1
    });
    assert!(empty.is_some(), "the closer ends when all is written down: {}", scene.daemon.said());
    assert_eq!(std::fs::read_to_string(scene.path("stops")).unwrap().lines().count(), 2, "once for each");
}

/// R1: no lease waits for its closer, and none begins without one.
#[test]
fn r1_a_closer_stands_by_before_the_first_lease() {
    let Some(scene) = scene("60s", "rm $D/open-$1") else { return };
    assert!(until(Duration::from_secs(10), || scene.closers() == 1).is_some(), "{}", scene.daemon.said());
    assert_eq!(scene.open_doors(), 0);
    scene.open(1);
    assert_eq!(scene.closers(), 1);
}

/// R1: a closer that ends again and again is started again, later and later, and told of.
#[test]
fn r1_a_closer_that_ends_again_and_again_is_told_of() {
    let Some(scene) = scene("60s", "rm $D/open-$1") else { return };
    scene.open(1);
    let closer = || {
        let is_closer = |pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            name.starts_with("aldabad: closer")
        };
        scene.daemon.children().into_iter().find(is_closer)
    };
    let begin = Instant::now();
    for _ in 0..4 {
        assert!(until(Duration::from_secs(2), || closer().is_some()).is_some(), "{}", scene.daemon.said());
        let pid = rustix::process::Pid::from_raw(closer().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert!(until(Duration::from_secs(1), || closer().is_none()).is_some());
    }
    assert!(begin.elapsed() > Duration::from_millis(700), "0.1, 0.2 and 0.4 s: {:?}", begin.elapsed());
    scene.daemon.wait_for("closer-ended signal=9 again-in=0.80s");
    assert!(aldaba_tests::degraded(scene.dir.path()).contains(&"closer".to_owned()));
    assert!(until(Duration::from_secs(2), || closer().is_some()).is_some(), "{}", scene.daemon.said());
    assert!(aldaba_tests::degraded(scene.dir.path()).contains(&"closer".to_owned()), "until one has lived");
}

/// R3: what cannot be read any more keeps nobody out.
#[test]
fn r3_a_damaged_journal_is_set_aside_and_told_of() {
    let Some(mut scene) = scene("60s", "rm $D/open-$1") else { return };
    scene.open(1);
    scene.daemon.kill_everything();
    let journal = scene.path("state/leases.redb");
    std::fs::write(&journal, [7; 9000]).unwrap();
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.daemon.wait_for("degraded what=journal-damaged error=");
    let names = std::fs::read_dir(scene.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("leases.redb.damaged-")).count();
    assert_eq!(aside, 1);
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=web address=10.9.0.2");
    assert!(aldaba_tests::degraded(scene.dir.path()).contains(&"journal-damaged".to_owned()));
}

/// R3: and neither does what is odd about the other files, as of a backup that was restored: its modes, say.
#[test]
fn r3_odd_files_in_the_state_folder_keep_no_door_open() {
    let Some(mut scene) = scene("2s", "rm $D/open-$1") else { return };
    scene.open(2);
    scene.daemon.kill_everything();
    for name in ["leases.redb", "lock"] {
        let readable = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(scene.path("state").join(name), readable).unwrap();
    }
    for name in ["starts", "stops", "capabilities"] {
        let path = scene.path("state").join(name);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
    }
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.daemon.wait_for("degraded what=state-files error=");
    scene.daemon.wait_for("state-file-mode what=");
    scene.all_close_within(Duration::from_secs(30));
    let degraded = aldaba_tests::degraded(scene.dir.path());
    assert!(degraded.contains(&"state-files".to_owned()), "{degraded:?}");
    assert!(!degraded.contains(&"journal-damaged".to_owned()), "{degraded:?}");
}
