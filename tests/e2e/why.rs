//! `aldabad why`: what a running daemon tells an administrator about knocks of every kind.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use aldaba_spa::{KnockId, Operation, Timestamp};
use aldaba_tests::device::{now, open, send, write_server};
use aldaba_tests::hosts::CLIENT;
use aldaba_tests::program::binary;
use aldaba_tests::{Device, Hosts, Program, cannot_run, until};

const PORT: u16 = 42731;
const CONFIG: &str = r#"
interfaces = ["srv0"]

[spa]
port = 42731
future = "5s"
trust-clock = true

[log]
stages = true

[[door]]
name = "ssh"
spa = true
ports = ["2222/tcp"]
lease = "3s"

[[door]]
name = "web"
spa = "bound"
sequence = "7000,8000,9000"
ports = ["8080/tcp"]
lease = "30s"
"#;
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 7, 7);

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    daemon: Program,
    alice: Device,
}

impl Scene {
    /// A daemon whose replay store was lost: nothing is new for five seconds.
    fn guarded() -> Option<Self> {
        if cannot_run().is_some() {
            return None;
        }
        let hosts = Hosts::new();
        let dir = tempfile::tempdir().expect("a folder");
        let alice = Device::new(1);
        write_server(dir.path(), &alice.line("doors=\"ssh,web\" ", "alice/laptop"));
        let daemon = Program::aldabad(&hosts, dir.path(), CONFIG);
        daemon.wait_for("replay-store-new");
        Some(Self { hosts, dir, daemon, alice })
    }

    fn new() -> Option<Self> {
        let scene = Self::guarded()?;
        std::thread::sleep(Duration::from_millis(5100));
        Some(scene)
    }

    fn why_with(&self, about: &str, more: &[&str]) -> String {
        let mut command = Command::new(binary("aldabad"));
        command.args(["why", about, "--control"]).arg(self.dir.path().join("control.sock")).args(more);
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.is_empty(), "{errors}{said}");
        said
    }

    fn why(&self, about: impl std::fmt::Display) -> String {
        self.why_with(&about.to_string(), &[])
    }

    /// Asks until it says this, as what was sent takes its time.
    fn why_says(&self, about: impl std::fmt::Display, part: &str) -> String {
        let mut said = String::new();
        let heard = until(Duration::from_secs(5), || {
            said = self.why(&about);
            said.contains(part)
        });
        assert!(heard.is_some(), "{part} is not in\n{said}\nthe daemon said:\n{}", self.daemon.said());
        said
    }

    fn knock(&self, (datagram, id): (Vec<u8>, KnockId)) -> KnockId {
        send(&self.hosts, CLIENT.into(), PORT, &datagram);
        id
    }

    fn alice(&self, operation: Operation) -> KnockId {
        self.knock(self.alice.seal(operation))
    }
}

