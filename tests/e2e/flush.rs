//! Others change the firewall under open doors (hazard R7 of docs/reliability.md), on two hosts with the real one.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "flush/tables.rs"]
mod tables;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use aldaba_tests::{Device, Hosts, Program, degraded, device, serve_prepared, status, until};
use rustix::process::Signal;

const SSH: &str = r#"
interfaces = ["srv0"]

[[door]]
name = "ssh"
sequence = "7000,8000,9000"
ports = ["2222/tcp"]
lease = "60s"
"#;

/// Of datagrams.
const PORT: u16 = 42731;

/// A table of somebody else's, which nobody but its owner may touch.
const FOREIGN: &str = "add table inet other; add set inet other them { type ipv4_addr; }; \
                       add element inet other them { 192.0.2.1, 192.0.2.2 }; \
                       add chain inet other input { type filter hook input priority 5; policy accept; }; \
                       add rule inet other input ip saddr @them drop";

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
}

fn scene(config: &str, before: &str) -> Option<Scene> {
    scene_of(|_| config.to_owned(), before)
}

/// The configuration may speak of the folder.
fn scene_of(config: impl FnOnce(&Path) -> String, before: &str) -> Option<Scene> {
    let (hosts, dir, daemon) = serve_prepared(|hosts, dir| {
        if !before.is_empty() {
            hosts.on_server(&["nft", before]);
        }
        config(dir)
    })?;
    Some(Scene { hosts, dir, daemon })
}

fn client(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 5, number)
}

impl Scene {
    fn nft(&self, words: &str) -> String {
        self.hosts.on_server(&["nft", words])
    }

    fn open_for(&self, clients: u8) {
        self.open_by(clients, |client| self.hosts.knock_from(client, &[7000, 8000, 9000]));
    }

    /// Each of them knocks like this, and is in.
    fn open_by(&self, clients: u8, mut knock: impl FnMut(IpAddr)) {
        for number in 1..=clients {
            self.hosts.add_client(client(number));
            knock(client(number).into());
        }
        for number in 1..=clients {
            self.daemon.wait_for(&format!("opened door=ssh address={} ", client(number)));
        }
    }

    /// The seconds each address has left in a set.
    fn left(&self, set: &str) -> Vec<(String, u64)> {
        let text = self.hosts.on_server(&["sh", "-c", &format!("nft -j list set {set} 2>/dev/null || true")]);
        let text: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let sets = text["nftables"].as_array().cloned().unwrap_or_default();
        let elements = sets.iter().filter_map(|item| item["set"]["elem"].as_array()).flatten();
        let left = elements.map(|element| {
            let element = &element["elem"];
            let expires = element["expires"].as_u64().expect("it ends by itself");
            (element["val"].as_str().expect("an address").to_owned(), expires)
        });
        let mut left: Vec<_> = left.collect();
        left.sort();
        left
    }

    /// Does this, and waits for all ten to be back with the time they had; how long it took.
    fn all_come_back(&self, what: &str, opened: Instant) -> Duration {
        let chain = "nft -s list chain inet aldaba guard 2>/dev/null || true";
        let guard = || self.hosts.on_server(&["sh", "-c", chain]);
        let (before, set) = (guard(), "inet aldaba door_ssh_v4");
        let told = |what: &str| self.daemon.said().matches(what).count();
        let tables = told("table-restored") + usize::from(!what.starts_with("flush set"));
        let elements = what.contains("set") || what.starts_with("delete");
        let leases = told("leases-restored leases=10") + usize::from(elements);
        self.nft(what);
        let took = until(Duration::from_secs(2), || self.left(set).len() == 10 && guard() == before);
        let took = took.unwrap_or_else(|| panic!("{what}: {}\n{}", guard(), self.daemon.said()));
        let most = 60 - opened.elapsed().as_secs();
        for (address, left) in self.left(set) {
            assert!(left <= most && left + 12 > most, "{what}: {address} has {left} s of {most}");
        }
        assert!(!self.hosts.reachable(2222), "{what}: the port is guarded again");
        assert_eq!((told("table-restored"), told("leases-restored leases=10")), (tables, leases), "{what}");
        took
    }
}

