//! From nothing to a shell: init, keygen, user add, enrol, ssh, on a host that drops by default, with Debian's sshd, ssh and
//! nmap; every command as the programs themselves print it.
#![expect(clippy::disallowed_methods, reason = "real programs take real time; every wait is bounded")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aldaba_tests::hosts::{CLIENT, SERVER};
use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, Sshd, cannot_run, until};

/// What a careful administrator has.
const DEFAULT_DROP: &str = "table inet filter { chain input { type filter hook input priority filter; policy drop; \
    iif lo accept; ct state established,related accept; }; }";

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    sshd: Sshd,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What stands behind `label` in a line of its own.
fn after<'a>(said: &'a str, label: &str) -> &'a str {
    let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label:?} in\n{said}")).trim()
}

impl Scene {
    fn new() -> Option<Self> {
        if cannot_run().is_some() {
            return None;
        }
        let hosts = Hosts::new();
        let dir = tempfile::tempdir().expect("a folder");
        hosts.on_server(&["nft", DEFAULT_DROP]);
        let sshd = Sshd::start(&hosts, dir.path());
        Some(Self { hosts, dir, sshd })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command line on one of the hosts, with our programs in the path and a home of its own.
    fn shell(&self, host: &str, line: &str) -> Command {
        let programs = binary("aldaba").parent().expect("a folder").to_owned();
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host, "sh", "-c", line]).env("PATH", path);
        command.env("HOME", self.path(host)).env("USER", "alice").env_remove("XDG_CONFIG_HOME");
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs it and fails unless it succeeds; what it said on both.
    fn run(&self, host: &str, line: &str) -> String {
        let output = self.output(host, line);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{line}: {said}");
        said
    }

    fn output(&self, host: &str, line: &str) -> Output {
        std::fs::create_dir_all(self.path(host)).expect("a home");
        self.shell(host, line).output().expect("a shell")
    }

    fn on_server(&self, line: &str) -> String {
        self.run(&self.hosts.server, line)
    }

    fn on_client(&self, line: &str) -> String {
        self.run(&self.hosts.client, line)
    }

    /// Everything up to an enrolled client and a running daemon.
    fn enrolled(&self) -> Program {
        let said = self.on_server(&format!("aldabad init --dir etc --state-dir state --host {SERVER}"));
        for line in said.lines().filter(|line| line.starts_with("  nft ")) {
            self.on_server(line);
        }
        let daemon = self.daemon();
        let said = self.on_client(
            "aldaba keygen -o \"$HOME/key\" && install -D -m 600 \"$HOME/key\" \"$HOME/.config/aldaba/id\"",
        );
        let next = after(&said, "next, on the server:").replace("NAME", "alice/laptop");
        self.on_server(&format!("{next} --config etc/aldaba.toml --control control >bundle"));
        self.on_client("aldaba enrol bundle --name gw");
        daemon
    }

    fn daemon(&self) -> Program {
        let (program, config) = (binary("aldabad"), self.path("etc/aldaba.toml"));
        let control = format!("control = \"{}\"\n", self.path("control").display());
        let written = std::fs::read_to_string(&config).expect("made by init");
        std::fs::write(&config, control + &written).expect("written");
        let words = [program.to_str().expect("plain"), "run", "--config", config.to_str().expect("plain")];
        let daemon = Program::start(&self.hosts, &words, &self.path("log"));
        daemon.wait_for("started version=");
        daemon
    }

    /// `ssh` to the enrolled server, with what `ssh-config` prints and these settings in front.
    fn ssh(&self, settings: &str, command: &str) -> String {
        let config = self.path("ssh_config");
        self.on_client(&format!("aldaba ssh-config gw >{}", config.display()));
        let options: Vec<String> = self.sshd.options().split_off(2);
        format!("ssh -F {} {settings} {} root@gw {command}", config.display(), options.join(" "))
    }

    /// What nmap says of all TCP ports and of many UDP ports, without the times.
    fn scanned(&self) -> String {
        let all = format!("nmap -n -Pn -sS -p1-65535 --max-retries 0 --min-rate 15000 -oG - {SERVER}");
        let udp = format!(
            "nmap -n -Pn -sU -p1-1100,{} --max-retries 0 --min-rate 2000 -oG - {SERVER}",
            self.port()
        );
        let said = self.on_client(&all) + &self.on_client(&udp);
        said.lines().filter(|line| line.starts_with("Host:")).collect::<Vec<_>>().join("\n")
    }

    /// The port that init drew; before it, the highest there is.
    fn port(&self) -> String {
        let config = std::fs::read_to_string(self.path("etc/aldaba.toml")).unwrap_or_default();
        config.lines().find_map(|line| line.strip_prefix("port = ")).unwrap_or("65535").to_owned()
    }
}

/// A session that stays: what is said comes back.
struct Session {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Session {
    fn start(scene: &Scene, settings: &str) -> Self {
        let line = scene.ssh(settings, "cat");
        let mut command = scene.shell(&scene.hosts.client, &line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, answers }
    }