#[test]
fn an_accepted_knock_is_told_to_its_end() {
    let Some(scene) = Scene::new() else { return };
    let id = scene.alice(open("ssh", None));
    let said = scene.why_says(id, "door ssh: still open for 2 s, 10.9.0.2, held by alice/laptop");
    for part in [
        "of alice/laptop from 10.9.0.2: accepted, open ssh for 10.9.0.2 (its clock is ",
        "door ssh: opened for 10.9.0.2, 3s",
        "next: the door is open: connect.",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    // By its address the same is known.
    assert!(scene.why(CLIENT).contains(&id.to_string()));
    let said = scene.why_says(id, "door ssh: closed for 10.9.0.2 (expired)");
    assert!(said.contains("next: the door is closed: knock again") && !said.contains("still open"), "{said}");
    let json: serde_json::Value =
        serde_json::from_str(&scene.why_with(&id.to_string(), &["--json"])).expect("JSON");
    assert_eq!(json["knocks"][0]["id"], id.to_string());
    assert_eq!(json["knocks"][0]["what"]["admitted"]["door"], "ssh");
    assert_eq!(json["doors"][1]["event"], "closed");
    let offset = json["knocks"][0]["what"]["admitted"]["clock-us"].as_i64().expect("a number");
    assert!(offset <= 0 && offset > -2_000_000, "{offset}");
}

#[test]
fn a_hello_shows_that_key_clock_and_path_are_right() {
    let Some(scene) = Scene::new() else { return };
    let ahead = Timestamp(now().0 + 3_500_000);
    let id = scene.knock(scene.alice.seal_at(Operation::Hello, ahead));
    let said =
        scene.why_says(id, "of alice/laptop from 10.9.0.2: key, clock and path are right (its clock is 3.");
    assert!(said.contains(" ahead)") && said.contains("next: knock at a door"), "{said}");
}

#[test]
fn a_clock_four_hours_off_is_told_and_locks_nobody_out() {
    let Some(scene) = Scene::new() else { return };
    let late = Timestamp(now().0 - 4 * 3_600_000_000);
    let id = scene.knock(scene.alice.seal_at(open("ssh", None), late));
    let said = scene.why_says(id, "refused (clock), the device's clock is 4 h behind this server's\n");
    assert!(said.contains("next: set the device's clock"), "{said}");
    let early = Timestamp(now().0 + 90_000_000);
    let id = scene.knock(scene.alice.seal_at(open("ssh", None), early));
    scene.why_says(id, "refused (clock), the device's clock is 1 min 2");
    let id = scene.alice(open("ssh", None));
    scene.why_says(id, "door ssh: opened for 10.9.0.2");
    // The old time again: now something of a later one was accepted.
    let id = scene.knock(scene.alice.seal_at(open("web", None), late));
    scene.why_says(id, "and a knock of that time or a later one was accepted before");
    println!("figure: R4 a clock 4 h behind and one 90 s ahead are told of, and the right one opens");
}

#[test]
fn refusals_are_told_by_the_knocks_name_and_by_its_address() {
    let Some(scene) = Scene::new() else { return };
    scene.hosts.add_client(OTHER);
    let told = [
        (scene.knock(Device::new(66).seal(open("ssh", None))), "refused (unknown-device)", "`aldaba pubkey`"),
        (scene.alice(open("attic", None)), "of alice/laptop from 10.9.0.2: refused (door)", "`doors`"),
        (scene.alice(open("ssh", Some(OTHER.into()))), "refused (relayed)", "--bind never"),
        (scene.alice(open("web", None)), "refused (unbound)", "--bind always"),
    ];
    for (id, part, next) in &told {
        let said = scene.why_says(id, part);
        assert!(said.lines().last().expect("lines").contains(next), "{next} is not in\n{said}");
    }
    let all = scene.why(CLIENT);
    for (id, part, _) in &told {
        assert!(all.contains(&id.to_string()) && all.contains(part), "{part} is not in\n{all}");
    }
    // A capture sent again, from elsewhere too.
    let (datagram, id) = scene.alice.seal(open("ssh", None));
    for from in [IpAddr::V4(CLIENT), OTHER.into(), OTHER.into()] {
        send(&scene.hosts, from, PORT, &datagram);
    }
    let said = scene.why_says(id, "; the same datagram came 2 more times and was not acted on");
    assert!(said.contains("from 10.9.0.2: accepted"), "{said}");
    let (datagram, id) = (datagram, id.to_string());
    for _ in 0..500 {
        send_quickly(&scene.hosts, &datagram);
    }
    assert!(scene.why(OTHER).contains("refused (repeated)"), "{}", scene.why(OTHER));
    // Five hundred of one do not wash the others away.
    assert!(scene.why(&id).contains("more times"));
    assert!(scene.why(told[0].0).contains("unknown-device"));
}

fn send_quickly(hosts: &Hosts, datagram: &[u8]) {
    hosts.as_client(|| {
        let socket = std::net::UdpSocket::bind((OTHER, 0)).expect("a socket");
        socket.send_to(datagram, (aldaba_tests::hosts::SERVER, PORT)).expect("sent");
    });
}

#[test]
fn of_what_never_came_it_is_told_where_to_look() {
    let Some(scene) = Scene::guarded() else { return };
    let id = scene.alice(open("ssh", None));
    let said = scene.why_says(id, "refused (guard)");
    assert!(said.contains("next: wait ") && said.contains(" s and knock again"), "{said}");
    let unknown = "0123456789abcdef";
    let said = scene.why(unknown);
    for part in ["nothing with this id has arrived", "1 datagram has come to UDP port 42731", "aldaba hello"]
    {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let id = scene.knock(Device::of_another_gate(1).seal(open("ssh", None)));
    scene.why_says(
        id,
        "1 of 2 datagrams at UDP port 42731 were not made with this server's gate key, the last one",
    );
    // Of an address with something else known, the rest is known from its knocks.
    let Some(other) = Scene::guarded() else { return };
    assert!(other.why(CLIENT).contains("No datagram has come to UDP port 42731"), "{}", other.why(CLIENT));
    other.knock(Device::of_another_gate(1).seal(open("ssh", None)));
    other.why_says(CLIENT, "a datagram came from this address to UDP port 42731 that was not made with this");
}

#[test]
fn a_sequence_is_told_step_by_step_where_steps_are_told() {
    let Some(scene) = Scene::guarded() else { return };
    scene.hosts.knock(&[7000, 8000]);
    let said = scene.why_says(CLIENT, "sequence of web from 10.9.0.2: step 2");
    assert!(said.contains("next: knock the whole sequence in its order"), "{said}");
    scene.hosts.knock(&[9000]);
    let said = scene.why_says(CLIENT, "door web: still open for");
    assert!(said.contains("sequence of web from 10.9.0.2: complete, open it"), "{said}");
    assert!(said.contains("next: the door is open"), "{said}");
}

#[test]
fn without_a_worker_the_monitor_tells_what_it_knows() {
    let Some(scene) = Scene::new() else { return };
    let id = scene.alice(open("ssh", None));
    scene.why_says(id, "door ssh: opened for 10.9.0.2");
    let worker = scene.daemon.children().into_iter().find(|pid| {
        let name = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        name.starts_with(b"aldabad: worker")
    });
    let worker =
        worker.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)).expect("a worker");
    rustix::process::kill_process(worker, rustix::process::Signal::STOP).expect("stopped");
    let said = scene.why(id);
    assert!(said.contains("did not answer: refusals may be missing"), "{said}");
    assert!(said.contains("door ssh: opened for 10.9.0.2"), "{said}");
    rustix::process::kill_process(worker, rustix::process::Signal::CONT).expect("it goes on");
    let whole = until(Duration::from_secs(2), || !scene.why(id).contains("did not answer"));
    assert!(whole.is_some(), "late answers do no harm");
}
