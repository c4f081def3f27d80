//! Doors whose stop commands hang keep no other door open: the daemon, the closer and `aldabad reap` go round the doors (hazard R1 of
//! docs/reliability.md).
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, serve, until};

/// The longest its own stop command may take to close the good door: a second or two, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(6);

struct Scene {
    daemon: Program,
    /// The lease of the good door.
    good: Duration,
    dir: tempfile::TempDir,
    _hosts: Hosts,
}

/// So many doors whose stop commands hang for longer than a test takes, and a good one.
fn scene(slow: u8, lease: &str, good: Duration) -> Option<Scene> {
    if cannot_run().is_some() {
        return None;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let door = |name: String, port: u32, lease: &str, start: String, stop: String| {
        format!(
            "[[door]]\nname = \"{name}\"\nsequence = \"{port},{}\"\nlease = \"{lease}\"\ntime-limit = \"60s\"\n\
             start = [{start}]\nstop = [{stop}]\n",
            port + 1
        )
    };
    let slow = (0..slow).map(|number| {
        let (start, stop) = ("\"/bin/true\"".to_owned(), "\"/bin/sleep\", \"25\"".to_owned());
        door(format!("slow{number}"), 2000 + u32::from(number) * 10, lease, start, stop)
    });
    let file = dir.path().join("open").display().to_string();
    let (start, stop) = (format!("\"/usr/bin/touch\", \"{file}\""), format!("\"/bin/rm\", \"{file}\""));
    let good_door = door("zgood".to_owned(), 1000, &format!("{}s", good.as_secs()), start, stop);
    let config = format!("interfaces = [\"srv0\"]\n{}{good_door}", slow.collect::<String>());
    let daemon = Program::aldabad_with(&hosts, dir.path(), &config, &["--keep"]);
    Some(Scene { daemon, good, dir, _hosts: hosts })
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn asks(&self, words: &[&str]) -> Child {
        let mut command = Command::new(binary("aldabad"));
        command.args(words).arg("--control").arg(self.path("control.sock"));
        command.spawn().unwrap()
    }

    /// Opens these doors for so many addresses each, all at once.
    fn open_slow(&self, doors: u8, clients: u8) {
        let each = (0..doors).flat_map(|door| (1..=clients).map(move |client| (door, client)));
        let ask = |(door, client)| self.asks(&["open", &format!("192.0.2.{client}"), &format!("slow{door}")]);
        let asked: Vec<Child> = each.map(ask).collect();
        for mut asked in asked {
            assert!(asked.wait().unwrap().success(), "{}", self.daemon.said());
        }
    }

    /// Opens the good door; when.
    fn open_good(&self) -> Instant {
        assert!(self.asks(&["open", "192.0.2.200", "zgood"]).wait().unwrap().success());
        assert!(self.path("open").exists(), "{}", self.daemon.said());
        Instant::now()
    }

    /// How long after its deadline the good door closes.
    fn closes(&self, opened: Instant) -> Duration {
        let closed = until(self.good + IN_TIME, || !self.path("open").exists());
        assert!(closed.is_some(), "open {:?} after it was opened:\n{}", opened.elapsed(), self.daemon.said());
        opened.elapsed().saturating_sub(self.good)
    }
}

/// Three doors, each with more that hang than it has places.
#[test]
fn r1_stop_commands_that_hang_keep_no_other_door_open() {
    let Some(scene) = scene(3, "1s", Duration::from_secs(2)) else { return };
    scene.open_slow(3, 17);
    let stops = |said: &str| said.matches(" part=stop ").count();
    scene.daemon.wait_until("the stop commands of all three hang", |said| stops(said) >= 40);
    let late = scene.closes(scene.open_good());
    println!(
        "figure: R1 beside 51 stop commands that hang, another door closed {} ms late",
        late.as_millis()
    );
}

/// As many of one door as the closer, and then `reap`, has places.
#[test]
fn r1_the_closer_and_reap_go_round_the_doors() {
    for everything in [false, true] {
        // Due one after the other, or all at once.
        let Some(mut scene) = scene(1, "4s", Duration::from_secs(6)) else { return };
        scene.open_slow(1, 17);
        let opened = scene.open_good();
        let mut reap = None;
        if everything {
            scene.daemon.kill_everything();
            let mut command = Command::new(binary("aldabad"));
            command.args(["reap", "--now", "--wait", "--state-dir"]).arg(scene.path("state"));
            reap = Some(command.spawn().unwrap());
        } else {
            scene.daemon.kill_alone();
        }
        scene.closes(opened);
        if let Some(mut reap) = reap {
            reap.kill().unwrap();
            reap.wait().unwrap();
        }
    }
}

/// One line to the control socket, whose answer may be waited for or not.
fn ask(dir: &std::path::Path, line: &str) -> UnixStream {
    let mut stream = UnixStream::connect(dir.join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    writeln!(stream, "{{\"version\":1,\"ask\":{line}}}").unwrap();
    stream
}

/// How often a process has read.
fn reads(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// Twenty doors, each of which has ten to close at once. What it takes to end a command is counted, not timed.
#[test]
fn r6_hundreds_that_reach_their_limit_together_are_ended_together() {
    let door = |number: u32| {
        format!(
            "[[door]]\nname = \"slow{number}\"\nsequence = \"{},{}\"\ntime-limit = \"4s\"\n\
             start = [\"/bin/true\"]\nstop = [\"/bin/sleep\", \"60\"]\n",
            2000 + number * 10,
            2001 + number * 10
        )
    };
    let config = format!("interfaces = [\"srv0\"]\n{}", (0..20).map(door).collect::<String>());
    let Some((_hosts, dir, daemon)) = serve(&config) else { return };
    for (client, door) in (1..=10).flat_map(|client| (0..20).map(move |door| (client, door))) {
        let address = format!("192.0.2.{client}");
        let line = format!("{{\"open\":{{\"address\":\"{address}\",\"door\":\"slow{door}\"}}}}");
        let answer = std::io::read_to_string(ask(dir.path(), &line)).unwrap();
        assert!(answer.contains("opened"), "{answer}");
    }
    let idle: BTreeSet<u32> = daemon.children().into_iter().collect();
    let commands =
        || daemon.children().into_iter().filter(|pid| !idle.contains(pid)).collect::<BTreeSet<_>>();
    let close = |client| ask(dir.path(), &format!("{{\"close\":{{\"address\":\"192.0.2.{client}\"}}}}"));
    let asked: Vec<UnixStream> = (1..=10).map(close).collect();
    assert!(until(Duration::from_secs(20), || commands().len() >= 120).is_some(), "{}", daemon.said());
    let (begun, before) = (commands(), reads(daemon.pid()));
    let all_ended = || commands().is_disjoint(&begun);
    assert!(until(Duration::from_secs(40), all_ended).is_some(), "{}", daemon.said());
    let each = (reads(daemon.pid()) - before) / begun.len() as u64;
    println!("figure: R6 {} commands that reach their limit together take {each} reads each", begun.len());
    assert!(each < 200, "{each} reads for each of {}", begun.len());
    drop(asked);
}

/// Thirty-two of one door whose stop commands hang until they are ended, again and again, and one whose first try fails.
#[test]
fn r1_the_closer_tries_all_of_a_door_again_in_turn() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let (folder, script) = (dir.path().display(), dir.path().join("stop"));
    let stop = format!(
        "#!/bin/sh\necho $1 >>{folder}/begun\n[ $1 = 192.0.2.200 ] || exec sleep 60\n\
         [ -e {folder}/failed ] && exec rm {folder}/open\n: >{folder}/failed\nexit 1\n"
    );
    std::fs::write(&script, stop).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"1000,1001\"\nlease = \"5s\"\n\
         time-limit = \"1s\"\nstart = [\"/usr/bin/touch\", \"{folder}/open\"]\nstop = [\"{folder}/stop\", \"{{ip}}\"]\n"
    );
    let mut daemon = Program::aldabad(&hosts, dir.path(), &config);
    for client in (1..=32).chain([200]) {
        let line = format!("{{\"open\":{{\"address\":\"192.0.2.{client}\",\"door\":\"web\"}}}}");
        let answer = std::io::read_to_string(ask(dir.path(), &line)).unwrap();
        assert!(answer.contains("opened"), "{answer}");
    }
    daemon.kill_alone();
    let closed = until(Duration::from_secs(60), || !dir.path().join("open").exists());
    let begun = std::fs::read_to_string(dir.path().join("begun")).unwrap();
    assert!(closed.is_some(), "{begun}");
    let between = begun.split("192.0.2.200\n").nth(1).unwrap();
    for client in 1..=32 {
        let tries = between.lines().filter(|line| *line == format!("192.0.2.{client}")).count();
        assert!(tries <= 1, "192.0.2.{client} was tried {tries} times before the good one's turn:\n{begun}");
    }
}
