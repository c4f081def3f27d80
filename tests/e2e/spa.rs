//! Doors opened by sealed datagrams, on two hosts with the real kernel firewall. The client is the library, so that every
//! byte can be chosen.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "spa/silence.rs"]
mod silence;
#[path = "spa/store.rs"]
mod store;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use aldaba_spa::{
    Audience, DoorTag, KeyKind, Lock, Operation, Psk, PublicKey, Request, SecretKey, Timestamp, device_psk,
    seal,
};
use aldaba_tests::device::{now, open, write_server};
use aldaba_tests::hosts::{CLIENT, CLIENT6, SERVER, SERVER6};
use aldaba_tests::{Hosts, Program, asked, degraded, serve_prepared, status, text, until};
use aldabad::monitor::make_store;
use rustix::process::{Pid, Signal, kill_process};

const PORT: u16 = 42731;
const SOON: Duration = Duration::from_secs(15);
const CONFIG: &str = r#"
interfaces = ["srv0"]

[spa]
port = 42731
future = "5s"
trust-clock = true
RECEIVE

[[door]]
name = "ssh"
spa = true
ports = ["2222/tcp"]
lease = "2s"

[[door]]
name = "web"
sequence = "7000,8000,9000"
spa = "bound"
open-for-gateway = true
ports = ["8080/tcp"]
lease = "30s"
"#;

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
    sealed: Cell<u8>,
}

fn alice() -> SecretKey {
    SecretKey::new(&[1; 32])
}

fn line(key: &SecretKey, options: &str, name: &str) -> String {
    format!("{options} {} {name}\n", key.public().to_text(KeyKind::Device))
}

fn scene(receive: &str) -> Option<Scene> {
    scene_in(receive, |_| ())
}

/// Prepares the folder before the daemon starts: its state folder is empty.
fn scene_in(receive: &str, prepare: impl FnOnce(&Path)) -> Option<Scene> {
    let (hosts, dir, daemon) = serve_prepared(|_, dir| {
        let state = dir.join("state");
        drop(aldaba_sys::files::private_dir(&state).expect("a folder"));
        prepare(&state);
        write_server(dir, &line(&alice(), "", "alice/laptop"));
        make_store(&state).expect("as init makes it");
        CONFIG.replace("RECEIVE", receive)
    })?;
    Some(Scene { hosts, dir, daemon, sealed: Cell::new(0) })
}

impl Scene {
    fn lock() -> Lock {
        SecretKey::new(&[9; 32]).lock(Psk::new([8; 32]), Audience::default())
    }

    fn seal_at(&self, key: &SecretKey, operation: Operation, time: Timestamp) -> Vec<u8> {
        self.sealed.set(self.sealed.get() + 1);
        let psk = device_psk(&Psk::new([7; 32]), 0, &key.public());
        let request = Request { operation, time };
        seal(key, &psk, &Self::lock(), &request, 5, &[self.sealed.get(); 32]).expect("sealed").datagram
    }

    fn seal(&self, operation: Operation) -> Vec<u8> {
        self.seal_at(&alice(), operation, now())
    }

    /// Sends from an address of the client's; the answer, if there is any.
    fn send(&self, from: IpAddr, datagram: &[u8]) -> Option<String> {
        let to: IpAddr = if from.is_ipv4() { SERVER.into() } else { SERVER6.into() };
        self.hosts.as_client(|| {
            let socket = UdpSocket::bind((from, 0)).expect("a socket");
            socket.connect(SocketAddr::new(to, PORT)).expect("connected");
            socket.set_read_timeout(Some(Duration::from_millis(30))).expect("set");
            socket.send(datagram).expect("sent");
            match socket.recv(&mut [0; 2000]) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
                heard => Some(format!("{heard:?}")),
            }
        })
    }

    /// Another registry, in force.
    fn register(&self, lines: &str) {
        std::fs::write(self.dir.path().join("authorized_keys"), lines).expect("written");
        let before = self.daemon.said().matches("reloaded doors=2").count();
        self.daemon.signal(Signal::HUP);
        self.daemon.wait_until("reloaded", |said| said.matches("reloaded doors=2").count() > before);
    }

    fn knock(&self, operation: Operation) {
        let heard = self.send(CLIENT.into(), &self.seal(operation));
        assert_eq!(heard, None, "the server answers nobody. It said:\n{}", self.daemon.said());
    }

    fn wait_for_refusal(&self, why: &str) {
        self.daemon.wait_for(&format!("why={why}"));
    }
}

