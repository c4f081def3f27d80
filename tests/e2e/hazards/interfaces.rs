//! R5: whatever happens to the interface, a knock opens within a second of the link, and nothing grows.

use std::net::{IpAddr, Ipv4Addr};

use aldaba_tests::hosts::{CLIENT, SERVER};

use super::*;

/// The server's address for a while.
const MOVED: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 99);
const CYCLES: usize = 100;
/// In turn: of one source at one door fewer lines are written after the first fifty.
const DOORS: u16 = 4;

fn doors() -> String {
    let door = |n| {
        let sequence = format!("{},{},{}", 7000 + n, 8000 + n, 9000 + n);
        format!(
            "[[door]]\nname = \"d{n}\"\nsequence = \"{sequence}\"\nports = [\"2222/tcp\"]\nlease = \"2s\"\n"
        )
    };
    format!("interfaces = [\"srv0\"]\n{}", (0..DOORS).map(door).collect::<String>())
}

/// Something that happens, and where the server is reached afterwards.
type Change = (&'static str, fn(&Hosts), Ipv4Addr);

/// One after the other.
const CHANGES: [Change; 6] = [
    ("made anew", made_anew, SERVER),
    ("down and up", down_and_up, SERVER),
    ("renamed", |hosts| hosts.ip(&["link", "set", "srv0", "name", "lan7"]), SERVER),
    ("renamed back", |hosts| hosts.ip(&["link", "set", "lan7", "name", "srv0"]), SERVER),
    ("given another address", |hosts| move_address(hosts, SERVER, MOVED), MOVED),
    ("given its address back", |hosts| move_address(hosts, MOVED, SERVER), SERVER),
];

fn made_anew(hosts: &Hosts) {
    hosts.unplug();
    hosts.plug();
    hosts.wait_for_link();
}

fn down_and_up(hosts: &Hosts) {
    hosts.ip(&["link", "set", "srv0", "down"]);
    hosts.ip(&["link", "set", "srv0", "up"]);
    hosts.wait_for_link();
}

fn move_address(hosts: &Hosts, from: Ipv4Addr, to: Ipv4Addr) {
    hosts.ip(&["addr", "del", &format!("{from}/16"), "dev", "srv0"]);
    hosts.ip(&["addr", "add", &format!("{to}/16"), "dev", "srv0"]);
}

/// How long it takes until a knock opens, knocking every 50 ms.
fn opens(scene: &Scene, door: u16, at: Ipv4Addr, what: &str) -> Duration {
    let opened = || {
        let said = scene.daemon.said();
        ["opened", "renewed"]
            .map(|word| said.matches(&format!("{word} door=d{door} ")).count())
            .iter()
            .sum::<usize>()
    };
    let took = until(Duration::from_secs(10), || {
        let before = opened();
        scene.hosts.knock_at(IpAddr::V4(CLIENT), IpAddr::V4(at), &[7000 + door, 8000 + door, 9000 + door]);
        until(Duration::from_millis(50), || opened() > before).is_some()
    });
    took.unwrap_or_else(|| panic!("no opening, {what}:\n{}", scene.daemon.said()))
}

/// The interface is not there when the daemon starts, comes, and a hundred times something happens to it.
#[test]
fn r5_a_knock_opens_whatever_happened_to_the_interface() {
    if cannot_run().is_some() {
        return;
    }
    let hosts = Hosts::new();
    hosts.unplug();
    let dir = tempfile::tempdir().expect("a folder");
    let daemon = Program::aldabad(&hosts, dir.path(), &doors());
    let scene = Scene { hosts, dir, daemon };
    let worker = scene.daemon.children()[0];
    let sizes = || (size(scene.daemon.pid()), size(worker));
    scene.hosts.plug();
    scene.hosts.wait_for_link();
    let mut times = vec![opens(&scene, 0, SERVER, "the interface came after the daemon")];
    let mut settled = None;
    let turns = CHANGES.iter().cycle().zip((0..DOORS).cycle()).take(CYCLES);
    for (cycle, ((what, change, at), door)) in turns.enumerate() {
        change(&scene.hosts);
        times.push(opens(&scene, door, *at, &format!("cycle {cycle}, {what}")));
        if cycle == 20 {
            settled = Some(sizes());
        }
    }
    times.sort_unstable();
    println!(
        "figure: R5 absent at first, then anew, down, renamed or at another address {CYCLES} times: 19 of 20 openings within {} ms of the link, all within {} ms",
        times[CYCLES * 19 / 20].as_millis(),
        times[CYCLES].as_millis()
    );
    let late = times.iter().filter(|took| **took > Duration::from_secs(1)).count();
    assert!(late <= 5, "{late} of {CYCLES} took more than a second: {times:?}");
    assert_eq!(scene.daemon.children()[0], worker, "the worker is the same one");
    let ((fds, pages), (worker_fds, worker_pages)) = settled.expect("twenty cycles");
    // What the last change took away is let go of a moment later.
    let descriptors = || (sizes().0.0, sizes().1.0);
    let same = until(Duration::from_secs(5), || descriptors() == (fds, worker_fds));
    assert!(same.is_some(), "descriptors: {:?}, after twenty cycles {:?}", descriptors(), (fds, worker_fds));
    let ((_, now), (_, worker_now)) = sizes();
    let grown = now.saturating_sub(pages) + worker_now.saturating_sub(worker_pages);
    assert!(grown < 64, "{grown} pages more after eighty cycles");
}
