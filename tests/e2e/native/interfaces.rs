//! Where it captures: on several interfaces, on one that is not there, on labels of one device, everywhere.

use aldaba_tests::{asked, degraded, status, text};

use super::*;

/// A second cable between the hosts.
const SECOND: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 8, 0, 1), Ipv4Addr::new(10, 8, 0, 2));
/// Of the first interface's labels.
const LABELLED: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 31), Ipv4Addr::new(10, 9, 0, 32)];

fn plug_second(hosts: &Hosts) {
    let (server, client) = SECOND;
    hosts.ip(&["link", "add", "srv1", "type", "veth", "peer", "name", "cli1", "netns", &hosts.client]);
    hosts.ip(&["addr", "add", &format!("{server}/16"), "dev", "srv1"]);
    hosts.ip(&["link", "set", "srv1", "up"]);
    for words in [format!("ip addr add {client}/16 dev cli1"), "ip link set cli1 up".to_owned()] {
        let words: Vec<&str> = words.split(' ').collect();
        assert!(hosts.on_client(&words).status.success(), "{words:?}");
    }
}

/// A door that says who knocked, on these interfaces or on all that are captured on.
fn door(name: &str, on: &str) -> String {
    format!("[[door]]\nname = \"{name}\"\nsequence = \"7000,8000,9000\"\nlog-only = true\n{on}\n")
}

impl Scene {
    fn reload(&self, config: &str) {
        std::fs::write(self.dir.path().join("aldaba.toml"), config).expect("written");
        let reloaded = asked(self.dir.path(), &["reload"]);
        assert_eq!(reloaded.status.code(), Some(0), "{}", text(&reloaded.stderr));
    }

    /// Knocks at an address of the server's from one of the client's; the doors that heard it, with what they are to hear.
    fn hears(&self, from: Ipv4Addr, to: Ipv4Addr, wanted: &[&str]) {
        let before = self.daemon.said().lines().count();
        self.hosts.knock_at(from.into(), to.into(), &[7000, 8000, 9000]);
        let heard = || {
            let said = self.daemon.said();
            let doors = said.lines().skip(before).filter_map(|line| line.strip_prefix("knocked door="));
            let mut doors: Vec<String> =
                doors.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect();
            doors.sort();
            doors
        };
        let is_so = until(Duration::from_secs(10), || heard() == wanted);
        assert!(is_so.is_some(), "{from} to {to}: {:?}, not {wanted:?}:\n{}", heard(), self.daemon.said());
    }

    /// Each interface that `aldabad status` has, with its state.
    fn interfaces(&self) -> Vec<String> {
        let status = status(self.dir.path());
        let all = status["interfaces"].as_array().expect("a list").iter();
        all.map(|one| {
            format!("{} {}", one["name"].as_str().expect("a name"), one["state"].as_str().expect("a state"))
        })
        .collect()
    }
}

#[test]
fn several_interfaces_are_listened_on_whether_they_are_there_or_not() {
    let config = |interfaces: &str| {
        format!("interfaces = {interfaces}\n{}{}", door("all", ""), door("second", "interfaces = [\"srv1\"]"))
    };
    let Some(scene) = scene_prepared(|hosts| {
        plug_second(hosts);
        config("[\"srv0\", \"srv1\", \"wan9\"]")
    }) else {
        return;
    };
    assert_eq!(scene.interfaces(), ["srv0 found", "srv1 found", "wan9 gone"]);
    let (there, here) = SECOND;
    scene.hears(CLIENT, SERVER, &["all"]);
    scene.hears(here, there, &["all", "second"]);
    scene.hosts.ip(&["link", "set", "srv1", "name", "wan9"]);
    scene.daemon.wait_for("interface-found name=wan9");
    // What was srv1 is followed, and has both names.
    assert_eq!(scene.interfaces(), ["srv0 found", "srv1 found", "wan9 found"]);
    scene.hears(here, there, &["all", "second"]);
    scene.hosts.ip(&["link", "set", "wan9", "name", "srv1"]);
    scene.reload(&config("\"all\""));
    assert_eq!(scene.interfaces(), ["any found"]);
    scene.hears(CLIENT, SERVER, &["all"]);
    scene.hears(here, there, &["all", "second"]);
}