/// The door opens by datagram, too.
fn by_both(dir: &Path, alice: &Device) -> String {
    device::write_server(dir, &alice.line("", "alice"));
    aldabad::monitor::make_store(&dir.join("state")).expect("as init makes it");
    format!("{SSH}spa = true\n[spa]\nport = {PORT}\ntrust-clock = true\n")
}

/// R7: the whole ruleset, the table, its chain, its set; a table of others stays as it is. Half of the leases are by datagram.
#[test]
fn r7_ten_leases_and_the_guard_come_back_with_the_time_they_have_left() {
    let alice = Device::new(1);
    let Some(scene) = scene_of(|dir| by_both(dir, &alice), FOREIGN) else { return };
    let _listener = scene.hosts.listen(2222);
    let mut number = 0;
    scene.open_by(10, |client| {
        number += 1;
        if number % 2 == 0 {
            let (datagram, _) = alice.seal(device::open("ssh", None));
            device::post(&scene.hosts, client, PORT, &datagram);
        } else {
            scene.hosts.knock_from(client, &[7000, 8000, 9000]);
        }
    });
    assert_eq!(scene.daemon.said().matches("opened door=ssh ").count(), 10);
    assert_eq!(scene.daemon.said().matches(" device=alice ").count(), 5, "{}", scene.daemon.said());
    // None was opened after this.
    let opened = Instant::now();
    let foreign = scene.nft("list table inet other");
    let mut longest = Duration::ZERO;
    for what in [
        "flush chain inet aldaba guard",
        "flush set inet aldaba door_ssh_v4",
        "delete table inet aldaba",
        "flush table inet aldaba",
    ] {
        longest = longest.max(scene.all_come_back(what, opened));
    }
    assert_eq!(scene.nft("list table inet other"), foreign, "others' tables are theirs");
    // And everything at once, as a restart of the host's own firewall does it: in one transaction.
    let all = "flush ruleset; add table inet other";
    longest = longest.max(scene.all_come_back(all, opened));
    assert_eq!(scene.nft("list table inet other"), "table inet other {\n}\n", "nor is it put back");
    assert!(scene.daemon.said().contains("by=nft pid="), "{}", scene.daemon.said());
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    println!("figure: R7 guard and ten leases back after {} ms", longest.as_millis());
}

/// R7: a saved copy of the table comes back with elements whose time is over for us: only leases count.
#[test]
fn r7_a_saved_copy_of_the_table_opens_nothing() {
    let Some(scene) = scene(SSH, "") else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open_for(1);
    let copy = "delete table inet aldaba; add table inet aldaba; \
                add set inet aldaba door_ssh_v4 { type ipv4_addr; flags timeout; }; \
                add element inet aldaba door_ssh_v4 { 10.9.0.2 timeout 1h expires 50m, 10.9.5.1 timeout 1h expires 50m }";
    scene.nft(copy);
    scene.daemon.wait_for("leases-restored leases=1 ");
    let left = scene.left("inet aldaba door_ssh_v4");
    assert!(left.len() == 1 && left[0].0 == "10.9.5.1" && left[0].1 <= 60, "{left:?}");
    assert!(!scene.hosts.reachable(2222), "10.9.0.2 has no lease");
}

/// R7: with `report` the guard comes back and the leases are said to be over.
#[test]
fn r7_leases_are_only_reported_where_that_is_wanted() {
    let config = format!("{SSH}\n[firewall]\nafter-flush = \"report\"\n");
    let Some(scene) = scene(&config, "") else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open_for(3);
    scene.nft("flush ruleset");
    for number in 1..=3 {
        scene.daemon.wait_for(&format!("closed door=ssh address={} why=flushed", client(number)));
    }
    scene.daemon.wait_for("table-restored table=aldaba times=1 by=nft pid=");
    assert!(!scene.hosts.reachable(2222), "the guard is back");
    assert_eq!(scene.left("inet aldaba door_ssh_v4"), []);
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    assert!(scene.hosts.reachable(2222), "a further knock opens");
}

