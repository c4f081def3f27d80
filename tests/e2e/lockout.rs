//! An administrator who is about to be locked out: `aldabad apply --confirm`, on two hosts with the real kernel firewall.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "lockout/start.rs"]
mod start;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aldaba_tests::device::{self, Device};
use aldaba_tests::hosts::CLIENT;
use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, degraded, serve_prepared, until};
use aldabad::monitor::make_store;
use rustix::process::{Pid, Signal, kill_process};

const SPA_PORT: u16 = 42731;
const BEFORE: &str = r#"
interfaces = ["srv0"]

[spa]
port = 42731
future = "5s"
trust-clock = true

[[door]]
name = "ssh"
sequence = "7000,8000,9000"
spa = true
ports = ["2222/tcp"]
lease = "30s"
"#;

/// Another sequence, another port, and a second door.
const AFTER: &str = r#"
interfaces = ["srv0"]

[spa]
port = 42731
future = "5s"
trust-clock = true

[[door]]
name = "new"
sequence = "7001,8001,9001"
spa = true
ports = ["2223/tcp"]
lease = "30s"
"#;

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

/// A command that shows how a trial goes.
struct Applied(std::process::Child);

impl Applied {
    /// Its exit code and all it said.
    fn end(mut self) -> (Option<i32>, String) {
        let ended = until(Duration::from_secs(12), || self.0.try_wait().expect("asked").is_some());
        assert!(ended.is_some(), "it does not end");
        let output = self.0.wait_with_output().expect("its output");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

impl Scene {
    fn new() -> Option<Self> {
        Self::with(BEFORE)
    }

    fn with(config: &str) -> Option<Self> {
        let (hosts, dir, daemon) = serve_prepared(|_, dir| {
            device::write_server(dir, &Device::new(1).line("", "alice/laptop"));
            make_store(&dir.join("state")).expect("as init makes it");
            config.to_owned()
        })?;
        Some(Self { hosts, dir, daemon })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("written");
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn aldabad(&self, words: &[&str]) -> Applied {
        let mut command = Command::new(binary("aldabad"));
        command.args(words).arg("--control").arg(self.path("control.sock"));
        command.arg("--config").arg(self.path("aldaba.toml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Applied(child.expect("it starts"))
    }

    /// A trial of a new file, once it is in force.
    fn trial(&self, file: &Path, more: &[&str]) -> Applied {
        let before = self.daemon.said().matches("on-trial file=").count();
        let file = file.to_str().expect("plain");
        let applied = self.aldabad(&[&["apply", file, "--confirm"], more].concat());
        self.daemon.wait_until("a trial", |said| said.matches("on-trial file=").count() > before);
        applied
    }

    fn knock_with_key(&self, door: &str) {
        let (datagram, _) = Device::new(1).seal(device::open(door, None));
        device::send(&self.hosts, CLIENT.into(), SPA_PORT, &datagram);
    }

    fn guards(&self, port: u16) -> bool {
        self.hosts.on_server(&["nft", "list", "ruleset"]).contains(&format!("chain tcp_{port} "))
    }
}

#[test]
fn r27_a_knock_with_a_key_keeps_what_is_on_trial() {
    let Some(scene) = Scene::new() else { return };
    let new = scene.write("aldaba.toml.new", AFTER);
    let applied = scene.trial(&new, &["60s"]);
    assert_eq!(scene.read("aldaba.toml"), BEFORE, "the disk has what was in force");
    assert!(scene.guards(2223) && !scene.guards(2222));
    // Neither another trial nor a reload comes between.
    let (code, said) = scene.aldabad(&["apply", new.to_str().expect("plain"), "--confirm", "60s"]).end();
    assert!(
        code == Some(1) && said.contains("is on trial for another") && said.contains("--roll-back"),
        "{said}"
    );
    let (code, said) = scene.aldabad(&["reload"]).end();
    assert!(code == Some(1) && said.contains("read again when that is over"), "{said}");
    scene.knock_with_key("new");
    let (code, said) = applied.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("kept: door new opened for {CLIENT} (alice/laptop)")), "{said}");
    scene.daemon.wait_for(&format!("by=knock door=new address={CLIENT} device=alice/laptop"));
    assert_eq!(
        (scene.read("aldaba.toml").as_str(), scene.read("aldaba.toml.before").as_str()),
        (AFTER, BEFORE)
    );
    assert!(!scene.path(".aldaba.toml.trial").exists());
    // The reload that had to wait.
    scene.daemon.wait_until("both", |said| said.matches("reloaded doors=1").count() == 2);
    let _listener = scene.hosts.listen(2223);
    assert!(scene.hosts.reachable(2223));
}

#[test]
fn r27_a_sequence_keeps_an_edit_made_in_place_and_only_the_named_door_counts() {
    let Some(scene) = Scene::new() else { return };
    let both = AFTER.to_owned() + &BEFORE[BEFORE.find("[[door]]").expect("a door")..];
    let edited = scene.write("aldaba.toml", &both);
    let applied = scene.trial(&edited, &["60s", "--door", "new"]);
    assert_eq!((scene.read("aldaba.toml"), scene.read("aldaba.toml.new")), (BEFORE.to_owned(), both.clone()));
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    std::thread::sleep(Duration::from_millis(100));
    assert!(!scene.daemon.said().contains("kept file="), "the other door does not count");
    scene.hosts.knock(&[7001, 8001, 9001]);
    let (code, said) = applied.end();
    assert!(code == Some(0) && said.contains(&format!("kept: door new opened for {CLIENT};")), "{said}");
    assert_eq!((scene.read("aldaba.toml"), scene.read("aldaba.toml.before")), (both, BEFORE.to_owned()));
    assert!(!scene.path("aldaba.toml.new").exists());
}

#[test]
fn r27_what_nobody_confirms_goes_also_when_the_session_dies() {
    let Some(scene) = Scene::new() else { return };
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let edited = scene.write("aldaba.toml", AFTER);
    let mut applied = scene.trial(&edited, &["5s"]);
    let began = Instant::now();
    assert!(scene.guards(2223) && !scene.guards(2222));
    // A knock at what is no longer there, and the end of the session.
    scene.hosts.knock(&[7000, 8000, 9000]);
    let pid = i32::try_from(applied.0.id()).ok().and_then(Pid::from_raw).expect("a number");
    kill_process(pid, Signal::HUP).expect("sent");
    assert!(!applied.0.wait().expect("ended").success());
    let back = until(Duration::from_secs(7), || scene.daemon.said().contains("why=not-confirmed"));
    assert!(back.is_some(), "{}", scene.daemon.said());
    println!(
        "figure: R27 rolled back {} ms after the end of a trial of 5 s",
        began.elapsed().as_millis().saturating_sub(5000)
    );
    assert!(scene.guards(2222) && !scene.guards(2223));
    assert_eq!((scene.read("aldaba.toml").as_str(), scene.read("aldaba.toml.new").as_str()), (BEFORE, AFTER));
    // The lease of before goes on with its time, in the set that was made anew.
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(2223)];
    let still = until(Duration::from_secs(1), || scene.hosts.reachable(2222));
    assert!(still.is_some(), "{}", scene.hosts.on_server(&["nft", "list", "ruleset"]));
    scene.hosts.knock(&[7001, 8001, 9001]);
    let renewed = |said: &str| said.matches("door=ssh address=").count();
    let before = renewed(&scene.daemon.said());
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_until("a knock as before", |said| renewed(said) > before);
    assert!(!scene.daemon.said().contains("opened door=new"));
    // Asked how it ended, it still knows.
    let (code, said) = scene.aldabad(&["apply", "--keep"]).end();
    assert!(code == Some(1) && said.contains("no configuration is on trial"), "{said}");
}

/// A flush by others ends leases where policy wants that; the end of a trial is no flush.
#[test]
fn r27_what_goes_with_a_trials_table_comes_back_also_where_a_flush_is_only_reported() {
    const REPORT: &str = "\n[firewall]\nafter-flush = \"report\"\n";
    let Some(scene) = Scene::with(&(BEFORE.to_owned() + REPORT)) else { return };
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(2223)];
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let new = scene.write("aldaba.toml.new", &(AFTER.to_owned() + REPORT));
    let applied = scene.trial(&new, &["60s", "--by-hand"]);
    scene.hosts.knock(&[7001, 8001, 9001]);
    scene.daemon.wait_for("opened door=new");
    scene.hosts.on_server(&["nft", "flush ruleset"]);
    scene.daemon.wait_for("closed door=new address=10.9.0.2 why=flushed");
    assert!(!scene.hosts.reachable(2223), "the guard on trial is back, and the lease is over");
    let (code, said) = scene.aldabad(&["apply", "--roll-back"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(applied.end().0, Some(1));
    let still = until(Duration::from_secs(2), || scene.hosts.reachable(2222));
    assert!(still.is_some(), "{}", scene.daemon.said());
    assert!(!scene.daemon.said().contains("closed door=ssh"), "{}", scene.daemon.said());
    // From then on a flush is one again.
    scene.hosts.on_server(&["nft", "flush ruleset"]);
    scene.daemon.wait_for("closed door=ssh address=10.9.0.2 why=flushed");
    assert!(scene.guards(2222) && !scene.hosts.reachable(2222));
}

#[test]
fn r27_a_daemon_that_is_killed_or_stopped_in_a_trial_comes_back_with_what_was_before() {
    let Some(mut scene) = Scene::new() else { return };
    let new = scene.write("aldaba.toml.new", AFTER);
    let applied = scene.trial(&new, &["60s", "--by-hand"]);
    scene.knock_with_key("new");
    scene.daemon.wait_for("opened door=new");
    scene.daemon.kill_everything();
    let (code, said) = applied.end();
    assert!(code == Some(1) && said.contains("its next start has the configuration before"), "{said}");
    assert!(scene.guards(2223) && said.contains("aldabad firewall apply"), "{said}");
    let (aldabad, config) = (binary("aldabad"), scene.path("aldaba.toml"));
    let plain = |path: &Path| path.to_str().expect("plain").to_owned();
    scene.hosts.on_server(&[&plain(&aldabad), "firewall", "apply", "--config", &plain(&config)]);
    assert!(scene.guards(2222) && !scene.guards(2223), "what is on the disk was never on trial");
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    assert!(scene.daemon.said().contains("why=restarted") && !scene.path(".aldaba.toml.trial").exists());
    assert!(scene.guards(2222) && !scene.guards(2223));
    assert_eq!(scene.read("aldaba.toml"), BEFORE);
    // Stopped, it leaves the table behind that the next start would make.
    let applied = scene.trial(&new, &["60s"]);
    assert!(scene.guards(2223));
    assert!(scene.daemon.stop().success());
    assert!(scene.daemon.said().contains("why=stopping"));
    assert!(scene.guards(2222) && !scene.guards(2223));
    assert_ne!(applied.end().0, Some(0));
}

/// R23: nobody who has taken the worker over keeps a policy, and the devices that it does not name any more, in force.
#[test]
fn r23_a_worker_that_holds_a_trial_up_is_replaced() {
    let Some(scene) = Scene::new() else { return };
    let worker = *scene.daemon.roles().first().expect("a worker");
    kill_process(worker, Signal::STOP).expect("stopped");
    let new = scene.write("aldaba.toml.new", AFTER);
    let (code, said) = scene.aldabad(&["apply", new.to_str().expect("plain")]).end();
    assert!(code == Some(0) && scene.guards(2223) && !scene.guards(2222), "{code:?} {said}");
    assert_eq!(scene.read("aldaba.toml"), AFTER);
    assert!(scene.daemon.said().contains("worker-ended why=slow"), "{}", scene.daemon.said());
}

#[test]
fn r27_what_cannot_be_tried_changes_nothing() {
    let Some(scene) = Scene::new() else { return };
    let refused = |words: &[&str], code, part: &str| {
        let (got, said) = scene.aldabad(words).end();
        assert!(got == Some(code) && said.contains(part), "{words:?} gave {got:?}: {said}");
    };
    let broken = scene.write("aldaba.toml.new", &AFTER.replace("lease", "leese"));
    let broken = broken.to_str().expect("plain").to_owned();
    refused(&["apply", &broken, "--confirm", "60s"], 2, "aldaba.toml.new:14:1");
    refused(&["apply", &broken], 2, "did you mean lease?");
    refused(&["apply", "--confirm", "60s"], 1, "there is nothing to try");
    // Who has asked was told; the daemon and the disk are as they were.
    assert_eq!(degraded(scene.dir.path()), [""; 0]);
    scene.write("aldaba.toml", &AFTER.replace("lease", "leese"));
    refused(&["apply", "--confirm", "60s"], 2, "aldaba.toml:14:1");
    assert_eq!(degraded(scene.dir.path()), ["reload-refused"], "the next start would find it");
    scene.write("aldaba.toml", BEFORE);
    refused(&["reload"], 0, "in force");
    assert_eq!(degraded(scene.dir.path()), [""; 0]);
    refused(&["apply", "--confirm", "4s"], 2, "a trial takes 5 s to 3600 s");
    refused(&["apply", "--roll-back"], 1, "no configuration is on trial");
    let good = scene.write("good.toml.new", AFTER).to_str().expect("plain").to_owned();
    refused(&["apply", &good, "--confirm", "60s", "--door", "gone"], 1, "has no door \"gone\"");
    scene.write("aldaba.toml", &BEFORE.replace("30s", "31s"));
    refused(&["apply", &good, "--confirm", "60s"], 1, "has changed since it came into force");
    scene.write("aldaba.toml", BEFORE);
    assert!(!scene.daemon.said().contains("on-trial") && !scene.path(".aldaba.toml.trial").exists());
    assert!(scene.guards(2222));
    // Without a trial, and by hand.
    let (code, said) = scene.aldabad(&["apply", &good]).end();
    assert!(code == Some(0) && said.contains("in force (1 door"), "{said}");
    assert_eq!(
        (scene.read("aldaba.toml").as_str(), scene.read("aldaba.toml.before").as_str()),
        (AFTER, BEFORE)
    );
    let old = scene.path("aldaba.toml.before");
    let applied = scene
        .trial(&scene.write("old", &std::fs::read_to_string(old).expect("there")), &["60s", "--by-hand"]);
    refused(&["apply", "--roll-back"], 0, "rolled back: as asked");
    assert_eq!(applied.end().0, Some(1));
    let applied = scene.trial(&scene.path("old"), &["60s", "--by-hand"]);
    refused(&["apply", "--keep"], 0, "kept: by hand");
    assert_eq!(applied.end().0, Some(0));
    assert_eq!(scene.read("aldaba.toml"), BEFORE);
}

#[test]
fn r27_what_cannot_be_put_in_its_place_is_told_until_it_is_there() {
    let Some(scene) = Scene::new() else { return };
    let new = scene.write("aldaba.toml.new", AFTER);
    let applied = scene.trial(&new, &["60s", "--by-hand"]);
    // Where the text before is to stay, something stands that is no file.
    let in_the_way = scene.path("aldaba.toml.before");
    std::fs::create_dir(&in_the_way).expect("made");
    let (_, said) = scene.aldabad(&["apply", "--keep"]).end();
    assert!(said.contains("could not be put in place") || said.contains("aldaba.toml.before"), "{said}");
    applied.end();
    scene.daemon.wait_for("degraded what=configuration error=");
    assert_eq!(degraded(scene.dir.path()), ["configuration"]);
    assert!(scene.guards(2223), "it was confirmed, and is in force");
    assert_eq!(scene.read("aldaba.toml"), BEFORE);
    // Written there by hand, and read.
    std::fs::remove_dir(in_the_way).expect("removed");
    scene.write("aldaba.toml", AFTER);
    let (code, said) = scene.aldabad(&["reload"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(degraded(scene.dir.path()), Vec::<String>::new());
}

#[test]
fn r27_a_first_start_that_nobody_confirms_opens_what_it_has_closed() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let config = BEFORE.replace("spa = true\n", "");
    let config = config[..config.find("[spa]").expect("there")].to_owned()
        + &config[config.find("[[door]]").expect("there")..];
    std::fs::write(dir.path().join("aldaba.toml"), config).expect("written");
    let (aldabad, folder) = (binary("aldabad"), dir.path().to_str().expect("plain").to_owned());
    let start = |name: &str| {
        let files =
            [format!("{folder}/aldaba.toml"), format!("{folder}/state"), format!("{folder}/control.sock")];
        let words = [aldabad.to_str().expect("plain"), "run", "--confirm", "5s", "--config", &files[0]];
        let words = [&words[..], &["--state-dir", &files[1], "--control", &files[2]]].concat();
        Program::start(&hosts, &words, &dir.path().join(name))
    };
    let _listener = hosts.listen(2222);
    let mut lost = start("lost");
    lost.wait_for("on-trial file=");
    assert!(!hosts.reachable(2222), "closed on trial");
    let status = lost.wait(Duration::from_secs(8)).expect("it ends");
    assert!(status.code() == Some(1) && lost.said().contains("why=not-confirmed"), "{}", lost.said());
    assert!(hosts.reachable(2222), "open as before");
    let written = dir.path().join("state/in-force.toml");
    assert!(!written.exists(), "nor does any start take it");
    let kept = start("kept");
    kept.wait_for("on-trial file=");
    hosts.knock(&[7000, 8000, 9000]);
    kept.wait_for("by=knock door=ssh");
    assert!(written.exists());
    // Guarded for good: another first start would have nothing to go back to.
    let mut second = start("second");
    assert_eq!(second.wait(Duration::from_secs(5)).and_then(|status| status.code()), Some(1));
    assert!(second.said().contains("this is no first start"), "{}", second.said());
}