#[test]
fn two_labels_of_one_device_are_both_heard() {
    let doors =
        [door("all", ""), door("one", "interfaces = [\"srv0:1\"]"), door("two", "interfaces = [\"srv0:2\"]")];
    let config = format!("interfaces = [\"srv0:2\", \"srv0:1\"]\n{}", doors.concat());
    let Some(scene) = scene_prepared(|hosts| {
        for (address, label) in LABELLED.iter().zip(["srv0:1", "srv0:2"]) {
            hosts.ip(&["addr", "add", &format!("{address}/16"), "dev", "srv0", "label", label]);
        }
        config.clone()
    }) else {
        return;
    };
    assert_eq!(scene.interfaces(), ["srv0:2 found", "srv0:1 found"]);
    scene.hears(CLIENT, LABELLED[0], &["all", "one"]);
    scene.hears(CLIENT, LABELLED[1], &["all", "two"]);
    // The device's own address is under neither label.
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.hears(CLIENT, LABELLED[0], &["all", "one"]);
}

/// Doors of so many ports that their filter has more than 20 KiB.
fn many_ports() -> String {
    let door = |n: u32| {
        let ports: Vec<String> = (0..30).map(|step| (3 + 21 * (30 * n + step)).to_string()).collect();
        let (name, ports) = (format!("d{n}"), ports.join(","));
        format!(
            "[[door]]\nname = \"{name}\"\nmode = \"compatible\"\nsequence = \"{ports}\"\nlog-only = true\n"
        )
    };
    (0..100).map(door).collect()
}

#[test]
fn a_filter_that_the_kernel_has_no_room_for_is_told_of() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    // As Linux before 6.8 has it; after that each namespace has its own.
    let short = hosts.as_server(|| std::fs::write("/proc/sys/net/core/optmem_max", "20480"));
    if let Err(error) = short {
        assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this test must run: {error}");
        println!("SKIPPED: no memory limit of its own: {error}");
        return;
    }
    let config = format!("interfaces = [\"srv0\"]\n{}", door("few", ""));
    let daemon = Program::aldabad(&hosts, dir.path(), &(config.clone() + &many_ports()));
    let scene = Scene { hosts, dir, daemon };
    let told = "degraded what=filter-widened error=\"srv0: the kernel has no room for the whole filter";
    assert_eq!(scene.daemon.said().matches(told).count(), 1, "{}", scene.daemon.said());
    assert_eq!(degraded(scene.dir.path()), ["filter-widened"]);
    let status = status(scene.dir.path());
    assert_eq!(
        (&status["interfaces"][0]["filter-widened"], &status["degraded"][0]["grave"]),
        (&true.into(), &false.into())
    );
    let said = text(&asked(scene.dir.path(), &["status"]).stdout);
    assert!(
        said.contains("sysctl -w net.core.optmem_max=131072") && said.contains(", filter widened\n"),
        "{said}"
    );
    scene.hears(CLIENT, SERVER, &["few"]);
    scene.reload(&config);
    assert_eq!(degraded(scene.dir.path()), Vec::<String>::new());
    scene.hears(CLIENT, SERVER, &["few"]);
}

/// Without `interfaces` every interface counts, and each door may name its own.
#[test]
fn doors_on_interfaces_of_their_own() {
    let other = SSH
        .replace("interfaces = [\"srv0\"]", "")
        .replace("name = \"ssh\"", "name = \"ssh\"\ninterfaces = [\"srv0\"]");
    let other = format!(
        "{other}[[door]]\nname = \"elsewhere\"\ninterfaces = [\"wan9\"]\nsequence = \"7000,8000,9000\"\nlog-only = true\n"
    );
    let Some(scene) = scene(&other) else { return };
    scene.daemon.wait_for("interfaces=all");
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    assert!(!scene.daemon.said().contains("knocked door=elsewhere"), "{}", scene.daemon.said());
    scene.hosts.ip(&["link", "set", "srv0", "name", "wan9"]);
    let knocked = until(Duration::from_secs(3), || {
        scene.hosts.knock(&[7000, 8000, 9000]);
        scene.daemon.said().contains("knocked door=elsewhere")
    });
    assert!(knocked.is_some(), "{}", scene.daemon.said());
}