#[test]
fn a_datagram_opens_a_door_for_its_sender_and_the_kernel_closes_it() {
    for receive in ["receive = \"capture\"", "receive = \"listen\""] {
        let Some(scene) = scene(receive) else { return };
        let _listener = scene.hosts.listen(2222);
        assert!(!scene.hosts.reachable(2222), "closed before the knock");
        scene.knock(open("ssh", None));
        scene.daemon.wait_for("admitted door=ssh address=10.9.0.2 device=alice/laptop from=10.9.0.2 id=");
        scene.daemon.wait_for("opened door=ssh address=10.9.0.2 lease=2s");
        assert!(scene.hosts.reachable(2222), "open after it");
        let said = scene.daemon.said();
        assert!(said.find("admitted door") < said.find("opened door"), "in their order:\n{said}");
        assert!(until(Duration::from_secs(4), || !scene.hosts.reachable(2222)).is_some(), "closed again");
    }
}

/// Hazard R12: what the kernel drops at the socket. Datagrams of no datagram's length are refused, and nothing is lost by that.
#[test]
fn r12_datagrams_the_kernel_drops_are_counted_and_refused_ones_are_not() {
    const REFUSED: u64 = 300;
    const FLOOD: u64 = 40_000;
    let Some(scene) = scene("receive = \"listen\"") else { return };
    let flood = |count: u64, length: usize| {
        scene.hosts.as_client(|| {
            let socket = UdpSocket::bind((CLIENT, 0)).expect("a socket");
            let datagram = vec![0x5a; length];
            for _ in 0..count {
                socket.send_to(&datagram, (SERVER, PORT)).expect("sent");
            }
        });
    };
    let told = || status(scene.dir.path())["datagrams"].clone();
    flood(REFUSED, 100);
    let all = until(Duration::from_secs(10), || told()["kernel-refused"] == REFUSED);
    assert!(all.is_some() && told()["drops"] == 0, "{}", told());
    assert!(degraded(scene.dir.path()).is_empty(), "{}", scene.daemon.said());
    let worker = status(scene.dir.path())["worker"]["pid"].as_i64();
    let worker = worker.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a worker");
    kill_process(worker, Signal::STOP).expect("stopped");
    flood(FLOOD, 160);
    kill_process(worker, Signal::CONT).expect("it goes on");
    let counted = || told()["counted"]["arrived"].as_u64();
    // Those that found room are read, and what did not find any is all that is missing, but for what the cable lost.
    assert!(until(Duration::from_secs(20), || counted() > Some(1000)).is_some(), "{}", told());
    let drops = told()["drops"].as_u64().expect("a number");
    assert!(drops > 0 && drops + counted().unwrap_or_default() <= FLOOD, "{}", told());
    assert_eq!(told()["kernel-refused"], REFUSED, "{}", told());
    let said = until(Duration::from_secs(10), || degraded(scene.dir.path()) == ["packets-dropped"]);
    assert!(said.is_some(), "{:?}: {}", degraded(scene.dir.path()), scene.daemon.said());
    let metrics = text(&asked(scene.dir.path(), &["status", "--metrics"]).stdout);
    let line = format!("\naldaba_datagram_drops_total {drops}\n");
    assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    let words = text(&asked(scene.dir.path(), &["status"]).stdout);
    let line = format!(", {drops} dropped by the kernel, {REFUSED} refused by it for length or checksum\n");
    assert!(words.contains(&line), "{line} is not in\n{words}");
    println!("figure: R12 {drops} drops of {FLOOD} datagrams exported, {REFUSED} refused ones apart");
}