/// R7: one element that is taken out by hand is not put back.
#[test]
fn r7_an_administrator_who_takes_one_element_out_is_not_fought() {
    let Some(scene) = scene(SSH, "") else { return };
    scene.open_for(3);
    scene.nft("delete element inet aldaba door_ssh_v4 { 10.9.5.2 }");
    scene.daemon.wait_for("closed door=ssh address=10.9.5.2 why=removed");
    std::thread::sleep(Duration::from_millis(300));
    let left: Vec<String> =
        scene.left("inet aldaba door_ssh_v4").into_iter().map(|(address, _)| address).collect();
    assert_eq!(left, ["10.9.5.1", "10.9.5.3"]);
    assert!(!scene.daemon.said().contains("restored"), "{}", scene.daemon.said());
}

/// R7: the set is flushed under one lease alone: that looks as if it was taken out by hand, and the side of closing is taken.
#[test]
fn r7_the_only_lease_of_a_flushed_set_is_over() {
    let Some(scene) = scene(SSH, "") else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open_for(1);
    scene.nft("flush set inet aldaba door_ssh_v4");
    scene.daemon.wait_for("closed door=ssh address=10.9.5.1 why=removed");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(scene.left("inet aldaba door_ssh_v4"), []);
    assert!(!scene.daemon.said().contains("restored"), "{}", scene.daemon.said());
    let said = status(scene.dir.path());
    assert_eq!((&said["leases"]["lost"], &said["leases"]["open"]), (&0.into(), &0.into()), "{said}");
    // A knock opens it again; with its whole table gone, one lease comes back too.
    scene.hosts.knock_from(IpAddr::V4(client(1)), &[7000, 8000, 9000]);
    scene
        .daemon
        .wait_until("open again", |said| said.matches("opened door=ssh address=10.9.5.1 ").count() == 2);
    scene.nft("delete table inet aldaba");
    scene.daemon.wait_for("leases-restored leases=1 ");
    assert_eq!(scene.left("inet aldaba door_ssh_v4").len(), 1);
}

