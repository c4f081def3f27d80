//! `aldabad doctor` on a host whose firewall is right, and on hosts where it is not: each finding beside what a client meets.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "doctor/rules.rs"]
mod rules;

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run};
use rustix::process::Signal;

const CONFIG: &str = r#"
interfaces = ["srv0"]

[[door]]
name = "ssh"
sequence = "7000,8000,9000"
ports = ["2222/tcp"]
lease = "30s"
"#;

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

impl Scene {
    fn new() -> Option<Self> {
        Self::with(CONFIG, &[])
    }

    fn with(config: &str, more: &[&str]) -> Option<Self> {
        if cannot_run().is_some() {
            return None;
        }
        let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
        hosts.wait_for_link();
        let config = config.replace("FOLDER", dir.path().to_str().expect("plain"));
        let daemon = Program::aldabad_with(&hosts, dir.path(), &config, more);
        Some(Self { hosts, dir, daemon })
    }

    /// What it finds, and its exit code. Who starts the daemon again is nobody, where it is a test.
    fn doctor(&self, more: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts.server]).arg(binary("aldabad")).arg("doctor").args(more);
        command.arg("--config").arg(self.dir.path().join("aldaba.toml"));
        let output = command.arg("--control").arg(self.dir.path().join("control.sock")).output();
        let output = output.expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let unit = said.find("doubtful  unit: ").map(|at| (at, said[at..].match_indices('\n').nth(1)));
        if let Some((at, Some((length, _)))) = unit {
            return (output.status.code(), said[..at].to_owned() + &said[at + length + 1..]);
        }
        (output.status.code(), said)
    }

    /// It finds nothing bad but this, which it says with all these words.
    fn finds(&self, about: &str, words: &[&str]) {
        let (code, said) = self.doctor(&[]);
        let bad: Vec<&str> = said.lines().filter(|line| line.starts_with("BAD")).collect();
        assert!(code == Some(1) && !bad.is_empty(), "{said}");
        // What the daemon itself says of it is no other finding.
        let is_it = |line: &&str| {
            line.contains(&format!("BAD       {about}: ")) || line.ends_with(&format!(": {about}"))
        };
        assert!(bad.iter().all(is_it), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} in\n{said}");
        }
    }

    fn nft(&self, text: &str) {
        self.hosts.on_server(&["nft", text]);
    }
}

/// A folder that others can enter costs doors by element nothing, and opens no door with a stop command.
#[test]
fn r28_a_daemon_whose_doors_cannot_open_is_named() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    hosts.wait_for_link();
    std::fs::create_dir(dir.path().join("state")).expect("made");
    let loose = Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("state"), loose).expect("its mode");
    let daemon = Program::aldabad_with(&hosts, dir.path(), CONFIG, &[]);
    let scene = Scene { hosts, dir, daemon };
    let (code, said) = scene.doctor(&[]);
    assert!(code == Some(0) && said.contains("doubtful  daemon: ") && said.contains(": state\n"), "{said}");
    let commands = "start = [\"/bin/true\"]\nstop = [\"/bin/true\"]\nlease = \"30s\"\n";
    let config = format!("{CONFIG}[[door]]\nname = \"web\"\nsequence = \"7001,8001,9001\"\n{commands}");
    std::fs::write(scene.dir.path().join("aldaba.toml"), config).expect("written");
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reloaded doors=2");
    scene.finds("daemon", &["something does not work: state\n", "help: aldabad status"]);
}

#[test]
fn r28_where_all_is_right_nothing_is_bad() {
    let Some(scene) = Scene::new() else { return };
    let (code, said) = scene.doctor(&[]);
    assert!(
        code == Some(0) && said.contains("doubtful  service: door ssh: nothing listens on 2222/tcp"),
        "{said}"
    );
    let _listener = scene.hosts.listen(2222);
    let (code, said) = scene.doctor(&[]);
    assert!(code == Some(0) && !said.contains("doubtful"), "{said}");
    for part in [
        "good      daemon: a daemon answers",
        "and all is well with it",
        "good      packets: srv0: ",
        "looks at packets as user ",
        "srv0 is up",
        "over IPv6: inet aldaba guard keeps",
        "at ::",
        "nc -zvw2",
    ] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    let (_, json) = scene.doctor(&["--json"]);
    let found: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let about = found.as_array().expect("a list").iter().filter_map(|it| it["about"].as_str());
    let about: Vec<&str> = about.filter(|about| *about != "unit").collect();
    let expected = ["daemon", "packets", "worker", "capture", "addresses", "closed", "closed", "service"];
    assert_eq!(about, expected);
    println!("figure: R28 {} findings where all is right, none of them bad", about.len());
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let (_, said) = scene.doctor(&[]);
    assert!(said.contains(" packets passed the filter, none was dropped"), "{said}");
}

