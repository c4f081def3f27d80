//! The control socket of a running daemon: who may ask, what becomes of those who only take up room, and what it answers.
#![expect(clippy::disallowed_methods, reason = "real daemons take real time; every wait is bounded")]

#[path = "control/growth.rs"]
mod growth;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aldaba_tests::hosts::CLIENT;
use aldaba_tests::memory::descriptors;
use aldaba_tests::program::binary;
use aldaba_tests::{Device, Hosts, Program, asked, cannot_run, device, serve, serve_prepared, text, until};

const CONFIG: &str = r#"
interfaces = ["srv0"]

[[door]]
name = "ssh"
sequence = "7000,8000,9000"
ports = ["2222/tcp"]
lease = "30s"
"#;

fn scene() -> Option<(Hosts, tempfile::TempDir, Program)> {
    serve(CONFIG)
}

/// What the daemon says to these bytes.
fn told(dir: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(dir.join("control.sock")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    // Bytes of ours that nobody read make the hang-up an error; the answer comes before it.
    stream.read_to_end(&mut answer).ok();
    text(&answer)
}

#[test]
fn a_reload_says_what_came_of_it() {
    let Some((hosts, dir, daemon)) = scene() else { return };
    let good = asked(dir.path(), &["reload"]);
    assert_eq!(text(&good.stdout), "reloaded: the new configuration is in force (1 door, 0 warnings)\n");
    assert_eq!((text(&good.stderr).as_str(), good.status.code()), ("", Some(0)));
    // In force means in force: the new sequence counts from here on.
    std::fs::write(dir.path().join("aldaba.toml"), CONFIG.replace("7000,", "7001,")).expect("written");
    assert_eq!(asked(dir.path(), &["reload"]).status.code(), Some(0));
    hosts.knock(&[7001, 8000, 9000]);
    daemon.wait_for("opened door=ssh address=10.9.0.2");
    std::fs::write(dir.path().join("aldaba.toml"), CONFIG.replace("lease", "leese")).expect("written");
    let broken = asked(dir.path(), &["reload"]);
    let said = text(&broken.stderr);
    assert_eq!((text(&broken.stdout).as_str(), broken.status.code()), ("", Some(2)), "{said}");
    for part in ["aldaba.toml:8:1", "did you mean lease?", "old configuration stays", "help: mend the file"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(daemon.said().contains("reload-refused errors=1"));
}

/// What counts from the next start only is said, by `reload` and by a trial, and nothing else is held up by it.
#[test]
fn a_reload_names_what_waits_for_the_next_start() {
    let Some((_hosts, dir, mut daemon)) = serve_prepared(|_, dir| {
        let pid_file = dir.join("aldabad.pid");
        format!("pid-file = {pid_file:?}\ncapture = \"ring\"\n{CONFIG}")
    }) else {
        return;
    };
    let path = |name: &str| dir.path().join(name);
    let pid = std::fs::read_to_string(path("aldabad.pid")).expect("it is written");
    assert_eq!(pid.trim(), daemon.pid().to_string());
    let unchanged = asked(dir.path(), &["reload"]);
    assert_eq!(text(&unchanged.stderr), "");
    let top = "state-dir = \"/elsewhere\"\ncontrol = \"/else.sock\"\ncapture = \"pnet\"\nuser = \"nobody\"\n";
    let changed = format!("{top}{CONFIG}\n[limits]\nattempts = 4096\n").replace("7000,", "7001,");
    let (keys, state) = (["state-dir", "control", "pid-file", "capture", "attempts"], path("state"));
    let says_all = |said: &str| {
        for key in keys {
            assert!(said.contains(&format!("{key} is read at start only: in force is ")), "{key} in\n{said}");
        }
        assert!(said.contains(&format!("in force is {}", state.display())), "{said}");
        assert!(!said.contains("user is read"), "{said}");
    };
    std::fs::write(path("aldaba.toml"), &changed).expect("written");
    let reload = asked(dir.path(), &["reload"]);
    let said = text(&reload.stderr);
    assert_eq!(reload.status.code(), Some(0), "{said}");
    assert!(said.contains("aldaba.toml:1:1") && said.contains("systemctl restart aldabad"), "{said}");
    assert!(said.contains("it does not count: --state-dir"), "the command line names one: {said}");
    says_all(&said);
    says_all(&daemon.said());
    // The worker of another user has been made with the room that is wanted now.
    daemon.wait_until("another worker", |said| said.matches("worker-started").count() > 1);
    std::fs::write(path("new.toml"), changed.replace("7001,", "7002,")).expect("written");
    let new = path("new.toml");
    let apply = asked(dir.path(), &["apply", new.to_str().expect("plain")]);
    let said = text(&apply.stderr);
    assert_eq!(apply.status.code(), Some(0), "{said}");
    assert!(said.contains("state-dir is read at start only") && !said.contains("attempts is read"), "{said}");
    daemon.stop();
    assert!(!path("aldabad.pid").exists(), "it goes with the daemon");
}

#[test]
fn a_socket_is_for_root_and_the_daemons_user_only() {
    let Some((_hosts, dir, _daemon)) = scene() else { return };
    let socket = dir.path().join("control.sock");
    assert_eq!(std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777, 0o600);
    // A copy where everybody gets at it, as the build folder may not be.
    let everybodys = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(everybodys.path(), PermissionsExt::from_mode(0o755)).expect("set");
    let aldabad = everybodys.path().join("aldabad");
    std::fs::copy(binary("aldabad"), &aldabad).expect("copied");
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&aldabad);
        let output = command.args(["reload", "--control"]).arg(&socket).current_dir("/").output();
        let output = output.expect("it starts");
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = as_nobody();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("answers root and its own user only"), "{said}");
    // An administrator who opened folder and socket to all has not opened the daemon.
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("set");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).expect("set");
    let (code, said) = as_nobody();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("help: run this command with sudo"), "{said}");
}

