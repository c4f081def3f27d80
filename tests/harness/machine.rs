//! The server as a machine that boots: systemd is its first process. `machine.sh` says what it is made of.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Hosts, Program, until};

/// How long it may take to come up, on a host that is busy.
const BOOT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Machine {
    pub hosts: Hosts,
    power: Program,
    group: String,
    // Last: it is a mount point until the machine is gone.
    _folder: tempfile::TempDir,
}

impl Machine {
    /// Starts it with both hosts' cable plugged in. An error: why none can run here.
    pub fn boot() -> Result<Self, String> {
        if !Path::new("/lib/systemd/systemd").exists() {
            return Err("needs systemd (tests/run installs it)".to_owned());
        }
        let (hosts, folder) = (Hosts::new(), tempfile::tempdir().unwrap());
        hosts.wait_for_link();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/machine.sh");
        let group = hosts.server.clone();
        let place = folder.path().join("machine");
        std::fs::create_dir(&place).unwrap();
        let words = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--"];
        let own = [script.to_str().unwrap(), place.to_str().unwrap(), &group];
        let power = Program::start(&hosts, &[&words[..], &own[..]].concat(), &folder.path().join("power"));
        let mut machine = Self { hosts, power, group, _folder: folder };
        machine.wait_until_up()?;
        Ok(machine)
    }

    fn wait_until_up(&mut self) -> Result<(), String> {
        let mut ended = None;
        let up = until(BOOT, || {
            ended = self.power.wait(Duration::from_millis(1));
            let is_up = || ["running\n", "degraded\n"].contains(&self.state().as_str());
            ended.is_some() || self.init().is_some() && is_up()
        });
        match (up, ended) {
            (Some(_), None) => Ok(()),
            (up, ended) => {
                let how = match (up, ended) {
                    (_, Some(ended)) => ended.to_string(),
                    _ => format!("{}{}", self.state(), self.journal()),
                };
                let said = self.power.said();
                Err(format!("no systemd comes up as PID 1 of a machine of its own: {how}\n{said}"))
            }
        }
    }

    /// How far it has come, in systemd's word.
    fn state(&self) -> String {
        String::from_utf8_lossy(&self.run(&["systemctl", "is-system-running"]).stdout).into_owned()
    }

    /// Its first process, by its number on this host.
    fn init(&self) -> Option<Pid> {
        let mut pid = self.power.pid();
        // Below the programs that made its namespaces.
        loop {
            let about = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).ok();
            if about("comm")? == "systemd\n" {
                return Pid::from_raw(i32::try_from(pid).ok()?);
            }
            pid = about(&format!("task/{pid}/children"))?.split_whitespace().next()?.parse().ok()?;
        }
    }

    /// A file of the machine's, as it is found from here.
    pub fn path(&self, path: &str) -> PathBuf {
        let init = self.init().expect("the machine runs").as_raw_nonzero();
        PathBuf::from(format!("/proc/{init}/root{path}"))
    }

    /// Runs a program inside, whatever comes of it.
    pub fn run(&self, words: &[&str]) -> Output {
        let init = self.init().map_or_else(String::new, |pid| pid.as_raw_nonzero().to_string());
        let into = ["-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "--"];
        // Nothing of this process's environment is the machine's.
        let environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];
        Command::new("nsenter").args(["-t", &init]).args(into).args(environment).args(words).output().unwrap()
    }

    /// Runs lines of the shell inside and fails unless each succeeds.
    pub fn sh(&self, lines: &str) -> String {
        let output = self.run(&["sh", "-euc", lines]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{lines}\n{said}{errors}{}", self.journal());
        said
    }

    /// What is said there of a unit, in one word or line.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.sh(&format!("systemctl show --value -p {name} {unit}")).trim().to_owned()
    }

    /// Everything its units have logged since it was last started.
    pub fn journal(&self) -> String {
        let output = self.run(&["journalctl", "-b", "--no-pager", "-o", "short-monotonic"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until its journal has a line with this.
    pub fn wait_for(&self, text: &str) {
        let waited = until(Duration::from_secs(5), || self.journal().contains(text));
        assert!(waited.is_some(), "waited for: {text}. It logged:\n{}", self.journal());
    }

    /// Ends everything as a machine does that is told to restart, and starts again with the same disk.
    pub fn restart(&mut self) {
        let before = self.init();
        self.run(&["systemctl", "reboot"]);
        let gone = until(BOOT, || self.init() != before);
        assert!(gone.is_some(), "it does not go down");
        self.wait_until_up().unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() && self.init().is_some() {
            println!("{}", self.journal());
        }
        let Some(init) = self.init() else { return };
        // The namespace's first process takes all others with it.
        kill_process(init, Signal::KILL).ok();
        self.power.wait(Duration::from_secs(5));
        // A group is removed when it is empty, from the leaves on.
        let remove = "mount -t cgroup2 cgroup2 /mnt && find \"/mnt/$1\" -depth -type d -exec rmdir {} +";
        Command::new("unshare").args(["--mount", "sh", "-c", remove, "sh", &self.group]).output().ok();
    }
}
