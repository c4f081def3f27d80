//! The administrator's side of enrolment, from a bare host to an open door: init, user, rotate, on two hosts with the
//! real kernel firewall. The client is the library; all it knows of the server comes from a bundle.
#![expect(clippy::disallowed_methods, reason = "real programs take real time; every wait is bounded")]

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use aldaba_spa::{
    Bundle, DoorTag, KeyKind, OpenedBundle, Operation, Request, SealedBundle, SecretKey, Timestamp, seal,
};
use aldaba_tests::hosts::{CLIENT, SERVER};
use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, until};

struct Scene {
    hosts: Hosts,
    dir: tempfile::TempDir,
    sealed: Cell<u8>,
}

fn alice() -> SecretKey {
    SecretKey::new(&[1; 32])
}

fn alices_line() -> String {
    format!("{} ana@laptop", alice().public().to_text(KeyKind::Device))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_micros().try_into().expect("before the year 586,000"))
}

fn ssh() -> DoorTag {
    DoorTag::of("ssh").expect("a tag")
}

fn scene() -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let dir = tempfile::tempdir().expect("a folder");
    Some(Scene { hosts: Hosts::new(), dir, sealed: Cell::new(0) })
}

impl Scene {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a plain name").to_owned()
    }

    /// `aldabad` on the server; it must succeed.
    fn aldabad(&self, words: &[&str]) -> Output {
        let output = self.try_aldabad(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        output
    }

    fn try_aldabad(&self, words: &[&str]) -> Output {
        let program = Command::new("ip")
            .args(["netns", "exec", &self.hosts.server])
            .arg(binary("aldabad"))
            .args(words)
            .output();
        program.expect("it starts")
    }

    fn init(&self) -> Output {
        let (dir, state) = (self.path(""), self.path("state"));
        self.aldabad(&[
            "init",
            "--dir",
            &dir,
            "--state-dir",
            &state,
            "--host",
            "10.9.0.1",
            "--door",
            "ssh=2222",
        ])
    }

    /// A command about a server with its files here.
    fn about(&self, words: &[&str]) -> Output {
        let (config, control) = (self.path("aldaba.toml"), self.path("control.sock"));
        self.aldabad(&[words, &["--config", &config, "--control", &control]].concat())
    }

    fn enrol(&self, more: &[&str]) -> OpenedBundle {
        let line = alices_line();
        let output = self.about(&[&["user", "add", "alice/laptop", &line], more].concat());
        open(&text(&output.stdout))
    }

    fn start(&self) -> Program {
        Program::aldabad_again(&self.hosts, self.dir.path())
    }

    /// One datagram made from what a bundle says, and from nothing else.
    fn knock(&self, bundle: &Bundle, operation: Operation) {
        self.sealed.set(self.sealed.get() + 1);
        let lock = bundle.lock_at(now()).expect("a lock that is valid now");
        let request = Request { operation, time: now() };
        let random = [self.sealed.get(); 32];
        let sealed = seal(&alice(), &bundle.device_psk, &lock, &request, 5, &random).expect("sealed");
        let to = SocketAddr::new(SERVER.into(), bundle.port.get());
        self.hosts.as_client(|| {
            let socket = UdpSocket::bind((CLIENT, 0)).expect("a socket");
            socket.send_to(&sealed.datagram, to).expect("sent");
        });
    }
}

fn open(bundle: &str) -> OpenedBundle {
    SealedBundle::from_text(bundle).expect("a bundle").open(&alice(), None).expect("alice's")
}

const OPEN_SSH: fn() -> Operation = || Operation::Open { door: ssh(), seconds: 0, bound: None };

#[test]
fn from_a_bare_host_to_an_open_door_and_a_revocation() {
    let Some(scene) = scene() else { return };
    let said = text(&scene.init().stderr);
    assert!(said.contains("No table of nftables keeps strangers from 2222/tcp"), "{said}");
    assert!(said.contains("user add NAME"), "{said}");
    assert!(
        text(&scene.init().stderr).lines().take(6).all(|line| line.starts_with("kept ")),
        "twice is once"
    );
    let OpenedBundle { bundle, .. } = scene.enrol(&[]);
    assert_eq!((bundle.hosts[0].to_string(), bundle.locks.len()), ("10.9.0.1".to_owned(), 1));
    assert_eq!((bundle.doors[0].name.as_str(), bundle.doors[0].ports[0].number.get()), ("ssh", 2222));
    let _listener = scene.hosts.listen(2222);
    assert!(scene.hosts.reachable(2222), "nothing is closed before the administrator says so");
    scene.about_firewall("apply");
    assert!(!scene.hosts.reachable(2222), "the table guards without the daemon");
    scene.about_firewall("remove");
    assert!(scene.hosts.reachable(2222));
    let daemon = scene.start();
    assert!(!scene.hosts.reachable(2222));
    scene.knock(&bundle, OPEN_SSH());
    daemon.wait_for("opened door=ssh address=10.9.0.2 lease=30s");
    assert!(!daemon.said().contains("replay-store-new"), "a first start is no loss");
    assert!(scene.hosts.reachable(2222));
    let said = text(&scene.about(&["user", "remove", "alice"]).stderr);
    assert!(said.contains("it counts now"), "{said}");
    daemon.wait_for("closed door=ssh address=10.9.0.2");
    assert!(
        until(Duration::from_secs(2), || !scene.hosts.reachable(2222)).is_some(),
        "closed with the device"
    );
}

impl Scene {
    fn about_firewall(&self, verb: &str) {
        self.aldabad(&["firewall", verb, "--config", &self.path("aldaba.toml")]);
    }
}

/// A host that drops by default, as people write it.
const RULESET: &str = "\
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname lo accept
        meta l4proto ipv6-icmp accept
    }
}
";

