//! Rings that are opened anew while packets come.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use aldaba_packet::build::Frame;
use aldaba_tests::hosts::{CLIENT, SERVER};
use aldaba_tests::{Device, Wire, device, until};
use rustix::process::Signal;

use super::{BY_DATAGRAM, NATIVE, Scene, lost, opened_of, scene, status};

/// So many knocks before the reload, and as many behind it.
const KNOCKS: u32 = 50;
/// A busy monitor has room for the requests of two seconds.
const PAUSE: Duration = Duration::from_millis(4);

/// R18: datagrams need more of each packet than sequences do, so a reload that begins to capture them opens every ring anew. Knocks of
/// ever new sources come all the while.
#[test]
fn r18_a_reload_that_opens_rings_anew_loses_no_knock() {
    let device = Device::new(1);
    let Some(scene) = scene(|dir| {
        device::write_server(dir, &device.line("", "ana"));
        aldabad::monitor::make_store(&dir.join("state")).expect("as init makes it");
        NATIVE.to_owned()
    }) else {
        return;
    };
    assert_eq!(rings(&scene), [2 << 20]);
    std::fs::write(scene.dir.path().join("aldaba.toml"), format!("{NATIVE}{BY_DATAGRAM}")).expect("written");
    let knocks = scene.hosts.as_client(|| knock_over_a_reload(&scene));
    let opened = || opened_of(&scene.daemon, "ssh");
    until(Duration::from_secs(10), || opened() == knocks);
    let (opened, lost) = (opened(), usize::try_from(lost(&scene)).expect("few"));
    assert!(opened <= knocks && opened + lost >= knocks, "{opened} of {knocks}:\n{}", scene.daemon.said());
    assert_eq!(rings(&scene), [4 << 20]);
    // It has a byte more than the ring had room for.
    device::post(&scene.hosts, CLIENT.into(), 42731, &device.seal(device::open("web", None)).0);
    scene.daemon.wait_for("opened door=web address=10.9.0.2 ");
    assert_eq!(scene.daemon.said().matches("worker-ended").count(), 0, "{}", scene.daemon.said());
    println!("figure: R18 a ring opened anew amid {knocks} knocks: {opened} open");
}

/// Knocks, one after the other and each from a source of its own, until the reload is over and some more; how many.
fn knock_over_a_reload(scene: &Scene) -> usize {
    let (mut wire, begun) = (Wire::open(), Instant::now());
    let (mut knocks, mut behind) = (0, 0);
    while behind < KNOCKS && begun.elapsed() < Duration::from_secs(20) {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(11, 0, 0, 1)) + knocks);
        for port in [7000, 8000, 9000] {
            wire.send(&Frame::tcp(source, 40_000 + port, SERVER, port));
        }
        knocks += 1;
        if knocks == KNOCKS {
            scene.daemon.signal(Signal::HUP);
        } else if scene.daemon.said().contains("\nreloaded doors=2") {
            behind += 1;
        }
        std::thread::sleep(PAUSE);
    }
    assert_eq!(behind, KNOCKS, "it is in force: {}", scene.daemon.said());
    usize::try_from(knocks).expect("few")
}

/// The bytes of each ring that the worker has.
fn rings(scene: &Scene) -> Vec<u64> {
    let pid = status(scene)["answer"]["status"]["worker"]["pid"].clone();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the worker's mappings");
    let place = |text: &str| u64::from_str_radix(text, 16).expect("a place");
    let of_sockets = maps.lines().filter(|line| line.contains(" socket:["));
    let ranges = of_sockets.filter_map(|line| line.split(' ').next()?.split_once('-'));
    ranges.map(|(start, end)| place(end) - place(start)).collect()
}
