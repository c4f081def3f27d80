//! `knockd` with the configuration of many tutorials, the real iptables, knock and sshd.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_packet::build::{Frame, flag};
use aldaba_tests::hosts::{CLIENT, IF, SERVER};
use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, Sshd, Wire, cannot_run, until};

/// As it is printed in many places.
const TUTORIAL: &str = "[options]
      logfile = /var/log/knockd.log
[opencloseSSH]
      sequence      = 2222,3333,4444
      seq_timeout   = 15
      tcpflags      = syn,ack
      start_command = /usr/sbin/iptables -I INPUT 1 -s %IP% -p tcp --syn --dport 22 -j ACCEPT
      cmd_timeout   = 10
      stop_command  = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT
";

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
    sshd: Sshd,
}

fn scene(config: &str) -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(&hosts, dir.path());
    for rule in
        ["-P INPUT DROP", "-A INPUT -i lo -j ACCEPT", "-A INPUT -m state --state ESTABLISHED -j ACCEPT"]
    {
        let words: Vec<&str> = std::iter::once("iptables").chain(rule.split(' ')).collect();
        hosts.on_server(&words);
    }
    let path = dir.path().join("knockd.conf");
    let log = dir.path().join("knockd.log");
    std::fs::write(&path, config.replace("/var/log/knockd.log", log.to_str().expect("a plain name")))
        .expect("the test folder");
    let daemon = knockd(&hosts, dir.path(), &path);
    Some(Scene { hosts, dir, daemon, sshd })
}

fn knockd(hosts: &Hosts, dir: &Path, config: &Path) -> Program {
    let (program, state) = (binary("knockd"), format!("STATE_DIRECTORY={}", dir.join("state").display()));
    let words = [
        "env",
        &state,
        program.to_str().expect("a plain name"),
        "-v",
        "-i",
        IF,
        "-c",
        config.to_str().expect("a plain name"),
    ];
    let daemon = Program::start(hosts, &words, &dir.join("output"));
    daemon.wait_for("listening on srv0...");
    daemon
}

impl Scene {
    /// Whether an SSH server answers the client with its banner.
    fn ssh_answers(&self) -> bool {
        let output = self.hosts.on_client(&["ssh-keyscan", "-T", "1", "-t", "ed25519", &SERVER.to_string()]);
        String::from_utf8_lossy(&output.stdout).contains("ssh-ed25519")
    }

    fn rules(&self) -> String {
        self.hosts.on_server(&["iptables", "-S", "INPUT"])
    }

    /// Debian's client, or ours.
    fn knock(&self, client: &Path, ports: &[&str]) {
        let server = SERVER.to_string();
        let words = [&[client.to_str().expect("a plain name"), "-d", "20", &server][..], ports].concat();
        let output = self.hosts.on_client(&words);
        assert!(output.status.success(), "{output:?}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("knockd.log")).unwrap_or_default()
    }
}

/// Knockds with a state folder in common, each with a configuration of its own.
struct Siblings {
    hosts: Hosts,
    dir: tempfile::TempDir,
}

impl Siblings {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts one on this interface, by these words.
    fn start(&self, prefix: &[&str], name: &str, interface: &str) -> Program {
        let [config, log, open, closed] = ["conf", "log", "open", "closed"]
            .map(|what| self.path(&format!("{name}.{what}")).display().to_string());
        let text = format!(
            "[options]\n logfile = {log}\n[good]\n sequence = 7395,2805,8817\n tcpflags = syn\n cmd_timeout = 2\n \
             start_command = touch {open}\n stop_command = rm -f {open}; echo >> {closed}\n"
        );
        std::fs::write(&config, text).expect("the test folder");
        let (set, program) = (format!("STATE_DIRECTORY={}", self.path("state").display()), binary("knockd"));
        let words = ["env", &set, program.to_str().expect("plain"), "-v", "-i", interface, "-c", &config];
        let daemon =
            Program::start(&self.hosts, &[prefix, &words].concat(), &self.path(&format!("{name}.output")));
        daemon.wait_for(&format!("listening on {interface}..."));
        daemon
    }

    fn open(&self, name: &str) {
        self.hosts.knock(&[7395, 2805, 8817]);
        let file = self.path(&format!("{name}.open"));
        assert!(until(Duration::from_secs(10), || file.exists()).is_some(), "{}", self.said(name));
    }