#[test]
fn a_bundle_is_printed_also_where_the_daemon_could_not_be_told() {
    let Some(scene) = scene() else { return };
    scene.init();
    let path = scene.dir.path().join("aldaba.toml");
    let control = format!("control = \"{}\"\n", scene.path("control.sock"));
    let good = control + &std::fs::read_to_string(&path).expect("made by init");
    std::fs::write(&path, &good).expect("written");
    let daemon = scene.start();
    // Run again beside it, init knows that it need not be started.
    let said = text(&scene.init().stderr);
    let (reload, run) = (format!("aldabad reload --config {}", path.display()), "aldabad run");
    assert!(said.contains(&reload) && !said.contains(run), "{said}");
    // What the daemon cannot take without a restart: a port that is root's.
    let port = good.lines().find(|line| line.starts_with("port = ")).expect("drawn by init");
    std::fs::write(&path, good.replace(port, "port = 700")).expect("written");
    let (line, config) = (alices_line(), scene.path("aldaba.toml"));
    for words in [&["user", "add", "alice/laptop", &line][..], &["user", "rekey", "alice/laptop"]] {
        let refused = scene.try_aldabad(&[words, &["--config", &config]].concat());
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert_eq!(open(&text(&refused.stdout)).bundle.port.get(), 700, "the bundle is there: {said}");
        let (_, end) = said.split_once("\nthe above is right, and NOT IN FORCE YET").expect("said");
        assert!(
            end.contains("the running daemon goes on as before") && end.contains("gave up at its start"),
            "{said}"
        );
        assert!(end.contains("run aldabad reload"), "{said}");
    }
    std::fs::write(&path, &good).expect("written");
    scene.about(&["reload"]);
    daemon.wait_until("in force", |said| said.contains("reloaded doors=1"));
}

#[test]
fn a_host_that_drops_by_default_gets_sets_of_its_own() {
    let Some(scene) = scene() else { return };
    let ruleset = scene.path("ruleset");
    std::fs::write(&ruleset, RULESET).expect("written");
    scene.hosts.on_server(&["nft", "-f", &ruleset]);
    let said = text(&scene.init().stderr);
    assert!(said.contains("The chain inet filter input closes 2222/tcp by its policy"), "{said}");
    let commands: Vec<&str> = said.lines().filter(|line| line.starts_with("  nft ")).collect();
    assert_eq!(commands.len(), 4, "{said}");
    // Word for word what the administrator is told.
    scene.hosts.on_server(&["sh", "-ec", &commands.join("\n")]);
    let config = std::fs::read_to_string(scene.path("aldaba.toml")).expect("a configuration");
    assert!(config.contains("set-v4 = \"inet filter aldaba_ssh_v4\""), "{config}");
    let kept = |command: &&str| config.contains(&format!("#     {}\n", command.trim()));
    assert!(commands.iter().all(kept), "the next boot needs them too: {config}");
    let OpenedBundle { bundle, .. } = scene.enrol(&["--max-lease", "2s"]);
    assert_eq!(bundle.doors[0].ports[0].number.get(), 2222, "told by `service`");
    let daemon = scene.start();
    let _listener = scene.hosts.listen(2222);
    assert!(!scene.hosts.reachable(2222));
    scene.knock(&bundle, OPEN_SSH());
    daemon.wait_for("opened door=ssh address=10.9.0.2 lease=2s");
    assert!(scene.hosts.reachable(2222));
    assert!(until(Duration::from_secs(5), || !scene.hosts.reachable(2222)).is_some(), "closed again");
}

#[test]
fn a_rotation_shuts_nobody_out_until_its_date() {
    let Some(scene) = scene() else { return };
    scene.init();
    let old = scene.enrol(&[]);
    let daemon = scene.start();
    let hellos = |count: usize| {
        daemon.wait_until("a hello more", |said| said.matches("hello device=alice/laptop").count() == count);
    };
    scene.knock(&old.bundle, Operation::Hello);
    hellos(1);
    for (round, what) in [&["rotate", "--for", "1h"][..], &["rotate", "--gate"]].into_iter().enumerate() {
        scene.about(what);
        let new = newest_bundle(scene.dir.path());
        assert!(new.may_replace(&old.bundle).is_ok(), "it comes from a key the device knows");
        scene.knock(&old.bundle, Operation::Hello);
        hellos(2 + 2 * round);
        scene.knock(&new.bundle, Operation::Hello);
        hellos(3 + 2 * round);
    }
    let new = newest_bundle(scene.dir.path());
    assert_ne!(new.bundle.locks[0].server, old.bundle.locks[0].server);
    assert!(
        !scene.try_aldabad(&["rotate", "--finish", "--config", &scene.path("aldaba.toml")]).status.success()
    );
    // Its day has come and gone.
    for name in ["server.key", "gate.key"] {
        let keys = std::fs::read_to_string(scene.path(name)).expect("keys");
        let dated = keys.split_whitespace().find(|word| word.starts_with("not-after=")).expect("a date");
        std::fs::write(scene.path(name), keys.replace(dated, "not-after=2020-01-01")).expect("written");
    }
    scene.about(&["rotate", "--finish"]);
    scene.knock(&old.bundle, Operation::Hello);
    scene.knock(&new.bundle, Operation::Hello);
    hellos(6);
    let keys = std::fs::read_to_string(scene.path("server.key")).expect("keys");
    assert_eq!(keys.lines().count(), 1);
}

/// The only bundle that a rotation has written.
fn newest_bundle(dir: &Path) -> OpenedBundle {
    let files = std::fs::read_dir(dir.join("bundles")).expect("the folder");
    let paths: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(paths.len(), 1, "one device, one file");
    open(&std::fs::read_to_string(&paths[0]).expect("a bundle"))
}