#[test]
fn both_families_and_both_ways_meet_in_one_lease() {
    let Some(scene) = scene("") else { return };
    let _listener = scene.hosts.listen(8080);
    assert_eq!(scene.send(CLIENT6.into(), &scene.seal(open("web", Some(CLIENT6.into())))), None);
    scene.daemon.wait_for("opened door=web address=fd09::2");
    assert!(scene.hosts.reachable_at((SERVER6, 8080).into()));
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=web address=10.9.0.2");
    scene.knock(open("web", Some(CLIENT.into())));
    scene.daemon.wait_for("renewed door=web address=10.9.0.2");
    // The device closes what it opened, and that is both: the last to renew holds the lease.
    scene.knock(Operation::Close { door: DoorTag::of("web").expect("a tag") });
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=asked");
    scene.daemon.wait_for("closed door=web address=fd09::2 why=asked");
    assert!(until(Duration::from_secs(1), || !scene.hosts.reachable(8080)).is_some());
}

/// A slot of the ring has 432 bytes, headers included.
#[test]
fn what_a_capture_has_no_room_for_is_refused_for_its_length() {
    let Some(scene) = scene("") else { return };
    for (from, most) in [(CLIENT.into(), 404), (CLIENT6.into(), 384)] {
        for length in [most, most + 1] {
            assert_eq!(scene.send(from, &vec![0x5a; length]), None);
        }
    }
    let refused = || status(scene.dir.path())["datagrams"]["counted"]["refused"].clone();
    let told = until(Duration::from_secs(10), || refused()["tag"] == 2 && refused()["length"] == 2);
    assert!(told.is_some(), "{}", refused());
}

#[test]
fn a_captured_datagram_is_never_used_twice() {
    let Some(mut scene) = scene("") else { return };
    let datagram = scene.seal(Operation::Hello);
    assert_eq!(scene.send(CLIENT.into(), &datagram), None);
    scene.daemon.wait_for("hello device=alice/laptop address=10.9.0.2");
    scene.hosts.add_client("10.9.7.7".parse().expect("an address"));
    for from in [CLIENT.into(), "10.9.7.7".parse().expect("an address")] {
        assert_eq!(scene.send(from, &datagram), None);
    }
    scene.daemon.wait_until("both refusals", |said| said.matches("why=repeated").count() == 2);
    let mut changed = datagram.clone();
    for at in 0..changed.len() {
        changed[at] ^= 1;
        assert_eq!(scene.send(CLIENT.into(), &changed), None, "byte {at}");
        changed[at] ^= 1;
    }
    scene.daemon.kill_everything();
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    assert_eq!(scene.send(CLIENT.into(), &datagram), None);
    scene.wait_for_refusal("replay");
    // The journal is lost: nobody gets in for as long as a clock may be ahead.
    scene.daemon.kill_everything();
    std::fs::remove_dir_all(scene.dir.path().join("state")).expect("removed");
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    assert_eq!(scene.send(CLIENT.into(), &datagram), None);
    scene.wait_for_refusal("guard");
    assert_eq!(scene.daemon.said().matches("hello device").count(), 1);
    println!(
        "figure: R26 none of {} copies with a changed byte is accepted, nor the same again",
        changed.len()
    );
}

#[test]
fn a_client_200_seconds_off_is_told_so_in_the_log_and_gets_in_when_it_is_right() {
    let Some(scene) = scene("") else { return };
    for (micros, words) in [(-200_000_000, "clock=behind by=200s"), (200_000_000, "clock=ahead by=200s")] {
        let time = Timestamp(now().0.saturating_add_signed(micros));
        assert_eq!(scene.send(CLIENT.into(), &scene.seal_at(&alice(), open("ssh", None), time)), None);
        scene.daemon.wait_for(words);
    }
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
}

