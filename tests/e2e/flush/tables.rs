//! aldaba's own table under another name, or needed no more; and two daemons that want the same one.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use aldaba_tests::hosts::{CLIENT, SERVER};
use aldaba_tests::program::binary;
use aldaba_tests::{asked, text};

use super::*;

/// Leases stay over a stop; a flush would end them.
const KEPT: &str = "on-exit = \"keep\"\n";
/// One set of the administrator's, and rules that ask it.
const FILTER: &str = "add table inet filter; add set inet filter ok { type ipv4_addr; flags timeout; }; \
                      add chain inet filter input { type filter hook input priority 0; policy accept; }; \
                      add rule inet filter input tcp dport 2222 ip saddr @ok accept; \
                      add rule inet filter input tcp dport 2222 ct state new drop";

fn named(table: &str) -> String {
    format!("{KEPT}{SSH}\n[firewall]\nafter-flush = \"report\"\ntable = \"{table}\"\n")
}

fn other() -> String {
    SSH.replace("\"ssh\"", "\"other\"").replace("7000,", "7100,").replace("2222", "2223")
}

fn with_set() -> String {
    format!("{KEPT}{}", SSH.replace(r#"ports = ["2222/tcp"]"#, "set = \"inet filter ok\""))
}

fn with_commands() -> String {
    let commands = "start = [\"/bin/true\"]\nstop = [\"/bin/true\"]";
    format!("{KEPT}{}", SSH.replace(r#"ports = ["2222/tcp"]"#, commands))
}

impl Scene {
    fn config(&self) -> PathBuf {
        self.dir.path().join("aldaba.toml")
    }

    fn write(&self, config: &str) {
        std::fs::write(self.config(), config).expect("written");
    }

    /// The tables there are, in their order of names.
    fn tables(&self) -> Vec<String> {
        let text = self.nft("list tables");
        let mut tables: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("table inet ")).map(str::to_owned).collect();
        tables.sort();
        tables
    }

    /// Another daemon's words, or an administrator's, on the server: exit code, and all that was said.
    fn aldabad(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.hosts.server]).arg(binary("aldabad")).args(words);
        said(&command.output().expect("it runs"))
    }

    fn firewall_apply(&self) -> (Option<i32>, String) {
        self.aldabad(&["firewall", "apply", "--config", self.config().to_str().expect("plain")])
    }

    fn ask(&self, words: &[&str]) -> (Option<i32>, String) {
        said(&asked(self.dir.path(), words))
    }

    fn reload(&self, config: &str) {
        self.write(config);
        let (code, said) = self.ask(&["reload"]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// A trial of this configuration, once it is in force.
    fn trial(&self, config: &str) -> Child {
        let before = self.daemon.said().matches("on-trial file=").count();
        let new = self.dir.path().join("new.toml");
        std::fs::write(&new, config).expect("written");
        let mut command = Command::new(binary("aldabad"));
        command.arg("apply").arg(new).args(["--confirm", "60s", "--by-hand"]);
        command.arg("--control").arg(self.dir.path().join("control.sock")).arg("--config").arg(self.config());
        let trial = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        self.daemon.wait_until("a trial", |said| said.matches("on-trial file=").count() > before);
        trial
    }

    fn end(&self, trial: &mut Child, how: &str) {
        let (code, said) = self.ask(&["apply", how, "--config", self.config().to_str().expect("plain")]);
        assert_eq!(code, Some(0), "{said}");
        trial.wait().expect("it has ended");
    }

    fn stop(&mut self) {
        assert!(self.daemon.stop().success());
    }

    fn start(&mut self, config: &str) {
        self.write(config);
        self.daemon = Program::aldabad_again(&self.hosts, self.dir.path());
    }

    /// One lease of the client's stands in this table's set, for no longer than it had, and lets it in.
    fn is_open_in(&self, table: &str, opened: Instant) {
        let set = format!("inet {table} door_ssh_v4");
        let there = until(Duration::from_secs(10), || self.left(&set).len() == 1);
        assert!(there.is_some(), "{table}: {}\n{}", self.nft("list ruleset"), self.daemon.said());
        let most = 60_u64.saturating_sub(opened.elapsed().as_secs());
        let left = self.left(&set);
        assert!(left[0].0 == CLIENT.to_string() && left[0].1 <= most, "{table}: {left:?} of {most}");
        assert!(self.hosts.reachable(2222), "{table}: {}", self.nft("list ruleset"));
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// A stranger tries all the time; how often it came through.
fn while_a_stranger_tries(hosts: &Hosts, work: impl FnOnce()) -> u32 {
    hosts.add_client(client(99));
    let over = AtomicBool::new(false);
    let came_through = || {
        let mut times = 0;
        while !over.load(Ordering::Relaxed) {
            times += u32::from(connects(client(99).into(), Duration::from_millis(10)));
        }
        times
    };
    std::thread::scope(|scope| {
        let stranger = scope.spawn(|| hosts.as_client(came_through));
        let ending = Ending(&over);
        work();
        drop(ending);
        stranger.join().expect("it does not fail")
    })
}

/// A stranger tries all the time; for which part of the time it comes through.
pub(super) fn share_open(hosts: &Hosts, work: impl FnOnce()) -> f64 {
    let over = AtomicBool::new(false);
    let sample = || {
        let (began, mut open) = (Instant::now(), Duration::ZERO);
        while !over.load(Ordering::Relaxed) {
            let tried = Instant::now();
            if connects(CLIENT.into(), Duration::from_millis(10)) {
                std::thread::sleep(Duration::from_millis(2));
                open += tried.elapsed();
            }
        }
        open.as_secs_f64() / began.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| hosts.as_client(sample));
        let ending = Ending(&over);
        work();
        drop(ending);
        sampler.join().expect("it does not fail")
    })
}

/// Ends the stranger also where the work fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether this address gets a connection to the guarded port within this time; from the client's own thread.
fn connects(source: IpAddr, within: Duration) -> bool {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    bind(&socket, &SocketAddr::new(source, 0)).expect("its own address");
    connect(&socket, &SocketAddr::new(SERVER.into(), 2222)).ok();
    let stream = TcpStream::from(socket);
    until(within, || stream.peer_addr().is_ok()).is_some()
}

/// R7: `[firewall] table` is another one: by a reload, a trial and its end, a start, and `aldabad firewall apply`. There is one table
/// of aldaba's, what was open is so for the rest of its time, nobody else comes in meanwhile, and others' tables are as they were.
#[test]
fn r7_a_table_of_another_name_takes_the_place_of_the_one_before() {
    let Some(mut scene) = scene(&named("first"), FOREIGN) else { return };
    let _listener = scene.hosts.listen(2222);
    // A copy that somebody has kept under a name of their own, which guards nothing here.
    let copy = scene.nft("list table inet first").replace("table inet first", "table inet copy");
    let copy = copy.replace("hook input", "hook output");
    let file = scene.dir.path().join("copy");
    std::fs::write(&file, copy).expect("written");
    scene.hosts.on_server(&["nft", "-f", file.to_str().expect("plain")]);
    let foreign = ["other", "copy"].map(|table| scene.nft(&format!("list table inet {table}")));
    let only = |scene: &Scene, table: &str| {
        let mut all = ["copy".to_owned(), "other".to_owned(), table.to_owned()];
        all.sort();
        assert_eq!(scene.tables(), all, "{}", scene.daemon.said());
    };
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let opened = Instant::now();
    let hosts = &scene.hosts;
    let strangers = while_a_stranger_tries(hosts, || {
        for table in ["second", "third"] {
            scene.reload(&named(table));
            only(&scene, table);
            scene.is_open_in(table, opened);
        }
        // A trial, and back again.
        let mut trial = scene.trial(&named("tried"));
        only(&scene, "tried");
        scene.is_open_in("tried", opened);
        scene.end(&mut trial, "--roll-back");
        only(&scene, "third");
        scene.is_open_in("third", opened);
        // Beside a daemon that has not been told, nothing is changed.
        scene.write(&named("fourth"));
        let (code, said) = scene.firewall_apply();
        assert_eq!(code, Some(1), "{said}");
        let pid = scene.daemon.pid();
        assert!(said.contains(&format!("a daemon (pid {pid}) keeps the table inet third")), "{said}");
        assert!(said.contains("aldabad reload"), "{said}");
        only(&scene, "third");
    });
    assert_eq!(strangers, 0, "came in");
    scene.stop();
    scene.start(&named("fourth"));
    only(&scene, "fourth");
    scene.is_open_in("fourth", opened);
    scene.stop();
    scene.write(&named("fifth"));
    let (code, said) = scene.firewall_apply();
    assert!(
        code == Some(0) && said.contains("table inet fourth, which this configuration had before, is gone"),
        "{said}"
    );
    only(&scene, "fifth");
    scene.is_open_in("fifth", opened);
    scene.start(&named("fifth"));
    scene.is_open_in("fifth", opened);
    let now = ["other", "copy"].map(|table| scene.nft(&format!("list table inet {table}")));
    assert_eq!(now, foreign, "others' tables are theirs");
    let said = scene.daemon.said();
    let gone = |table: &str| said.matches(&format!("old-table-removed table={table}\n")).count();
    assert_eq!(["first", "second", "tried", "third"].map(gone), [1, 1, 1, 2], "{said}");
    assert!(!said.contains("table-restored") && !said.contains("why=flushed"), "{said}");
}

/// R7: no door needs the table any more: it goes at a start and with `aldabad firewall apply`, and what a knock opens is open.
#[test]
fn r7_a_table_that_no_door_needs_any_more_keeps_nobody_out() {
    let Some(mut scene) = scene(&format!("{KEPT}{SSH}"), FILTER) else { return };
    let _listener = scene.hosts.listen(2222);
    for (config, opens) in [(with_set(), true), (with_commands(), false)] {
        assert_eq!(scene.tables(), ["aldaba", "filter"]);
        scene.stop();
        scene.start(&config);
        assert_eq!(scene.tables(), ["filter"], "{}", scene.daemon.said());
        if opens {
            assert!(!scene.hosts.reachable(2222), "the administrator's own rules");
            scene.hosts.knock(&[7000, 8000, 9000]);
            scene.daemon.wait_for("opened door=ssh");
            assert!(scene.hosts.reachable(2222), "{}", scene.nft("list ruleset"));
        }
        scene.stop();
        scene.start(&format!("{KEPT}{SSH}"));
    }
    // Beside a daemon that keeps it, and then without one.
    scene.write(&with_set());
    let (code, said) = scene.firewall_apply();
    assert!(code == Some(1) && said.contains("keeps the table inet aldaba"), "{said}");
    scene.stop();
    assert_eq!(scene.tables(), ["aldaba", "filter"]);
    // The port of datagrams is in it too.
    scene.write(&format!("{}spa = true\n[spa]\nport = 42731\n", with_commands()));
    let (code, said) = scene.firewall_apply();
    assert!(code == Some(0) && scene.nft("list table inet aldaba").contains("udp dport 42731"), "{said}");
    scene.write(&with_set());
    let (code, said) = scene.firewall_apply();
    assert!(code == Some(0) && said.contains("table inet aldaba, which"), "{said}");
    assert_eq!(scene.tables(), ["filter"]);
    let (code, said) = scene.firewall_apply();
    assert!(code == Some(0) && said.contains("there is nothing to apply"), "{said}");
}

/// R7: a configuration that lies elsewhere now, or in a new folder of the same name, has its table of before.
#[test]
fn r7_a_configuration_that_has_moved_knows_its_table() {
    let Some(mut scene) = scene(&format!("{KEPT}{SSH}"), FILTER) else { return };
    let _listener = scene.hosts.listen(2222);
    scene.stop();
    let folder = scene.dir.path();
    let moved = folder.join("moved/aldaba.toml");
    std::fs::create_dir(folder.join("moved")).expect("a folder");
    std::fs::write(&moved, with_set()).expect("written");
    let words: Vec<String> = [
        "aldabad",
        "run",
        "--config",
        "moved/aldaba.toml",
        "--state-dir",
        "state",
        "--control",
        "control.sock",
    ]
    .map(|word| match word {
        "aldabad" => binary("aldabad").display().to_string(),
        path if path.contains('.') || path == "state" => folder.join(path).display().to_string(),
        word => word.to_owned(),
    })
    .into();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.daemon = Program::start(&scene.hosts, &words, &folder.join("moved/output"));
    scene.daemon.wait_for("started version=");
    assert_eq!(scene.tables(), ["filter"], "{}", scene.daemon.said());
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    assert!(scene.hosts.reachable(2222), "{}", scene.nft("list ruleset"));
}

/// R7: a set of aldaba's own goes with its door: that lease is over and said to be, whatever `after-flush` says. On trial it waits.
#[test]
fn r7_a_lease_ends_with_the_set_of_its_door() {
    for flush in ["restore", "report"] {
        let with = |doors: &str| format!("{KEPT}{doors}\n[firewall]\nafter-flush = \"{flush}\"\n");
        let Some(mut scene) = scene(&with(SSH), FILTER) else { return };
        let closed = |times: usize| {
            let line = format!("closed door=ssh address={CLIENT} why=door-gone");
            scene.daemon.wait_until(&line, |said| said.matches(&line).count() == times);
            let said = status(scene.dir.path());
            assert_eq!((&said["leases"]["open"], &said["leases"]["lost"]), (&0.into(), &0.into()), "{said}");
        };
        let open = |times: usize| {
            scene.hosts.knock(&[7000, 8000, 9000]);
            scene.daemon.wait_until("open", |said| said.matches("opened door=ssh").count() == times);
        };
        // The door does something else; then it is not there.
        for (round, config) in [with(&other()), with_set()].iter().enumerate() {
            open(round + 1);
            scene.reload(config);
            closed(round + 1);
            scene.reload(&with(SSH));
        }
        open(3);
        // As an earlier run has left it.
        scene.stop();
        scene.start(&with(&other()));
        let line = format!("closed door=ssh address={CLIENT} why=door-gone");
        scene.daemon.wait_until(&line, |said| said.matches(&line).count() == 3);
    }
}

/// R7: the same in a trial, where the door may come back.
#[test]
fn r7_a_lease_without_a_set_waits_for_the_end_of_a_trial() {
    let Some(scene) = scene(SSH, "") else { return };
    let _listener = scene.hosts.listen(2222);
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let opened = Instant::now();
    for how in ["--roll-back", "--keep"] {
        let mut trial = scene.trial(&other());
        let lost = until(Duration::from_secs(10), || status(scene.dir.path())["leases"]["lost"] == 1);
        assert!(lost.is_some(), "{}", status(scene.dir.path()));
        scene.end(&mut trial, how);
        if how == "--roll-back" {
            scene.is_open_in("aldaba", opened);
            assert!(!scene.daemon.said().contains("why=door-gone"), "{}", scene.daemon.said());
        }
    }
    scene.daemon.wait_for(&format!("closed door=ssh address={CLIENT} why=door-gone"));
}

/// R19: a table has one daemon, whatever the state folders are; who may not change the firewall can keep none from its start.
#[test]
fn r19_a_second_daemon_for_the_same_table_is_refused() {
    let Some(mut scene) = scene(SSH, "") else { return };
    let _listener = scene.hosts.listen(2222);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("plain").to_owned();
    let (config, state, control) = (path("aldaba.toml"), path("state"), path("control.sock"));
    let second = format!("{SSH}\n[firewall]\ntable = \"second\"\n");
    let pid = scene.daemon.pid();
    let refused = |expected: i32, (code, said): (Option<i32>, String)| {
        let line = format!("a daemon (pid {pid}) keeps the table inet aldaba");
        assert!(
            code == Some(expected) && said.contains(&line) && said.contains("[firewall] table"),
            "{said}"
        );
    };
    let hosts = &scene.hosts;
    let strangers = while_a_stranger_tries(hosts, || {
        std::fs::write(&config, SSH).expect("written");
        let program = binary("aldabad");
        let words = [program.to_str().expect("plain"), "run", "--config", &config, "--state-dir", &state];
        let mut daemon = Program::start(
            hosts,
            &[&words[..], &["--control", &control]].concat(),
            &folder.path().join("refused"),
        );
        let ended = daemon.wait(Duration::from_secs(20)).expect("it does not stay");
        refused(1, (ended.code(), daemon.said()));
        refused(1, scene.aldabad(&["firewall", "apply", "--config", &config]));
        // It lives beside the first one with a table of its own, and is not given that one's.
        let mut daemon = Program::aldabad(hosts, folder.path(), &second);
        assert_eq!(scene.tables(), ["aldaba", "second"]);
        std::fs::write(&config, SSH).expect("written");
        refused(2, said(&asked(folder.path(), &["reload"])));
        std::fs::write(&config, &second).expect("written");
        assert!(daemon.stop().success());
    });
    assert_eq!(strangers, 0, "came in");
    // Somebody without rights has the first one's lock before it starts again.
    scene.daemon.kill_everything();
    scene.nft("delete table inet second");
    let name = "import socket,time\ns=socket.socket(socket.AF_UNIX)\ns.bind('\\0aldaba/table/aldaba')\n\
                s.listen()\nprint('taken',flush=True)\ntime.sleep(60)";
    let words =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", name];
    let squatter = Program::start(&scene.hosts, &words, &scene.dir.path().join("squatter"));
    squatter.wait_for("taken");
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    let line =
        "degraded what=table-lock error=\"the lock of table inet aldaba: uid 65534 has taken its name\"";
    scene.daemon.wait_for(line);
    assert_eq!(degraded(scene.dir.path()), ["table-lock"]);
    scene.hosts.knock(&[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    drop(squatter);
    let (code, said) = scene.ask(&["reload"]);
    assert_eq!((code, degraded(scene.dir.path())), (Some(0), Vec::<String>::new()), "{said}");
}

/// R7: the table that the configuration names has rules of the administrator's: whatever would make it aldaba's, or take it away, is
/// refused.
#[test]
fn r7_a_table_of_the_administrators_own_is_left_alone() {
    let Some(mut scene) = scene(&named("first"), FILTER) else { return };
    let filter = scene.nft("list table inet filter");
    let refused = |what: &str, (code, said): (Option<i32>, String)| {
        assert!(code.is_some_and(|code| code > 0), "{what}: {code:?} {said}");
        assert!(said.contains("table inet filter is not aldaba's: it has chain input"), "{what}: {said}");
        assert!(said.contains("help: ") && said.contains("[firewall] table"), "{what}: {said}");
        assert_eq!(scene.nft("list table inet filter"), filter, "{what}");
    };
    let new = scene.dir.path().join("new.toml");
    std::fs::write(&new, named("filter")).expect("written");
    let new = new.to_str().expect("plain");
    refused(
        "a trial",
        scene.ask(&["apply", new, "--confirm", "10s", "--config", scene.config().to_str().expect("plain")]),
    );
    scene.write(&named("filter"));
    refused("a reload", scene.ask(&["reload"]));
    assert_eq!(scene.tables(), ["filter", "first"]);
    scene.daemon.signal(Signal::TERM);
    let gone = until(Duration::from_secs(15), || !scene.dir.path().join("control.sock").exists());
    assert!(gone.is_some(), "{}", scene.daemon.said());
    refused("firewall apply", scene.firewall_apply());
    let path = |name: &str| scene.dir.path().join(name).display().to_string();
    let (config, state, control) = (path("aldaba.toml"), path("state"), path("control.sock"));
    refused("firewall remove", scene.aldabad(&["firewall", "remove", "--config", &config]));
    let run = ["run", "--config", &config, "--state-dir", &state, "--control", &control];
    refused("a start", scene.aldabad(&run));
    assert_eq!(scene.tables(), ["filter", "first"]);
    // Nothing stands in the way of one that is empty.
    scene.nft("delete table inet filter; add table inet filter");
    scene.start(&named("filter"));
    assert_eq!(scene.tables(), ["filter"], "{}", scene.daemon.said());
    assert!(scene.nft("list table inet filter").contains("chain guard"), "{}", scene.daemon.said());
}