    fn is_open(&self, name: &str) -> bool {
        self.path(&format!("{name}.open")).exists()
    }

    fn closes_once(&self, name: &str) {
        assert!(until(Duration::from_secs(20), || !self.is_open(name)).is_some(), "{}", self.said(name));
        let closed = || std::fs::read(self.path(&format!("{name}.closed"))).map_or(0, |lines| lines.len());
        assert!(
            until(Duration::from_secs(5), || closed() > 0).is_some() && closed() == 1,
            "{}",
            self.said(name)
        );
    }

    /// The folders of state, by the configuration in their names.
    fn has_folder(&self, name: &str) -> bool {
        let folders = std::fs::read_dir(self.path("state")).expect("it is there").flatten();
        folders.map(|folder| folder.file_name().into_string().expect("plain")).any(|of| of.contains(name))
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
}

/// R1: everything is killed, and what is started next is another one, here of another configuration and interface: the doors of the one
/// before have their closer all the same; but not one in another network namespace, where nothing could be taken out, nor one of which a
/// daemon lives.
#[test]
fn r1_a_knockd_closes_what_one_of_another_interface_has_left() {
    if cannot_run().is_some() {
        return;
    }
    let scene = Siblings { hosts: Hosts::new(), dir: tempfile::tempdir().expect("a folder") };
    let mut first = scene.start(&[], "first", IF);
    scene.open("first");
    let beside = scene.start(&[], "beside", "lo");
    scene.closes_once("first");
    scene.open("first");
    first.kill_everything();
    std::fs::remove_file(scene.path("first.closed")).expect("it was closed before");
    let elsewhere = scene.start(&["ip", "netns", "exec", &scene.hosts.client], "elsewhere", "lo");
    let said = || scene.said("elsewhere").contains("left alone, its doors are in another network namespace");
    assert!(until(Duration::from_secs(10), said).is_some(), "{}", scene.said("elsewhere"));
    assert!(scene.is_open("first") && scene.has_folder("first"), "{}", scene.said("elsewhere"));
    let next = scene.start(&[], "next", "lo");
    scene.closes_once("first");
    // Its folder goes with the last lease, and nobody is left of those that looked.
    assert!(
        until(Duration::from_secs(10), || !scene.has_folder("first")).is_some(),
        "{}",
        scene.said("next")
    );
    let closes_for_others = || [&beside, &elsewhere, &next].map(closers_of_others).concat();
    assert!(
        until(Duration::from_secs(10), || closes_for_others().is_empty()).is_some(),
        "{:?}",
        closes_for_others()
    );
    assert!(["beside", "elsewhere", "next"].iter().all(|name| scene.has_folder(name)));
}

/// The closers that a daemon has started for what others have left, ended ones too.
fn closers_of_others(daemon: &Program) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.is_empty() || words.split(|byte| *byte == 0).any(|word| word == b"left")
    };
    daemon.children().into_iter().filter(is_one).collect()
}

fn clients() -> [PathBuf; 2] {
    ["/usr/bin/knock".into(), binary("knock")]
}

#[test]
fn the_tutorials_door_opens_with_syn_and_closes_again() {
    let config = TUTORIAL.replace("syn,ack", "syn").replace("cmd_timeout   = 10", "cmd_timeout   = 2");
    let Some(scene) = scene(&config) else { return };
    assert!(!scene.ssh_answers(), "closed");
    let before = scene.rules();
    for client in clients() {
        scene.knock(&client, &["2222", "3333", "4444"]);
        scene.daemon.wait_for("OPEN SESAME");
        assert!(until(Duration::from_secs(5), || scene.rules().contains("10.9.0.2/32")).is_some());
        assert!(scene.ssh_answers(), "open after {}", client.display());
        assert!(until(Duration::from_secs(4), || scene.rules() == before).is_some(), "{}", scene.rules());
    }
    let log = scene.log();
    for line in [
        "10.9.0.2: opencloseSSH: Stage 1",
        "OPEN SESAME",
        "command timeout",
        "running command: /usr/sbin/iptables -D",
    ] {
        assert_eq!(log.matches(line).count(), 2, "{line} in\n{log}");
    }
    assert!(scene.sshd.program.pid() > 0);
}

