//! `aldabad status`: what it says of a daemon that is well, and of one that is not.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aldaba_tests::hosts::CLIENT;
use aldaba_tests::{Hosts, Program, Wire, asked, cannot_run, serve_prepared, text, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const CONFIG: &str = r#"
interfaces = ["srv0"]

[[door]]
name = "ssh"
sequence = "7000,8000,9000"
ports = ["2222/tcp"]
lease = "30s"

[[door]]
name = "web"
sequence = "7100,8100,9100"
start = ["true", "{ip}"]
stop = ["test", "-e", "MENDED"]
lease = "1s"

[[door]]
name = "bad"
sequence = "7200,8200,9200"
start = ["false", "{ip}"]
stop = ["true", "{ip}"]
"#;

/// A daemon, asked from outside.
struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

impl Scene {
    fn new() -> Option<Self> {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Option<Self> {
        let mended = |dir: &Path| dir.join("mended").to_str().expect("plain").to_owned();
        let (hosts, dir, daemon) = serve_prepared(|_, dir| config.replace("MENDED", &mended(dir)))?;
        Some(Self { hosts, dir, daemon })
    }

    fn asked(&self, words: &[&str]) -> Output {
        asked(self.dir.path(), words)
    }

    fn status(&self) -> Value {
        aldaba_tests::status(self.dir.path())
    }

    /// What is degraded now.
    fn degraded(&self) -> Vec<String> {
        aldaba_tests::degraded(self.dir.path())
    }

    fn config(&self) -> String {
        let mended = self.dir.path().join("mended");
        CONFIG.replace("MENDED", mended.to_str().expect("plain"))
    }

    fn worker(&self) -> Pid {
        let pid = self.status()["worker"]["pid"].as_i64();
        pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a worker")
    }

    fn becomes(&self, wanted: &[&str]) {
        let heard = until(Duration::from_secs(8), || self.degraded() == wanted);
        assert!(heard.is_some(), "{:?} is not {wanted:?}: {}", self.degraded(), self.daemon.said());
    }
}

#[test]
fn a_daemon_that_is_well_says_so_and_counts() {
    let Some(scene) = Scene::new() else { return };
    let fine = scene.asked(&["status"]);
    let said = text(&fine.stdout);
    assert_eq!(fine.status.code(), Some(0), "{said}{}", text(&fine.stderr));
    let head = format!("process {}, running for ", scene.daemon.pid());
    assert!(
        said.lines().next().expect("a line").contains(&head) && said.contains(": all is well\n"),
        "{said}"
    );
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let status = scene.status();
    assert_eq!(status["leases"]["open"], 1, "{status}");
    assert_eq!(status["packets"]["sequences"]["completed"], 1, "{status}");
    assert_eq!(status["interfaces"][0]["state"], "found");
    assert!(status["interfaces"][0]["packets"].as_u64() >= Some(3), "{status}");
    assert_eq!(status["interfaces"][0]["drops"], 0);
    assert_eq!((&status["worker"]["serving"], &status["worker"]["restarts"]), (&true.into(), &0.into()));
    assert_eq!(status["firewall"]["table"], "aldaba");
    assert_eq!(status["attempts"]["room"], 65_536);
    // What the kernel has told once it forgets: the numbers go on all the same.
    assert!(scene.status()["interfaces"][0]["packets"].as_u64() >= Some(3));
    let metrics = text(&scene.asked(&["status", "--metrics"]).stdout);
    assert!(metrics.contains("\naldaba_capture_drops_total{interface=\"srv0\"} 0\n"), "{metrics}");
}

#[test]
fn what_is_degraded_is_told_while_it_lasts() {
    let Some(scene) = Scene::new() else { return };
    scene.becomes(&[]);
    // The file is broken, and mended.
    std::fs::write(scene.dir.path().join("aldaba.toml"), "nonsense").expect("written");
    assert_eq!(scene.asked(&["reload"]).status.code(), Some(2));
    scene.becomes(&["reload-refused"]);
    std::fs::write(scene.dir.path().join("aldaba.toml"), scene.config()).expect("written");
    assert_eq!(scene.asked(&["reload"]).status.code(), Some(0));
    scene.becomes(&[]);
    // The interface goes, and comes back.
    scene.hosts.unplug();
    scene.becomes(&["interface-gone"]);
    let said = text(&scene.asked(&["status"]).stdout);
    assert!(
        said.contains("! an interface is not there [interface-gone] on srv0") && said.contains("srv0 GONE"),
        "{said}"
    );
    assert_eq!(scene.asked(&["status"]).status.code(), Some(3));
    scene.hosts.plug();
    scene.becomes(&[]);
    // The worker is killed; the numbers of the kernel stay.
    let worker = scene.worker();
    kill_process(worker, Signal::KILL).expect("killed");
    let again = until(Duration::from_secs(5), || scene.status()["worker"]["restarts"] == 1);
    assert!(again.is_some(), "{}", scene.status());
    // One that hangs is waited for only briefly, and the rest is told.
    scene.becomes(&[]);
    let worker = scene.worker();
    kill_process(worker, Signal::STOP).expect("stopped");
    let status = scene.status();
    assert_eq!(
        (&status["worker"]["answered"], &status["packets"]),
        (&false.into(), &Value::Null),
        "{status}"
    );
    assert_eq!(status["degraded"][0]["what"], "worker-silent", "{status}");
    kill_process(worker, Signal::CONT).expect("it goes on");
    scene.becomes(&[]);
    // Three that end one after the other are no accident.
    for restarts in [2, 3] {
        kill_process(scene.worker(), Signal::KILL).expect("killed");
        let again = || {
            let worker = &scene.status()["worker"];
            worker["restarts"] == restarts && worker["serving"] == true
        };
        assert!(until(Duration::from_secs(5), again).is_some(), "{}", scene.status());
    }
    scene.becomes(&["worker-restarts"]);
    let said = text(&scene.asked(&["status"]).stdout);
    assert!(said.contains("[worker-restarts]: 3 workers ended one after the other\n    next: "), "{said}");
    let metrics = text(&scene.asked(&["status", "--metrics"]).stdout);
    assert!(metrics.contains("\naldaba_degraded{what=\"worker-restarts\"} 1\n"), "{metrics}");
}

#[test]
fn a_door_that_does_not_close_is_the_loudest_line() {
    let Some(scene) = Scene::new() else { return };
    scene.hosts.knock(&[7100, 8100, 9100]);
    scene.daemon.wait_for("opened door=web");
    scene.becomes(&["close-failed"]);
    scene.hosts.unplug();
    scene.becomes(&["close-failed", "interface-gone"]);
    let first = scene.status()["degraded"][0].clone();
    assert_eq!((&first["door"], &first["address"]), (&"web".into(), &CLIENT.to_string().into()));
    let said = text(&scene.asked(&["status"]).stdout);
    assert!(said.lines().nth(1).expect("a line").contains("[close-failed] door web for 10.9.0.2"), "{said}");
    // Each close by hand is one more attempt; from the sixth on it is loud, and tried again later.
    let loud = until(Duration::from_secs(10), || {
        text(&scene.asked(&["close", "10.9.0.2"]).stderr).contains("status=1; it is tried again in 60s")
    });
    assert!(loud.is_some(), "{}", scene.daemon.said());
    scene.becomes(&["cannot-close", "interface-gone"]);
    let said = text(&scene.asked(&["status"]).stdout);
    assert!(
        said.lines().nth(1).expect("a line").starts_with("  ! A DOOR STAYS OPEN [cannot-close] door web"),
        "{said}"
    );
    let table = text(&scene.asked(&["leases"]).stdout);
    assert!(table.contains("CANNOT CLOSE"), "{table}");
    // Mended, it is closed by hand.
    std::fs::write(scene.dir.path().join("mended"), "").expect("written");
    let closed = scene.asked(&["close", "10.9.0.2", "web"]);
    assert_eq!(text(&closed.stdout), "closed: door web for 10.9.0.2\n", "{}", text(&closed.stderr));
    scene.becomes(&["interface-gone"]);
}

#[test]
fn who_is_inside_is_shown_and_closed_by_hand() {
    let Some(scene) = Scene::new() else { return };
    assert_eq!(text(&scene.asked(&["leases"]).stdout), "no door is open for anybody\n");
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    let opened = scene.asked(&["open", "::ffff:10.9.7.7", "ssh", "--for", "10m"]);
    let said = text(&opened.stdout);
    assert_eq!(said, "door ssh is open for 10.9.7.7, for 10 min\n", "{}", text(&opened.stderr));
    let again = text(&scene.asked(&["open", "10.9.7.7", "ssh"]).stdout);
    assert!(again.starts_with("door ssh stays open for 10.9.7.7, for "), "{again}{}", scene.daemon.said());
    let table = text(&scene.asked(&["leases"]).stdout);
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("ssh   10.9.0.2  -")), "{table}");
    assert!(table.contains("10.9.7.7  by hand, uid 0  open   "), "{table}");
    let set = scene.hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]);
    assert!(set.contains("10.9.0.2") && set.contains("10.9.7.7"), "{set}");
    let closed = scene.asked(&["close", "::ffff:10.9.0.2"]);
    assert_eq!(
        (text(&closed.stdout).as_str(), closed.status.code()),
        ("closed: door ssh for 10.9.0.2\n", Some(0))
    );
    let set = scene.hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]);
    assert!(!set.contains("10.9.0.2") && set.contains("10.9.7.7"), "closed when it says so:\n{set}");
    assert_eq!(text(&scene.asked(&["close", "10.9.0.2"]).stdout), "nothing is open for 10.9.0.2\n");
    // The daemon itself takes an address however it is written.
    let mut raw = UnixStream::connect(scene.dir.path().join("control.sock")).expect("connected");
    let line = r#"{"version":1,"ask":{"close":{"address":"::ffff:10.9.7.7","door":"ssh"}}}"#;
    raw.write_all(format!("{line}\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    raw.read_to_string(&mut answer).expect("answered");
    assert!(answer.contains(r#"{"closed":{"address":"10.9.7.7","doors":["ssh"],"failed":[]}}"#), "{answer}");
    for line in [
        "open-by-hand door=ssh address=10.9.7.7 uid=0 for=600s\n",
        "close-by-hand address=10.9.0.2 uid=0 leases=1\n",
        "closed door=ssh address=10.9.0.2 why=asked\n",
        "close-by-hand address=10.9.7.7 door=ssh uid=0 leases=1\n",
    ] {
        assert!(scene.daemon.said().contains(line), "{line} is not in\n{}", scene.daemon.said());
    }
    let why = text(&scene.asked(&["why", "10.9.7.7"]).stdout);
    assert!(why.contains("door ssh: opened by hand for 10.9.7.7 (uid=0)"), "{why}");
}

#[test]
fn what_cannot_be_done_by_hand_says_why_and_what_to_do() {
    let Some(scene) = Scene::new() else { return };
    for (words, wrong, help) in [
        (&["open", "10.9.7.7", "shs"][..], "there is no door \"shs\"", "did you mean ssh?"),
        (&["close", "10.9.7.7", "attic"], "there is no door \"attic\"", "--explain lists the doors"),
        (
            &["open", "10.9.7.7", "ssh", "--for", "2h"],
            "door ssh may be open for 1s to 3600s at a time",
            "`max-lease`",
        ),
        (&["open", "127.0.0.1", "ssh"], "no client has this address", "sees the client"),
        (&["open", "10.9.0.1", "ssh"], "no client has this address", "sees the client"),
        (
            &["open", "10.9.7.7", "bad"],
            "door bad is not open for 10.9.7.7: its start command failed, status=1",
            "the daemon's log",
        ),
    ] {
        let refused = scene.asked(words);
        let said = text(&refused.stderr);
        assert_eq!(
            (text(&refused.stdout).as_str(), refused.status.code()),
            ("", Some(1)),
            "{words:?}: {said}"
        );
        assert!(
            said.contains(wrong) && said.contains("\n  help: ") && said.contains(help),
            "{words:?}: {said}"
        );
    }
    // A stop command that fails is no secret, and neither is that it is tried again.
    assert!(text(&scene.asked(&["open", "10.9.7.7", "web", "--for", "30s"]).stdout).contains("for 30 s"));
    let stuck = scene.asked(&["close", "10.9.7.7"]);
    let said = text(&stuck.stderr);
    let wanted =
        "NOT CLOSED: door web for 10.9.7.7: its stop command failed, status=1; it is tried again in 1s";
    assert!(said.contains(wanted) && stuck.status.code() == Some(1), "{said}");
    let table = text(&scene.asked(&["leases"]).stdout);
    assert!(table.contains("closing"), "{table}");
}

/// A second or more of SYNs from ever new sources to the first port of a sequence.
fn flood(hosts: &Hosts, each_second: u32, time: Duration) -> u64 {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| hosts.as_client(|| Wire::open().flood(&[7000], each_second, &stop)));
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        sending.join().expect("it sends")
    })
}

