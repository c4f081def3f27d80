//! `aldabad doctor` on a host whose firewall is right, and on hosts where it is not: each finding beside what a client meets.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

use std::process::Command;

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run};

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
        if cannot_run().is_some() {
            return None;
        }
        let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
        hosts.wait_for_link();
        let daemon = Program::aldabad(&hosts, dir.path(), CONFIG);
        Some(Self { hosts, dir, daemon })
    }

    /// What it finds, and its exit code.
    fn doctor(&self, more: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts.server]).arg(binary("aldabad")).arg("doctor").args(more);
        command.arg("--config").arg(self.dir.path().join("aldaba.toml"));
        let output = command.arg("--control").arg(self.dir.path().join("control.sock")).output();
        let output = output.expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// It finds nothing bad but this, which it says with all these words.
    fn finds(&self, about: &str, words: &[&str]) {
        let (code, said) = self.doctor(&[]);
        let bad: Vec<&str> = said.lines().filter(|line| line.starts_with("BAD")).collect();
        assert!(code == Some(1) && !bad.is_empty(), "{said}");
        assert!(bad.iter().all(|line| line.contains(&format!("BAD       {about}: "))), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} in\n{said}");
        }
    }

    fn nft(&self, text: &str) {
        self.hosts.on_server(&["nft", text]);
    }
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
        "srv0 is up",
        "over IPv6: inet aldaba guard keeps",
        "at ::",
        "nc -zvw2",
    ] {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    let (_, json) = scene.doctor(&["--json"]);
    let found: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let about: Vec<&str> =
        found.as_array().expect("a list").iter().filter_map(|it| it["about"].as_str()).collect();
    assert_eq!(about, ["daemon", "capture", "addresses", "closed", "closed", "service"]);
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
fn r28_a_port_that_stands_open_is_named() {
    let Some(mut scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.daemon.kill_everything();
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
    let (code, said) = scene.doctor(&[]);
    let good = "good      set: the set inet filter ssh_open can hold an address for a time";
    assert!(code == Some(0) && said.contains(good), "{said}");
}