#[test]
fn refusals_are_explained_in_the_log_and_never_on_the_wire() {
    let Some(scene) = scene("") else { return };
    let late = Timestamp(now().0 - 4 * 3_600_000_000);
    assert_eq!(scene.send(CLIENT.into(), &scene.seal_at(&alice(), open("ssh", None), late)), None);
    scene.daemon.wait_for("device=alice/laptop address=10.9.0.2");
    scene.wait_for_refusal("clock clock=behind by=14400s");
    let stranger = SecretKey::new(&[66; 32]);
    assert_eq!(scene.send(CLIENT.into(), &scene.seal_at(&stranger, open("ssh", None), now())), None);
    scene.wait_for_refusal("unknown-device");
    scene.knock(open("attic", None));
    scene.wait_for_refusal("door");
    scene.knock(open("web", None));
    scene.wait_for_refusal("unbound");
    scene.knock(open("ssh", Some("10.9.7.7".parse().expect("an address"))));
    scene.wait_for_refusal("relayed");
    // The device that was hours off gets in as soon as its clock is right.
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
}

#[test]
fn a_device_taken_from_the_registry_loses_what_it_holds() {
    let Some(scene) = scene("") else { return };
    let _listener = scene.hosts.listen(8080);
    scene.knock(open("web", Some(CLIENT.into())));
    scene.daemon.wait_for("opened door=web");
    assert!(scene.hosts.reachable(8080));
    std::fs::write(scene.dir.path().join("authorized_keys"), "# nobody\n").expect("written");
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=asked");
    scene.knock(open("web", Some(CLIENT.into())));
    // The worker may not have heard yet: then it is the monitor who says no.
    scene.daemon.wait_until("refused", |said| {
        said.contains("why=unknown-device") || said.contains("why=no-such-device")
    });
    assert!(!scene.hosts.reachable(8080));
}

#[test]
fn a_door_taken_from_a_device_is_closed_and_the_others_stay() {
    let Some(scene) = scene("") else { return };
    let lines = |doors: &str| line(&alice(), doors, "alice/laptop");
    scene.knock(open("web", Some(CLIENT.into())));
    scene.daemon.wait_for("opened door=web");
    scene.register(&lines("doors=\"web\""));
    assert!(!scene.daemon.said().contains("closed door=web"), "it may still");
    scene.register(&lines("doors=\"ssh\""));
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=asked");
    scene.knock(open("web", Some(CLIENT.into())));
    scene.wait_for_refusal("door");
}

#[test]
fn what_a_device_may_hold_for_less_ends_earlier_and_from_elsewhere_not_at_all() {
    let Some(scene) = scene("") else { return };
    let lines = |options: &str| line(&alice(), options, "alice/laptop");
    let web = || scene.knock(open("web", Some(CLIENT.into())));
    web();
    scene.daemon.wait_for("opened door=web address=10.9.0.2 lease=30s");
    // Its line ends in a moment: so does what it holds.
    let end = std::process::Command::new("date").args(["-u", "-d", "+3 seconds", "+%FT%TZ"]).output();
    let end = String::from_utf8(end.expect("date runs").stdout).expect("a date");
    scene.register(&lines(&format!("expires=\"{}\"", end.trim())));
    scene.daemon.wait_for("shortened door=web address=10.9.0.2 lease=");
    let set = scene.hosts.on_server(&["nft", "list", "set", "inet", "aldaba", "door_web_v4"]);
    assert!(set.contains("timeout 2s") || set.contains("timeout 3s") || set.contains("timeout 1s"), "{set}");
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=expired");
    // No longer than its line says from now on.
    scene.register(&lines(""));
    web();
    scene
        .daemon
        .wait_until("again", |said| said.matches("opened door=web address=10.9.0.2 lease=30s").count() == 2);
    scene.register(&lines("max-lease=20s"));
    scene.daemon.wait_for("shortened door=web address=10.9.0.2 lease=20s");
    // From where it may not come any more nothing of it is open.
    scene.register(&lines("from=\"10.9.0.0/16\""));
    assert!(!scene.daemon.said().contains("why=asked"), "it may come from there");
    scene.register(&lines("from=\"192.0.2.0/24\""));
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=asked");
}

