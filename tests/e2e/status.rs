//! `aldabad status`: what it says of a daemon that is well, and of one that is not.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use aldaba_tests::hosts::CLIENT;
use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, until};
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
stop = ["false", "{ip}"]
lease = "1s"
"#;

/// A daemon, asked from outside.
struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

impl Scene {
    fn new() -> Option<Self> {
        if cannot_run().is_some() {
            return None;
        }
        let hosts = Hosts::new();
        let dir = tempfile::tempdir().expect("a folder");
        let daemon = Program::aldabad(&hosts, dir.path(), CONFIG);
        Some(Self { hosts, dir, daemon })
    }

    fn asked(&self, words: &[&str]) -> Output {
        asked(self.dir.path(), words)
    }

    fn status(&self) -> Value {
        let output = self.asked(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", text(&output.stderr)))
    }

    /// What is degraded now.
    fn degraded(&self) -> Vec<String> {
        let status = self.status();
        let all = status["degraded"].as_array().expect("a list").iter();
        all.map(|one| one["what"].as_str().expect("a name").to_owned()).collect()
    }

    fn becomes(&self, wanted: &[&str]) {
        let heard = until(Duration::from_secs(5), || self.degraded() == wanted);
        assert!(heard.is_some(), "{:?} is not {wanted:?}: {}", self.degraded(), self.daemon.said());
    }
}

fn asked(dir: &Path, words: &[&str]) -> Output {
    let command =
        Command::new(binary("aldabad")).args(words).arg("--control").arg(dir.join("control.sock")).output();
    command.expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
    std::fs::write(scene.dir.path().join("aldaba.toml"), CONFIG).expect("written");
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
    let worker =
        scene.status()["worker"]["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    kill_process(worker.expect("a worker"), Signal::KILL).expect("killed");
    let again = until(Duration::from_secs(5), || scene.status()["worker"]["restarts"] == 1);
    assert!(again.is_some(), "{}", scene.status());
    // One that hangs is waited for only briefly, and the rest is told.
    scene.becomes(&[]);
    let worker =
        scene.status()["worker"]["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    kill_process(worker.expect("a worker"), Signal::STOP).expect("stopped");
    let status = scene.status();
    assert_eq!(
        (&status["worker"]["answered"], &status["packets"]),
        (&false.into(), &Value::Null),
        "{status}"
    );
    kill_process(worker.expect("a worker"), Signal::CONT).expect("it goes on");
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
}
