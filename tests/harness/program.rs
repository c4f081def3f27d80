//! A program under test, running on the server, with its output in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Hosts, until};

/// Where cargo puts the release binaries `tests/run` has built; `ALDABA_BIN_DIR` names another folder.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("ALDABA_BIN_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --release` first", path.display());
    path
}

#[derive(Debug)]
pub struct Program {
    child: Child,
    output: PathBuf,
}

impl Program {
    /// Starts a program on the server; its output goes to `output`.
    pub fn start(hosts: &Hosts, words: &[&str], output: &Path) -> Self {
        let file = File::options().create(true).append(true).open(output).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &hosts.server])
            .args(words)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, output: output.to_owned() }
    }

    /// Starts `aldabad run` with this configuration and waits until it captures.
    pub fn aldabad(hosts: &Hosts, dir: &Path, config: &str) -> Self {
        let path = dir.join("aldaba.toml");
        std::fs::write(&path, config).unwrap();
        Self::aldabad_again(hosts, dir)
    }

    /// The same with more words on its command line.
    pub fn aldabad_with(hosts: &Hosts, dir: &Path, config: &str, more: &[&str]) -> Self {
        std::fs::write(dir.join("aldaba.toml"), config).unwrap();
        Self::run_aldabad(hosts, dir, &[], more)
    }

    /// The same, by a program that stands before its words: one that sets limits.
    pub fn aldabad_within(hosts: &Hosts, dir: &Path, config: &str, prefix: &[&str]) -> Self {
        std::fs::write(dir.join("aldaba.toml"), config).unwrap();
        Self::run_aldabad(hosts, dir, prefix, &[])
    }

    /// Starts `aldabad run` with the configuration that is there.
    pub fn aldabad_again(hosts: &Hosts, dir: &Path) -> Self {
        Self::run_aldabad(hosts, dir, &[], &[])
    }

    fn run_aldabad(hosts: &Hosts, dir: &Path, prefix: &[&str], more: &[&str]) -> Self {
        let (program, config) = (binary("aldabad"), dir.join("aldaba.toml"));
        let (state, control) = (dir.join("state"), dir.join("control.sock"));
        let words = [
            program.to_str().unwrap(),
            "run",
            "--config",
            config.to_str().unwrap(),
            "--state-dir",
            state.to_str().unwrap(),
            "--control",
            control.to_str().unwrap(),
        ];
        let output = dir.join("output");
        let before = read(&output).matches("started version=").count();
        let program = Self::start(hosts, &[prefix, &words, more].concat(), &output);
        program.wait_until("it starts", |text| text.matches("started version=").count() > before);
        program
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has said so far.
    pub fn said(&self) -> String {
        read(&self.output)
    }

    /// Waits until the output fulfils `done`, at most five seconds.
    pub fn wait_until(&self, what: &str, done: impl Fn(&str) -> bool) {
        let waited = until(Duration::from_secs(5), || done(&self.said()));
        assert!(waited.is_some(), "waited for: {what}. It said:\n{}", self.said());
    }

    /// Waits until it says this.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |said| said.contains(text));
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid(self.child.id()), signal).unwrap();
    }

    /// Its direct children.
    pub fn children(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Its direct children that are processes of ours, not commands.
    pub fn roles(&self) -> Vec<Pid> {
        let is_ours = |child: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            name.starts_with("aldabad: ")
        };
        self.children().into_iter().filter(is_ours).map(pid).collect()
    }

    /// SIGKILL for the daemon and its children, all at once as far as one can.
    pub fn kill_everything(&mut self) {
        let children = self.children();
        self.signal(Signal::KILL);
        for child in children {
            kill_process(pid(child), Signal::KILL).ok();
        }
        self.child.wait().unwrap();
    }

    /// SIGKILL for the daemon's first process only.
    pub fn kill_alone(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for its end, at most this long.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        until(limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status
    }

    /// SIGTERM, then its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let status = self.wait(Duration::from_secs(10));
        status.unwrap_or_else(|| panic!("it does not stop. It said:\n{}", self.said()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