#[test]
fn as_printed_no_client_opens_it_and_check_says_why() {
    let Some(scene) = scene(TUTORIAL) else { return };
    for client in clients() {
        scene.knock(&client, &["2222", "3333", "4444"]);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(!scene.log().contains("Stage"), "{}", scene.log());
    let program = binary("aldabad");
    let config = scene.dir.path().join("knockd.conf");
    let check = scene.hosts.on_client(&[
        program.to_str().expect("a plain name"),
        "check",
        config.to_str().expect("a plain name"),
    ]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains("knockd.conf:6:") && said.contains("tcpflags"), "{said}");
    // But a packet that carries both flags does.
    scene.hosts.as_client(|| {
        let mut wire = Wire::open();
        for port in [2222, 3333, 4444] {
            wire.send(
                &Frame::tcp(CLIENT, 40_000 + port, SERVER, port)
                    .flags(flag::SYN | flag::ACK)
                    .sequence(port.into()),
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    scene.daemon.wait_for("OPEN SESAME");
    assert!(until(Duration::from_secs(1), || scene.rules().contains("10.9.0.2/32")).is_some());
}

#[test]
fn a_separate_sequence_closes() {
    let config = "[options]\n  logfile = /var/log/knockd.log\n\
        [openSSH]\n  sequence = 7000,8000,9000\n  seq_timeout = 5\n  tcpflags = syn\n\
        command = /usr/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n\
        [closeSSH]\n  sequence = 9000,8000,7000\n  seq_timeout = 5\n  tcpflags = syn\n\
        command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n";
    let Some(scene) = scene(config) else { return };
    let before = scene.rules();
    scene.knock(&clients()[0], &["7000", "8000", "9000"]);
    assert!(until(Duration::from_secs(2), || scene.rules() != before).is_some());
    assert!(scene.ssh_answers());
    scene.knock(&clients()[1], &["9000", "8000", "7000"]);
    assert!(until(Duration::from_secs(2), || scene.rules() == before).is_some(), "{}", scene.rules());
    assert!(!scene.ssh_answers());
}

#[test]
fn one_time_sequences_open_once_each() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), " 2222,3333,4444\n 2223:udp,3334,4445\n").expect("the test folder");
    let config = TUTORIAL
        .replace("tcpflags      = syn,ack", "tcpflags = syn")
        .replace("sequence      = 2222,3333,4444", &format!("one_time_sequences = {}", file.path().display()))
        .replace("cmd_timeout   = 10", "cmd_timeout   = 1");
    let Some(scene) = scene(&config) else { return };
    let before = scene.rules();
    scene.knock(&clients()[0], &["2222", "3333", "4444"]);
    scene.daemon.wait_for("OPEN SESAME");
    assert!(until(Duration::from_secs(4), || scene.rules() == before).is_some());
    scene.knock(&clients()[0], &["2222", "3333", "4444"]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(scene.log().matches("OPEN SESAME").count(), 1, "a used sequence is dead");
    scene.knock(&clients()[1], &["2223:udp", "3334", "4445"]);
    scene.daemon.wait_until("the second one", |said| said.matches("OPEN SESAME").count() == 2);
    let text = std::fs::read_to_string(file.path()).expect("the test folder");
    assert_eq!(text, "#2222,3333,4444\n#2223:udp,3334,4445\n");
}

/// What a line leaves in the background is nobody's but the administrator's: it outlives the line, its stop line and the daemon.
#[test]
fn what_a_line_leaves_in_the_background_lives_on() {
    let line = "(env -i setsid sleep 54311 &) >/dev/null 2>&1; sleep 54312 >/dev/null 2>&1 &";
    let config = format!(
        "[options]\n[leaves]\nsequence = 2222,3333\ntcpflags = syn\nstart_command = {line}\ncmd_timeout = 1\n\
         stop_command = echo %IP% is out\n"
    );
    let Some(mut scene) = scene(&config) else { return };
    scene.knock(&clients()[1], &["2222", "3333"]);
    scene.daemon.wait_for("10.9.0.2 is out");
    let alive = || {
        let pids = scene.hosts.on_server(&["ip", "netns", "pids", &scene.hosts.server]);
        let command = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_left = |pid: &&str| command(pid).starts_with("sleep\x005431");
        pids.lines().filter(is_left).filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    };
    let left = alive();
    assert_eq!(left.len(), 2, "{}", scene.daemon.said());
    scene.daemon.stop();
    let still = alive();
    for pid in left.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lived");
    }
    assert_eq!(still, left);
}
