//! Doors whose leases lie in another folder than the next daemon's: `state-dir` was changed while they were open, and everything was
//! killed (hazard R1 of docs/reliability.md).

use std::path::PathBuf;
use std::time::Duration;

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, asked, cannot_run, text, until};

use super::config;

const LONG: Duration = Duration::from_secs(20);

/// A host whose /var/lib is a folder of the test's.
struct Moving {
    hosts: Hosts,
    dir: tempfile::TempDir,
}

impl Moving {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration, which names this folder, or none.
    fn configure(&self, state: Option<&str>) {
        let state = state.map(|state| format!("state-dir = \"{}\"\n", self.path(state).display()));
        let control = self.path("control.sock");
        let top = format!("{}control = \"{}\"\n", state.unwrap_or_default(), control.display());
        std::fs::write(
            self.path("aldaba.toml"),
            config(self.dir.path(), "2s", "").replace("interfaces", &format!("{top}interfaces")),
        )
        .expect("written");
    }

    fn start(&self, words: &[&str], output: &str) -> Program {
        self.start_by(&[], words, output)
    }

    /// The same behind other words.
    fn start_by(&self, before: &[&str], words: &[&str], output: &str) -> Program {
        let (mount, program) = (
            format!("mount --bind {} /var/lib && exec \"$@\"", self.path("lib").display()),
            binary("aldabad"),
        );
        let config = self.path("aldaba.toml");
        let prefix = ["unshare", "-m", "--", "sh", "-c", &mount, "sh", program.to_str().expect("plain")];
        let config = ["--config", config.to_str().expect("plain")];
        Program::start(&self.hosts, &[before, &prefix, words, &config].concat(), &self.path(output))
    }

    fn run(&self) -> Program {
        let before = self.said().matches("started version=").count();
        let daemon = self.start(&["run", "--keep"], "output");
        daemon.wait_until("it starts", |text| text.matches("started version=").count() > before);
        daemon
    }

    /// Opens the door by this daemon, and kills everything.
    fn leave_open(&self, mut daemon: Program) {
        self.hosts.knock(&[7000, 8000, 9000]);
        assert!(until(LONG, || self.is_open()).is_some(), "{}", self.said());
        daemon.kill_everything();
        assert!(self.is_open(), "or it is no test: {}", self.said());
    }

    fn is_open(&self) -> bool {
        self.path("open-10.9.0.2").exists()
    }

    /// The door has been closed so many times by who closes what is left.
    fn closes(&self, times: usize) {
        let closed = || self.said().matches("closed door=web address=10.9.0.2 why=overdue").count() == times;
        assert!(until(LONG, closed).is_some() && !self.is_open(), "{}", self.said());
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.path("output")).unwrap_or_default()
    }
}

/// R1: the next daemon, or `aldabad reap`, has a configuration that names another folder than the one before, or none, or the first.
#[test]
fn r1_another_state_folder_keeps_no_door_open() {
    if cannot_run().is_some() {
        return;
    }
    let scene = Moving { hosts: Hosts::new(), dir: tempfile::tempdir().expect("a folder") };
    std::fs::create_dir(scene.path("lib")).expect("made");
    // From the default one to another.
    scene.configure(None);
    let daemon = scene.run();
    scene.configure(Some("one"));
    let said = text(&asked(scene.dir.path(), &["reload"]).stderr);
    for part in [
        "state-dir is read at start only: in force is /var/lib/aldaba",
        "closed from /var/lib/aldaba all the same",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    scene.leave_open(daemon);
    let daemon = scene.run();
    scene.closes(1);
    // From one that is named to another.
    scene.leave_open(daemon);
    scene.configure(Some("two"));
    let daemon = scene.run();
    scene.closes(2);
    // And back to none, with no daemon that comes back: a timer is armed for the folder that has something left.
    scene.leave_open(daemon);
    scene.configure(None);
    let armed = scene.path("armed");
    let fake = scene.path("systemd-run");
    std::fs::write(&fake, format!("#!/bin/sh\necho \"$@\" >>{}\n", armed.display())).expect("written");
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let reap = |before: &[&str], more: &[&str]| {
        let mut reap = scene.start_by(before, &[&["reap"], more].concat(), "reaped");
        let ended = reap.wait(LONG);
        assert!(ended.is_some_and(|status| status.success()), "{}", reap.said());
        reap.said()
    };
    let said = reap(&["ip", "netns", "exec", &scene.hosts.client], &["--now"]);
    let left = format!("{}: its doors are in another network namespace", scene.path("two").display());
    assert!(said.contains(&left) && scene.is_open(), "{said}");
    reap(&[], &["--timer", fake.to_str().expect("plain")]);
    if scene.is_open() {
        let armed = std::fs::read_to_string(armed).expect("a timer");
        assert!(armed.contains(&format!("--state-dir {}", scene.path("two").display())), "{armed}");
    }
    reap(&[], &["--wait"]);
    assert!(!scene.is_open());
}