#[test]
fn a_reload_changes_how_datagrams_are_received() {
    let Some(scene) = scene("receive = \"listen\"") else { return };
    let config = scene.dir.path().join("aldaba.toml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let registry = line(&alice(), "", "alice/laptop");
    let captures = text.replace("receive = \"listen\"", "");
    let elsewhere = captures.replace("42731", "42732");
    // To the other way and back on one port, and away from the port and back.
    let policies = [text.clone(), captures.clone(), text.clone(), elsewhere, text, captures];
    for (before, policy) in policies.iter().enumerate() {
        std::fs::write(&config, policy).expect("written");
        scene.register(&registry);
        if policy.contains("42731") {
            scene.knock(Operation::Hello);
            let hellos = policies.iter().take(before + 1).filter(|policy| policy.contains("42731")).count();
            scene.daemon.wait_until("heard", |said| said.matches("hello device").count() == hellos);
        }
    }
    let said = scene.daemon.said();
    assert!(!said.contains("why=repeated"), "one datagram, heard in two ways:\n{said}");
    assert!(!said.contains("degraded what=spa-port"), "the port was still taken:\n{said}");
}

/// Hazard R12: whoever has taken the port while the daemon was down keeps the socket from it, and nobody out.
#[test]
fn r12_a_port_that_another_program_has_shuts_nobody_out() {
    let Some(mut scene) = scene("receive = \"listen\"") else { return };
    assert!(scene.daemon.stop().success());
    let other = scene.hosts.as_server(|| UdpSocket::bind(("::", PORT)).expect("the port is free"));
    other.set_nonblocking(true).expect("set");
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.daemon.wait_for("degraded what=spa-port error=\"UDP port 42731: Address already in use");
    let shut = || {
        let table = scene.hosts.on_server(&["nft", "list table inet aldaba"]);
        table.lines().any(|rule| rule.trim().starts_with("udp dport 42731 counter"))
    };
    assert!(until(SOON, shut).is_some(), "nobody else gets what is for the daemon");
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2 lease=2s");
    let heard = other.recv(&mut [0; 2000]).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
    let told = status(scene.dir.path());
    let state = told["degraded"].as_array().expect("states").iter().find(|state| state["what"] == "spa-port");
    assert!(state.is_some_and(|state| state["grave"] == false), "{told}");
    drop(other);
    scene.daemon.wait_for("spa-port-works");
    assert!(until(SOON, || !shut()).is_some(), "the socket is to hear");
    // Nobody captures there.
    let datagram = scene.seal(Operation::Hello);
    scene.hosts.as_server(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.send_to(&datagram, ("127.0.0.1", PORT)).expect("sent");
    });
    scene.daemon.wait_for("hello device=alice/laptop address=127.0.0.1");
    scene.knock(Operation::Hello);
    scene.daemon.wait_for("hello device=alice/laptop address=10.9.0.2");
    assert!(!scene.daemon.said().contains("why=repeated"), "{}", scene.daemon.said());
    assert!(!degraded(scene.dir.path()).contains(&"spa-port".to_owned()));
}

#[test]
fn a_gateway_gets_in_only_where_the_door_says_so() {
    let Some(scene) = scene("") else { return };
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    // The client becomes the gateway while the daemon runs: nobody tells it but the kernel.
    scene.hosts.ip(&["route", "add", "default", "via", "10.9.0.2"]);
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("request-refused device=alice/laptop address=10.9.0.2");
    scene.wait_for_refusal("gateway");
    scene.knock(open("web", Some(CLIENT.into())));
    scene.daemon.wait_for("opened door=web address=10.9.0.2");
    scene.hosts.ip(&["-6", "route", "add", "default", "via", "fd09::2"]);
    assert_eq!(scene.send(CLIENT6.into(), &scene.seal(open("ssh", None))), None);
    scene.daemon.wait_until("IPv6 too", |said| said.matches("why=gateway").count() == 2);
    scene.hosts.ip(&["route", "del", "default"]);
    scene.daemon.wait_for("closed door=ssh address=10.9.0.2 why=expired");
    scene.knock(open("ssh", None));
    scene.daemon.wait_until("opened again", |said| said.matches("opened door=ssh").count() == 2);
}