    fn says(&mut self, word: &str) -> bool {
        let said = writeln!(self.child.stdin.as_mut().expect("piped"), "{word}");
        let mut answer = String::new();
        said.is_ok() && self.answers.read_line(&mut answer).is_ok() && answer.trim() == word
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn connect(rest: &str) -> String {
    format!("-o ProxyUseFdpass=no -o 'ProxyCommand=aldaba connect {rest} gw %p'")
}

#[test]
fn five_commands_end_in_a_shell_and_a_scan_sees_nothing_before_and_after() {
    let Some(scene) = Scene::new() else { return };
    let before = scene.scanned();
    for state in ["/open/", "/closed/", "Ignored State: closed"] {
        assert!(!before.contains(state), "{before}");
    }
    let daemon = scene.enrolled();
    assert!(!scene.hosts.reachable(22), "closed");
    let said = scene.on_client(&scene.ssh("", "echo in a shell"));
    assert_eq!(said.lines().last(), Some("in a shell"), "{said}");
    daemon.wait_for(&format!("opened door=ssh address={CLIENT} lease=30s"));
    scene.on_client("aldaba close gw");
    daemon.wait_for("closed door=ssh");
    let after = scene.scanned();
    assert_eq!(after, before);
    assert!(until(Duration::from_secs(1), || !scene.hosts.reachable(22)).is_some());
}

#[test]
fn a_session_outlives_its_lease_and_a_new_one_is_refused() {
    let Some(scene) = Scene::new() else { return };
    let daemon = scene.enrolled();
    // Without passing the descriptor: the client relays.
    let mut session = Session::start(&scene, &connect("--for 2s"));
    assert!(session.says("early"));
    daemon.wait_for("closed door=ssh");
    assert!(until(Duration::from_secs(2), || !scene.hosts.reachable(22)).is_some(), "closed for new ones");
    assert!(session.says("late"), "the session goes on");
    let refused = scene.output(
        &scene.hosts.client,
        &format!("ssh -F none {} root@{SERVER} true", scene.sshd.options().split_off(2).join(" ")),
    );
    assert!(!refused.status.success());
    assert!(session.says("later"));
}

/// R28, its last word: a packet from outside.
#[test]
fn r28_the_client_sees_from_outside_that_a_door_closes() {
    let Some(scene) = Scene::new() else { return };
    let daemon = scene.enrolled();
    let said = scene.on_client("aldaba try gw --for 2s");
    daemon.wait_for("closed door=ssh");
    for part in [
        "before the knock, 10.9.0.1 port 22: no answer\n",
        ": open ssh for 2s, to 10.9.0.1 UDP port ",
        "after it, 10.9.0.1 port 22: it answers\n",
        "door ssh of gw is closed, opens for this device, and closes again\n",
    ] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    // One that is open to everybody.
    scene.on_server("nft insert rule inet filter input tcp dport 22 accept");
    let before = scene.output(&scene.hosts.client, "aldaba try gw");
    let said = text(&before.stderr);
    assert_eq!(before.status.code(), Some(3), "{said}");
    assert!(said.contains("door ssh of gw is open before any knock\n  help: "), "{said}");
}

#[test]
fn every_answer_names_the_next_step() {
    let Some(scene) = Scene::new() else { return };
    let daemon = scene.enrolled();
    let said = scene.on_client("aldaba hello gw");
    daemon.wait_for("hello device=alice/laptop");
    let why = said.lines().find(|line| line.trim().starts_with("aldabad why "));
    let told = scene.on_server(&format!("{} --control control", why.expect("the next command").trim()));
    assert!(told.contains("alice/laptop") && told.contains("hello"), "{told}");
    // A clock that is hours off, which no test can set: the knock of another device stands for what why says.
    let said = scene.on_server("aldabad user remove alice/laptop --config etc/aldaba.toml --control control");
    assert!(said.contains("aldabad"), "{said}");
    let refused = scene.output(&scene.hosts.client, "aldaba open gw --wait=1s");
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    daemon.wait_for("why=unknown-device");
    let ids: Vec<String> = knock_ids(&text(&refused.stderr));
    let told = scene.on_server(&format!("aldabad why {} --control control", ids.first().expect("an id")));
    assert!(told.contains("unknown"), "{told}");
}

/// Sixteen hexadecimal digits each.
fn knock_ids(said: &str) -> Vec<String> {
    let words = said.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_own_table_keeps_the_port_closed_where_no_firewall_was() {
    let Some(scene) = Scene::new() else { return };
    scene.hosts.on_server(&["nft", "flush ruleset"]);
    assert!(scene.hosts.reachable(22), "open to everybody");
    let daemon = scene.enrolled();
    assert!(until(Duration::from_secs(1), || !scene.hosts.reachable(22)).is_some());
    let said = scene.on_client(&scene.ssh("", "echo in a shell"));
    assert_eq!(said.lines().last(), Some("in a shell"), "{said}");
    daemon.wait_for("opened door=ssh");
    assert!(Path::new("/run/sshd").exists());
}