/// Hazard R12, its last part.
#[test]
fn r12_packets_the_kernel_drops_are_counted_and_exported() {
    let Some(scene) = Scene::new() else { return };
    scene.becomes(&[]);
    let worker = scene.worker();
    kill_process(worker, Signal::STOP).expect("stopped");
    let sent = flood(&scene.hosts, 40_000, Duration::from_secs(1));
    kill_process(worker, Signal::CONT).expect("it goes on");
    let drops = || scene.status()["interfaces"][0]["drops"].as_u64().expect("a number");
    assert!(until(Duration::from_secs(5), || drops() > 0).is_some(), "{sent} sent: {}", scene.status());
    scene.becomes(&["packets-dropped"]);
    let status = scene.status();
    let (packets, dropped) = (status["interfaces"][0]["packets"].as_u64(), drops());
    assert!(packets > Some(dropped), "{status}");
    let metrics = text(&scene.asked(&["status", "--metrics"]).stdout);
    let line = format!("\naldaba_capture_drops_total{{interface=\"srv0\"}} {dropped}\n");
    assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    println!("figure: R12 {dropped} drops of {sent} packets exported");
}

/// A small disk under the state folder, full from the moment it is told.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(on: &Path) -> Self {
        std::fs::create_dir(on).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"]).arg(on).status();
        assert!(mounted.expect("mount runs").success());
        Self(on.to_owned())
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filling")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_journal_that_cannot_be_written_is_degraded_until_it_can() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let disk = SmallDisk::mount(&dir.path().join("state"));
    let daemon = Program::aldabad(&hosts, dir.path(), &CONFIG.replace("MENDED", "/"));
    let scene = Scene { hosts, dir, daemon };
    disk.fill();
    let full = until(Duration::from_secs(5), || {
        !scene.asked(&["open", "10.9.7.7", "web", "--for", "30s"]).status.success()
    });
    assert!(full.is_some(), "{}", scene.daemon.said());
    let status = scene.status();
    assert_eq!(status["degraded"][0]["what"], "journal", "{status}");
    assert_eq!(status["journal"]["state"], "failing");
    let refused = scene.asked(&["open", "10.9.7.8", "web"]);
    assert!(text(&refused.stderr).contains("journal-not-durable"), "{}", text(&refused.stderr));
    disk.empty();
    let opened = until(Duration::from_secs(8), || scene.asked(&["open", "10.9.7.9", "web"]).status.success());
    assert!(opened.is_some(), "{}", scene.daemon.said());
    scene.becomes(&[]);
    drop(disk);
}