#[test]
fn nonsense_is_answered_and_changes_nothing() {
    let Some((_hosts, dir, daemon)) = scene() else { return };
    for bytes in [&b"\n"[..], b"reload\n", b"{\"version\":1,\"ask\":{}}\n", &[0xff; 2000], &[b'{'; 1025]] {
        let answer = told(dir.path(), bytes);
        assert!(answer.contains("\"kind\":\"malformed\""), "{answer}");
    }
    assert!(told(dir.path(), b"{\"version\":2,\"ask\":\"x\"}\n").contains("\"kind\":\"version\""));
    assert!(!daemon.said().contains("reload"));
}

#[test]
fn a_second_daemon_leaves_the_socket_alone_and_a_dead_ones_is_replaced() {
    let Some((hosts, dir, mut daemon)) = scene() else { return };
    let other = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("control.sock");
    let config = other.path().join("aldaba.toml");
    let elsewhere = CONFIG.replace("[\"srv0\"]", "[\"lo\"]");
    std::fs::write(&config, format!("{elsewhere}\n[firewall]\ntable = \"second\"\n")).expect("written");
    let state = other.path().join("state");
    let aldabad = binary("aldabad");
    let words = [
        aldabad.as_path(),
        "run".as_ref(),
        "--config".as_ref(),
        &config,
        "--state-dir".as_ref(),
        &state,
        "--control".as_ref(),
        &socket,
    ];
    let words = words.map(|word| word.to_str().expect("plain"));
    let second = Program::start(&hosts, &words, &other.path().join("output"));
    second.wait_for(&format!("another daemon uses it (pid {})", daemon.pid()));
    second.wait_for("started version=");
    assert_eq!(asked(dir.path(), &["reload"]).status.code(), Some(0));
    assert!(daemon.said().contains("reloaded doors=1"));
    drop(second);
    daemon.kill_everything();
    assert!(socket.exists(), "nobody took it away");
    let dead = asked(dir.path(), &["reload"]);
    assert!(text(&dead.stderr).contains("no daemon answers at"), "{}", text(&dead.stderr));
    let mut daemon = Program::aldabad_again(&hosts, dir.path());
    assert_eq!(asked(dir.path(), &["reload"]).status.code(), Some(0));
    daemon.stop();
    assert!(!socket.exists(), "it goes with the daemon");
}

/// Hazard R13.
#[test]
fn r13_many_clients_keep_no_door_shut() {
    if cannot_run().is_some() {
        return;
    }
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    let alice = Device::new(1);
    device::write_server(dir.path(), &alice.line("", "alice"));
    aldabad::monitor::make_store(&dir.path().join("state")).expect("as init makes it");
    let config = format!(
        "{CONFIG}[[door]]\nname = \"web\"\nspa = true\nports = [\"3333/tcp\"]\n[spa]\nport = 42731\ntrust-clock = true\n"
    );
    std::fs::write(dir.path().join("aldaba.toml"), config).expect("written");
    let (aldabad, folder) = (binary("aldabad"), dir.path().to_str().expect("plain").to_owned());
    let aldabad = aldabad.to_str().expect("plain");
    let line = format!(
        "ulimit -n 32; exec {aldabad} run --config {folder}/aldaba.toml --state-dir {folder}/state \
         --control {folder}/control.sock"
    );
    let daemon = Program::start(&hosts, &["sh", "-c", &line], &dir.path().join("output"));
    daemon.wait_for("started version=");
    let socket = dir.path().join("control.sock");
    let crowd: Vec<Crowd> = (0..200).map(|_| Crowd::join(&socket)).collect();
    let (before, began) = (cpu(daemon.pid()), Instant::now());
    hosts.knock(&[7000, 8000, 9000]);
    daemon.wait_for("opened door=ssh address=10.9.0.2");
    let _listener = hosts.listen(2222);
    assert!(hosts.reachable(2222), "for {CLIENT}");
    let (datagram, _) = alice.seal(device::open("web", None));
    device::send(&hosts, CLIENT.into(), 42731, &datagram);
    daemon.wait_for("opened door=web address=10.9.0.2");
    std::thread::sleep(Duration::from_millis(500));
    let (spent, passed) = (cpu(daemon.pid()).saturating_sub(before), began.elapsed());
    assert!(spent * 4 < passed, "no spinning: {spent:?} of {passed:?}");
    let share = 100.0 * spent.as_secs_f64() / passed.as_secs_f64();
    println!(
        "figure: R13 {} clients that say nothing: a door opens, {share:.1} % of a processor",
        crowd.len()
    );
    // Whoever says nothing is let go, so that the next one has its turn.
    let answered = until(Duration::from_secs(5), || crowd.iter().filter(|one| one.is_over()).count() >= 4);
    assert!(answered.is_some(), "the first are let go");
    drop(crowd);
    let reload = asked(dir.path(), &["reload"]);
    assert_eq!(reload.status.code(), Some(0), "{}", text(&reload.stderr));
    let descriptors = descriptors(daemon.pid());
    assert!(descriptors < 30, "{descriptors}");
}

/// One who connects and says nothing; where the queue is full, not even that.
struct Crowd(Option<UnixStream>);

impl Crowd {
    fn join(socket: &Path) -> Self {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket");
        let joined = connect(&fd, &SocketAddrUnix::new(socket).expect("short")).is_ok();
        Self(joined.then(|| fd.into()))
    }

    fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|stream| matches!((&*stream).read(&mut [0; 1]), Ok(0)))
    }
}

/// The processor time of a process so far.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}
