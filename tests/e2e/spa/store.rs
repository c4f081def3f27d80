//! Replay records when the daemon is killed, the disk is full, the store is lost.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use aldaba_tests::{SmallDisk, asked, text};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::Signal;

use super::*;

impl Scene {
    fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    fn restart(&mut self) {
        self.daemon.kill_everything();
        self.daemon = Program::aldabad_again(&self.hosts, self.dir.path());
    }

    /// Waits until so many refusals of this kind are in the log.
    fn wait_for_refusals(&self, why: &str, count: usize) {
        let word = format!("why={why}");
        self.daemon.wait_until(&format!("{count} times {word}"), |said| said.matches(&word).count() == count);
    }

    /// Waits until `aldabad status --metrics` has these lines.
    fn wait_for_metrics(&self, lines: &[&str]) {
        let metrics = || text(&asked(self.dir.path(), &["status", "--metrics"]).stdout);
        let has_all = |metrics: &str| lines.iter().all(|line| metrics.lines().any(|told| told == *line));
        let told = until(Duration::from_secs(10), || has_all(&metrics()));
        assert!(told.is_some(), "no {lines:?} in:\n{}", metrics());
    }
}

#[test]
fn r3_a_full_disk_does_not_shut_the_administrator_out() {
    let mut disk = None;
    let Some(scene) = scene_in("", |state| disk = Some(SmallDisk::mount(state, 16))) else { return };
    let _filling = disk.as_ref().expect("mounted").fill();
    for _ in 0..30 {
        scene.knock(open("ssh", None));
    }
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    scene.daemon.wait_until("all of them", |said| said.matches("admitted door=ssh").count() == 30);
    assert!(!scene.daemon.said().contains("replay-store"), "{}", scene.daemon.said());
}

#[test]
fn r3_without_a_durable_mark_nobody_gets_in_and_it_works_again_without_a_restart() {
    let mut disk = None;
    // Too small for the room that is taken in advance, so that the disk can be full for the store, whose front was there before.
    let Some(scene) = scene_in("", |state| disk = Some(SmallDisk::mount(state, 3))) else { return };
    let written = until(Duration::from_secs(10), || scene.state("in-force.toml").exists());
    assert!(written.is_some(), "{}", scene.daemon.said());
    let front = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let store = File::options().write(true).open(scene.state("replay.redb")).expect("the store");
    fallocate(&store, front, 0, 64 * 4096).expect("taken away");
    let filling = disk.as_ref().expect("mounted").fill();
    let captured = scene.seal(open("ssh", None));
    assert_eq!(scene.send(CLIENT.into(), &captured), None);
    scene.wait_for_refusals("store", 1);
    scene.daemon.wait_for("degraded what=replay-store error=\"the replay store failed");
    let failing = degraded(scene.dir.path());
    assert!(failing.contains(&"replay-store".to_owned()), "{failing:?}");
    scene.wait_for_metrics(&[
        "aldaba_degraded{what=\"replay-store\"} 1",
        "aldaba_replay_store_works 0",
        "aldaba_datagrams_refused_total{reason=\"store\"} 1",
    ]);
    std::fs::remove_file(filling).expect("removed");
    assert_eq!(scene.send(CLIENT.into(), &captured), None);
    scene.wait_for_refusals("repeated", 1);
    assert!(!scene.daemon.said().contains("opened door"), "{}", scene.daemon.said());
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    scene.daemon.wait_for("replay-store-works");
    let works = until(Duration::from_secs(3), || degraded(scene.dir.path()).is_empty());
    assert!(works.is_some(), "{}", status(scene.dir.path()));
    scene.wait_for_metrics(&[
        "aldaba_replay_store_works 1",
        "aldaba_datagrams_refused_total{reason=\"store\"} 1",
    ]);
    assert_eq!(scene.send(CLIENT.into(), &captured), None);
    scene.wait_for_refusals("repeated", 2);
    assert_eq!(scene.daemon.said().matches("degraded").count(), 1, "said once:\n{}", scene.daemon.said());
}