#[test]
fn r28_a_worker_that_is_not_confined_is_named() {
    let Some(scene) = Scene::with(CONFIG, &["--insecure-no-sandbox"]) else { return };
    let _listener = scene.hosts.listen(2222);
    scene.finds("worker", &["is not confined: any system call is open to it", "--insecure-no-sandbox"]);
    let (_, said) = scene.doctor(&[]);
    assert!(said.contains("doubtful  daemon: ") && said.contains("does not work: sandbox\n"), "{said}");
}

#[test]
fn r28_answers_that_leave_another_way_are_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    let far = Ipv4Addr::new(192, 0, 2, 50);
    let on_client = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        assert!(scene.hosts.on_client(&words).status.success(), "{words:?}");
    };
    on_client("ip addr add 192.0.2.50/32 dev cli0");
    for words in [
        "link add wan0 type veth peer name wan1",
        "addr add 203.0.113.2/24 dev wan0",
        "link set wan0 up",
        "route add default dev wan0",
    ] {
        scene.hosts.ip(&words.split(' ').collect::<Vec<_>>());
    }
    scene.hosts.on_server(&["sysctl", "-qw", "net.ipv4.conf.srv0.rp_filter=2"]);
    scene.hosts.on_server(&["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0"]);
    assert!(!scene.doctor(&[]).1.contains("routes: "));
    scene.hosts.on_server(&["sysctl", "-qw", "net.ipv4.conf.srv0.rp_filter=1"]);
    let (code, said) = scene.doctor(&[]);
    let named = "doubtful  routes: srv0 is strict about sources (rp_filter = 1), and the default route leads through wan0";
    assert!(code == Some(0) && said.contains(named) && said.contains("rp_filter=2"), "{said}");
    // So it is: the knock is heard, and the connection behind it is not.
    // (The host must know its neighbour, whom it would not ask in the name of an address it does not believe.)
    scene.hosts.knock(&[1]);
    scene.hosts.knock_from(far.into(), &[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh address=192.0.2.50");
    let reachable = || {
        scene.hosts.on_client(&["nc", "-z", "-w1", "-s", "192.0.2.50", "10.9.0.1", "2222"]).status.success()
    };
    assert!(!reachable());
    scene.hosts.ip(&["route", "add", "192.0.2.50", "dev", "srv0"]);
    assert!(reachable(), "with a way back it is heard");
    scene.hosts.ip(&["route", "add", "default", "dev", "srv0", "metric", "5"]);
    assert!(!scene.doctor(&[]).1.contains("routes: "));
}

#[test]
fn r28_a_set_that_lets_nobody_in_or_keeps_nobody_out_is_named() {
    let config = CONFIG.replace(r#"ports = ["2222/tcp"]"#, "set = \"inet filter knocked\"");
    let Some(scene) = Scene::with(&config, &[]) else { return };
    let _listener = scene.hosts.listen(2222);
    scene.nft("add table inet filter; add chain inet filter input { type filter hook input priority filter; policy accept; }; \
        add set inet filter knocked { type ipv4_addr; flags timeout; }");
    scene.daemon.wait_until("the set is found", |_| aldaba_tests::degraded(scene.dir.path()).is_empty());
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    scene.finds(
        "order",
        &[
            "no rule of that table asks for it",
            "nft insert rule inet filter CHAIN ip saddr @knocked tcp dport PORT accept",
        ],
    );
    scene.nft("add rule inet filter input tcp dport 2222 drop");
    scene.nft("add rule inet filter input ip saddr @knocked tcp dport 2222 accept");
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    let help = "nft insert rule inet filter input ip saddr @knocked tcp dport 2222 accept";
    scene.finds("order", &["inet filter input drops it also for those in the set", help]);
    // What it says helps.
    scene.nft(help.trim_start_matches("nft "));
    assert!(scene.hosts.reachable(2222));
    let (code, said) = scene.doctor(&[]);
    let good = "set inet filter knocked, 2222/tcp over IPv4: inet filter input keeps strangers out";
    assert!(
        code == Some(0) && said.contains(good) && said.contains("a service listens on 2222/tcp"),
        "{said}"
    );
    scene.nft("table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 2222 redirect to :8022; }; }");
    let (code, said) = scene.doctor(&[]);
    let named =
        "doubtful  around: door ssh, set inet filter knocked, 2222/tcp over IPv4: a rule in ip nat pre sends";
    assert!(code == Some(0) && said.contains(named), "{said}");
    scene.nft("delete table ip nat");
    scene.nft(
        "flush chain inet filter input; add rule inet filter input ip saddr @knocked tcp dport 2222 accept",
    );
    scene.finds("closed", &["stands open to everybody, who is in the set and who is not"]);
}

#[test]
fn r28_a_program_that_others_can_change_is_named() {
    let commands = "start = [\"FOLDER/open/it\", \"{ip}\"]\nstop = [\"/bin/true\", \"{ip}\"]";
    let Some(scene) = Scene::with(&CONFIG.replace(r#"ports = ["2222/tcp"]"#, commands), &[]) else { return };
    let folder = scene.dir.path().join("open");
    let program = folder.join("it");
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
    scene.daemon.wait_for("degraded what=command");
    scene.finds("command", &["there is no program", "`command -v it` prints it"]);
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(&program, "#!/bin/sh\n").expect("written");
    mode(&program, 0o644);
    scene.finds("command", &["it is not executable", "chmod +x"]);
    mode(&program, 0o775);
    scene.finds("command", &["its group can change this program", "chmod go-w"]);
    mode(&program, 0o755);
    mode(&folder, 0o777);
    scene.finds("command", &["everybody can put another program in the place of", "chmod go-w"]);
    mode(&folder, 0o755);
    scene.daemon.wait_for("program-found");
    let (code, said) = scene.doctor(&[]);
    assert!(
        code == Some(0) && said.contains("good      command: the programs of all commands are there"),
        "{said}"
    );
}

#[test]
fn r28_a_drop_in_another_table_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.nft(
        "table inet filter { chain input { type filter hook input priority filter; policy drop; \
        ct state established,related accept; tcp dport 22 accept; }; }",
    );
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    scene.finds(
        "order",
        &["inet filter input drops it by its policy", "insert rule inet filter input tcp dport 2222 accept"],
    );
    // What it says helps.
    scene.nft("insert rule inet filter input tcp dport 2222 accept");
    assert!(scene.hosts.reachable(2222));
    assert_eq!(scene.doctor(&[]).0, Some(0));
}

/// What is wrong with one port in the middle of a range is not overlooked.
#[test]
fn r28_one_port_of_a_range_is_named() {
    let Some(scene) = Scene::with(&CONFIG.replace("2222/tcp", "2200-2300/tcp"), &[]) else { return };
    let _listener = scene.hosts.listen(2222);
    assert_eq!(scene.doctor(&[]).0, Some(0));
    let chain = "chain input { type filter hook input priority filter; }";
    scene.nft(&format!("table inet filter {{ {chain}; }}; add rule inet filter input tcp dport 2222 drop"));
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    scene.finds(
        "order",
        &["2200-2300/tcp over IPv4, port 2222: the chain inet filter input drops it by a rule"],
    );
    scene.nft("delete table inet filter");
    let chain = "chain PREROUTING { type nat hook prerouting priority dstnat; }";
    scene.nft(&format!(
        "table ip nat {{ {chain}; }}; add rule ip nat PREROUTING tcp dport 2250-2260 redirect to :8022"
    ));
    scene.finds("around", &["port 2250: a rule in ip nat PREROUTING sends"]);
}

#[test]
fn r28_what_leads_around_the_table_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(8022)];
    // As container engines write it, with nft and with iptables; other ports and other rules are nobody's business.
    scene.nft("table ip nat { chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local counter jump DOCKER; }; \
        chain DOCKER { iifname \"docker0\" return; iifname != \"docker0\" tcp dport 8080 dnat to 172.17.0.2:80; }; }");
    assert_eq!(scene.doctor(&[]).0, Some(0));
    assert!(!scene.hosts.reachable(2222));
    scene.nft("add rule ip nat DOCKER iifname != \"docker0\" tcp dport 2222 redirect to :8022");
    assert!(scene.hosts.reachable(2222), "without a knock");
    scene.finds(
        "around",
        &["over IPv4: a rule in ip nat DOCKER sends", "reached without a knock", "DOCKER-USER"],
    );
    scene.nft("delete table ip nat");
    let iptables = |words: &str| {
        let line = format!("iptables -t nat {words}");
        scene.hosts.on_server(&line.split(' ').collect::<Vec<_>>());
    };
    iptables("-N DOCKER");
    iptables("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER");
    let publish = "! -i docker0 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 172.17.0.2:22";
    iptables(&format!("-A DOCKER -d 127.0.0.1/32 {publish}"));
    iptables(&format!("-A DOCKER -d 127.0.0.0/8 {publish}"));
    assert_eq!(scene.doctor(&[]).0, Some(0), "nobody from outside gets there");
    iptables(&format!("-A DOCKER {publish}"));
    scene.finds("around", &["a rule in ip nat DOCKER sends"]);
}

#[test]
fn r28_a_daemon_that_should_run_and_does_not_is_named() {
    let Some(mut scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    let written = scene.dir.path().join("state/in-force.toml");
    scene.daemon.wait_until("its policy is written down", |_| written.exists());
    scene.daemon.kill_everything();
    scene.finds("daemon", &["control.sock, and one was killed that did", "aldabad run --config"]);
    std::fs::remove_file(scene.dir.path().join("control.sock")).expect("it was left");
    let state = scene.dir.path().join("state");
    let config = format!("state-dir = {state:?}\n{CONFIG}");
    std::fs::write(scene.dir.path().join("aldaba.toml"), config).expect("written");
    scene.finds("daemon", &["although one has run with this configuration"]);
}

#[test]
fn r28_a_port_that_stands_open_is_named() {
    let Some(mut scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.daemon.kill_everything();
    // As before the first start: nothing tells the doctor of one.
    std::fs::remove_file(scene.dir.path().join("control.sock")).expect("it was left");
    let (code, said) = scene.doctor(&[]);
    assert!(
        code == Some(0) && said.contains("doubtful  daemon: no daemon answers"),
        "closed all the same: {said}"
    );
    scene.nft("delete table inet aldaba");
    assert!(scene.hosts.reachable(2222));
    scene.finds(
        "closed",
        &["2222/tcp over IPv4 stands open", "over IPv6 stands open", "aldabad firewall apply"],
    );
}

#[test]
fn r28_a_family_in_which_no_knock_is_seen_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    std::fs::write(scene.dir.path().join("aldaba.toml"), format!("ipv6 = false\n{CONFIG}")).expect("written");
    scene.finds("addresses", &["who connects by IPv6 is shut out", "AddressFamily inet"]);
}

#[test]
fn r28_a_set_that_cannot_be_used_is_named() {
    let Some(scene) = Scene::new() else { return };
    let config = CONFIG.replace(r#"ports = ["2222/tcp"]"#, "set = \"inet filter ssh_open\"");
    std::fs::write(scene.dir.path().join("aldaba.toml"), config).expect("written");
    let help = "help: nft add set inet filter ssh_open '{ type ipv4_addr; flags timeout; }'";
    scene.finds("set", &["the set inet filter ssh_open: there is no such table or set", help]);
    scene.nft("add table inet filter; add set inet filter ssh_open { type ipv4_addr . inet_service; flags timeout; }");
    scene.finds("set", &["its elements are several values together, and have to be an address each", help]);
    scene.nft("delete table inet filter; add table inet filter; add set inet filter ssh_open { type ipv4_addr; flags timeout; }");
    let (_, said) = scene.doctor(&[]);
    assert!(
        said.contains("good      set: the set inet filter ssh_open can hold an address for a time"),
        "{said}"
    );
}