#[test]
fn the_leases_of_a_user_are_counted_over_all_devices() {
    let Some(scene) = scene("") else { return };
    let (phone, bob) = (SecretKey::new(&[2; 32]), SecretKey::new(&[3; 32]));
    let of = |key: &SecretKey, name| line(key, "max-leases=2,lease=20s", name);
    scene.register(&[of(&alice(), "alice/laptop"), of(&phone, "alice/phone"), of(&bob, "bob")].concat());
    let others: Vec<std::net::Ipv4Addr> = (1..=3).map(|last| [10, 9, 7, last].into()).collect();
    for address in &others {
        scene.hosts.add_client(*address);
    }
    let knock = |key: &SecretKey, from: std::net::Ipv4Addr| {
        assert_eq!(scene.send(from.into(), &scene.seal_at(key, open("ssh", None), now())), None);
    };
    knock(&alice(), others[0]);
    knock(&phone, others[1]);
    scene.daemon.wait_for("opened door=ssh address=10.9.7.1 lease=20s");
    scene.daemon.wait_for("opened door=ssh address=10.9.7.2 lease=20s");
    knock(&alice(), others[2]);
    scene.daemon.wait_for("request-refused device=alice/laptop address=10.9.7.3");
    scene.wait_for_refusal("too-many-of-user");
    // What is there goes on, and the other user has room.
    knock(&alice(), others[1]);
    scene.daemon.wait_for("renewed door=ssh address=10.9.7.2");
    knock(&bob, others[2]);
    scene.daemon.wait_for("opened door=ssh address=10.9.7.3");
}

/// A debug build takes its time.
const MANY: u32 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

/// Lines of devices that never knock: any coordinate is a public key.
fn strangers() -> String {
    let key = |number: u32| {
        let mut bytes = [0x5a; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        PublicKey::new(bytes).expect("a key").to_text(KeyKind::Device)
    };
    let line = |number| {
        let key = key(number);
        format!("doors=\"ssh\",from=192.0.2.0/24,max-lease=1h {key} user{number}/laptop\n")
    };
    (0..MANY).map(line).collect::<Vec<_>>().concat()
}

/// What a process has had of the processors (proc(5)): the time it takes where nothing else is to be done.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("its name");
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    // A tick is 10 ms on every Linux there is, to programs.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

#[test]
fn a_large_registry_is_served_from_the_start_and_after_a_reload() {
    let Some(mut scene) = scene("") else { return };
    let many = strangers();
    scene.register(&format!("{many}{}", line(&alice(), "", "alice/laptop")));
    scene.knock(open("ssh", None));
    scene.daemon.wait_for("opened door=ssh address=10.9.0.2");
    let start = |scene: &mut Scene| {
        scene.daemon.kill_everything();
        scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
        scene.daemon.children().into_iter().map(processor_time).sum::<Duration>()
            + processor_time(scene.daemon.pid())
    };
    let quickest = (0..3).map(|_| start(&mut scene)).min().expect("three starts");
    println!("{MANY} devices: started after {} ms of processor time", quickest.as_millis());
    if !cfg!(debug_assertions) {
        assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    }
    scene.knock(open("web", Some(CLIENT.into())));
    scene.daemon.wait_for("opened door=web address=10.9.0.2");
    // A new worker gets the same policy from the monitor's memory.
    let before = scene.daemon.said().matches("worker-started").count();
    let one = until(Duration::from_secs(5), || scene.daemon.children().len() == 1);
    assert!(one.is_some(), "one child: {:?}. It said:\n{}", scene.daemon.children(), scene.daemon.said());
    let worker = scene.daemon.children()[0];
    kill_process(Pid::from_raw(worker.cast_signed()).expect("a number"), Signal::KILL).expect("killed");
    scene.daemon.wait_until("a new worker", |said| said.matches("worker-started").count() > before);
    scene.knock(Operation::Hello);
    scene.daemon.wait_for("hello device=alice/laptop");
    // The line goes, and with it what it holds.
    scene.register(&many);
    scene.daemon.wait_for("closed door=web address=10.9.0.2 why=asked");
}