#[test]
fn a_datagram_is_used_up_when_everything_is_killed_right_after() {
    let Some(mut scene) = scene("") else { return };
    // Between the durable commit and the opening: the monitor hears nothing of it.
    let first = scene.seal(open("ssh", None));
    let before = std::fs::read(scene.state("replay.redb")).expect("the store");
    scene.daemon.signal(Signal::STOP);
    assert_eq!(scene.send(CLIENT.into(), &first), None);
    let committed = || {
        let store = std::fs::read(scene.state("replay.redb")).expect("the store");
        std::thread::sleep(Duration::from_millis(50));
        store != before && store == std::fs::read(scene.state("replay.redb")).expect("the store")
    };
    assert!(until(Duration::from_secs(5), committed).is_some(), "the worker makes it durable");
    scene.restart();
    assert_eq!(scene.send(CLIENT.into(), &first), None);
    scene.wait_for_refusals("replay", 1);
    assert!(!scene.daemon.said().contains("opened door"), "{}", scene.daemon.said());
    // Right after the opening.
    let second = scene.seal(open("ssh", None));
    assert_eq!(scene.send(CLIENT.into(), &second), None);
    scene.daemon.wait_for("opened door=ssh");
    scene.restart();
    assert_eq!(scene.send(CLIENT.into(), &second), None);
    scene.wait_for_refusals("replay", 2);
    assert_eq!(scene.daemon.said().matches("admitted door").count(), 1);
}

#[test]
fn a_device_that_comes_back_to_the_registry_has_its_record() {
    let Some(mut scene) = scene("") else { return };
    let used = scene.seal(Operation::Hello);
    assert_eq!(scene.send(CLIENT.into(), &used), None);
    scene.daemon.wait_for("hello device=alice/laptop");
    let registry = scene.dir.path().join("authorized_keys");
    let lines = std::fs::read(&registry).expect("the registry");
    std::fs::write(&registry, "# nobody\n").expect("written");
    scene.restart();
    std::fs::write(&registry, lines).expect("written");
    scene.restart();
    assert_eq!(scene.send(CLIENT.into(), &used), None);
    scene.wait_for_refusals("replay", 1);
}

#[test]
fn a_device_that_was_removed_while_the_daemon_was_down_loses_what_it_held() {
    let Some(mut scene) = scene("") else { return };
    let _listener = scene.hosts.listen(8080);
    scene.knock(open("web", Some(CLIENT.into())));
    scene.daemon.wait_for("opened door=web");
    // What the daemon learns with its next start only.
    std::fs::write(scene.dir.path().join("authorized_keys"), "# nobody\n").expect("written");
    scene.restart();
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=asked");
    assert!(!scene.hosts.reachable(8080));
}

#[test]
fn a_store_is_not_used_without_the_lock_of_its_folder() {
    let Some(mut scene) = scene("") else { return };
    let mode = |mode| {
        let state = scene.dir.path().join("state");
        std::fs::set_permissions(state, PermissionsExt::from_mode(mode)).expect("its mode");
    };
    scene.daemon.kill_everything();
    let config = scene.dir.path().join("aldaba.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    // Without datagrams a folder that cannot be had is no reason not to start.
    let door = "[[door]]\nname = \"web\"\nsequence = \"7000,8000,9000\"\nports = [\"8080/tcp\"]\n";
    std::fs::write(&config, door).expect("written");
    mode(0o755);
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    std::fs::write(&config, text).expect("written");
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("degraded what=replay-store error=\"state folder ");
    scene.knock(Operation::Hello);
    scene.wait_for_refusals("store", 1);
    mode(0o700);
    let hello = || {
        scene.knock(Operation::Hello);
        std::thread::sleep(Duration::from_millis(200));
        scene.daemon.said().contains("hello device=alice/laptop")
    };
    assert!(until(Duration::from_secs(10), hello).is_some(), "{}", scene.daemon.said());
}

#[test]
fn a_lost_store_costs_as_long_as_a_clock_may_be_ahead() {
    let Some(mut scene) = scene("") else { return };
    scene.knock(Operation::Hello);
    scene.daemon.wait_for("hello device=alice/laptop");
    assert!(!scene.daemon.said().contains("replay-store-new"), "one made with the identity is not lost");
    for (why, harm) in [("it was not there", 0), ("it was empty", 1), ("it was damaged", 2)] {
        scene.daemon.kill_everything();
        let store = scene.state("replay.redb");
        match harm {
            0 => std::fs::remove_file(&store).expect("removed"),
            1 => drop(File::create(&store).expect("emptied")),
            _ => std::fs::write(&store, [0xaa; 8192]).expect("damaged"),
        }
        scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
        scene.daemon.wait_for(&format!("replay-store-new why=\"{why}\" refusing-for=5s"));
        scene.knock(Operation::Hello);
        scene.wait_for_refusals("guard", harm + 1);
    }
    // A restart does not shorten it, and does not begin it anew.
    std::thread::sleep(Duration::from_secs(2));
    scene.restart();
    scene.knock(Operation::Hello);
    scene.wait_for_refusals("guard", 4);
    std::thread::sleep(Duration::from_millis(3100));
    scene.knock(Operation::Hello);
    scene.daemon.wait_until("let in", |said| said.matches("hello device").count() == 2);
}