/// R7: a set of the administrator's own: the leases come back with it, whenever that is.
#[test]
fn r7_leases_come_back_with_the_administrators_own_set() {
    let table = "add table inet filter; add set inet filter ssh_open { type ipv4_addr; flags timeout; }";
    let config = SSH.replace(r#"ports = ["2222/tcp"]"#, "set = \"inet filter ssh_open\"");
    let Some(scene) = scene(&config, table) else { return };
    let opened = Instant::now();
    scene.open_for(3);
    let back = |what: &str| {
        let took = until(Duration::from_secs(2), || scene.left("inet filter ssh_open").len() == 3);
        assert!(took.is_some_and(|took| took < Duration::from_secs(1)), "{what}: {}", scene.daemon.said());
        let most = 60 - opened.elapsed().as_secs();
        let left = scene.left("inet filter ssh_open");
        assert!(left.iter().all(|(_, left)| *left <= most), "{what}: {left:?} of {most}");
    };
    // As a reload of the host's own firewall does it, with elements saved at some other time.
    scene.nft(&format!(
        "flush ruleset; {table}; add element inet filter ssh_open {{ 10.9.5.1 timeout 1h expires 50m }}"
    ));
    scene.daemon.wait_for("leases-restored leases=2 ");
    back("reloaded");
    scene.nft("delete table inet filter");
    scene.daemon.wait_for("leases-lost leases=3 by=nft");
    scene.daemon.wait_for("degraded what=firewall error=\"there is no set inet filter ssh_open:");
    let lost = until(Duration::from_secs(2), || {
        degraded(scene.dir.path()) == ["lease-lost", "lease-lost", "lease-lost", "firewall"]
    });
    let said = status(scene.dir.path());
    assert!(lost.is_some(), "{said}");
    assert_eq!(
        (&said["degraded"][0]["door"], &said["degraded"][0]["address"]),
        (&"ssh".into(), &"10.9.5.1".into())
    );
    assert_eq!((&said["leases"]["lost"], &said["leases"]["open"]), (&3.into(), &0.into()));
    scene.nft(table);
    scene.daemon.wait_for("leases-restored leases=3 ");
    back("back again");
    assert_eq!(degraded(scene.dir.path()), Vec::<String>::new(), "{}", status(scene.dir.path()));
}

/// R7: what commands did is not done again, and what went is told.
#[test]
fn r7_removed_tables_are_told_of_where_commands_hold_doors_open() {
    let config = SSH.replace(r#"ports = ["2222/tcp"]"#, "start = [\"/bin/true\"]\nstop = [\"/bin/true\"]");
    let Some(scene) = scene(&config, FOREIGN) else { return };
    scene.nft("add table ip nat; delete table ip nat");
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    scene.nft("flush ruleset");
    scene.daemon.wait_for("tables-removed tables=1 leases=1 by=nft pid=");
    let said = scene.daemon.said();
    assert_eq!(
        (said.matches("tables-removed").count(), said.matches("part=start").count()),
        (1, 1),
        "{said}"
    );
}

/// R7: a program that takes the table away for ever is answered for ever, and without a flood of lines.
#[test]
fn r7_a_fight_is_named_and_costs_little() {
    let Some(scene) = scene(SSH, "") else { return };
    let _listener = scene.hosts.listen(2222);
    let mut rounds = 0;
    let open = tables::share_open(&scene.hosts, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(4) || rounds <= 20 {
            scene.hosts.on_server(&["sh", "-c", "nft delete table inet aldaba 2>/dev/null || true"]);
            rounds += 1;
        }
    });
    println!(
        "figure: R7 taken away {rounds} times in a row: the port stood open for {:.0} % of that time",
        open * 100.0
    );
    let guarded = until(Duration::from_secs(1), || {
        scene
            .hosts
            .on_server(&["sh", "-c", "nft list table inet aldaba 2>/dev/null || true"])
            .contains("drop")
    });
    assert!(guarded.is_some());
    let said = scene.daemon.said();
    assert!(said.contains("degraded what=firewall-fight error=\"another program changes"), "{said}");
    let told = status(scene.dir.path());
    assert_eq!(told["degraded"][0]["what"], "firewall-fight", "{told}");
    assert!(
        told["degraded"][0]["error"].as_str().is_some_and(|error| error.contains("again: nft, process ")),
        "{told}"
    );
    assert!(said.lines().count() < 20, "{said}");
}

/// R7: so much happens to the ruleset while the daemon does not listen that the kernel's notices are lost, that of the flush with
/// them.
#[test]
fn r7_lost_notices_lead_to_a_look() {
    let Some(scene) = scene(SSH, FOREIGN) else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open_for(2);
    scene.daemon.signal(Signal::STOP);
    let noise: Vec<String> = (0..20_000_u32).map(|n| Ipv4Addr::from(0x0a00_0000 + n).to_string()).collect();
    let file = scene.dir.path().join("noise");
    std::fs::write(&file, format!("add element inet other them {{ {} }}\n", noise.join(", ")))
        .expect("written");
    scene.hosts.on_server(&["nft", "-f", file.to_str().expect("plain")]);
    scene.nft("delete table inet aldaba");
    assert!(scene.hosts.reachable(2222), "it stands open");
    scene.daemon.signal(Signal::CONT);
    let back = until(Duration::from_secs(2), || scene.left("inet aldaba door_ssh_v4").len() == 2);
    let back = back.unwrap_or_else(|| panic!("the daemon is blind:\n{}", scene.daemon.said()));
    assert!(!scene.hosts.reachable(2222), "the port is guarded again");
    println!("figure: R7 guard and leases back after {} ms where the notice was lost", back.as_millis());
}
