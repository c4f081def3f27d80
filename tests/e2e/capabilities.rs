//! What monitor, worker and commands may: started as root, with ambient capabilities alone, and for lines of knockd.conf.
#![expect(clippy::disallowed_methods, reason = "asks the daemon as an administrator does")]

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, asked, cannot_run, degraded, text, until};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// `net_admin` and `net_raw`.
const FIREWALL: u64 = 0x3000;
/// These, `kill`, `setgid` and `setuid`, and `setpcap`, which can only take away.
const MONITOR: u64 = 0x31e0;
const KNOCK: [u16; 3] = [7000, 8000, 9000];

/// The set of this name in a status file of /proc.
fn set(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    u64::from_str_radix(line.expect("such a line"), 16).expect("a number")
}

fn status(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status")
}

fn assert_nothing(status: &str) {
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(set(status, name), 0, "{name}: {status}");
    }
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
}

/// A configuration whose door writes down what its command may.
fn config(dir: &Path, head: &str, door: &str) -> String {
    let line = format!("cat /proc/self/status > {}", dir.join("may").display());
    format!(
        "interfaces = [\"srv0\"]\n{head}\n[[door]]\nname = \"d\"\nsequence = \"7000,8000,9000\"\n{}",
        door.replace("LINE", &line)
    )
}

const ARGV: &str = "start = [\"/bin/sh\", \"-c\", \"LINE\"]\n";

fn command_status(hosts: &Hosts, dir: &Path) -> String {
    let file = dir.join("may");
    std::fs::remove_file(&file).ok();
    hosts.knock(&KNOCK);
    let whole = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("CapAmb"));
    assert!(until(Duration::from_secs(5), whole).is_some(), "the command has not run");
    std::fs::read_to_string(&file).expect("what it may")
}

#[test]
fn root_keeps_what_it_needs_and_gives_its_children_less() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let daemon = Program::aldabad(&hosts, dir.path(), &config(dir.path(), "", ARGV));
    let monitor = status(daemon.pid());
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(&monitor, name), MONITOR, "{name}: {monitor}");
    }
    let worker = status(daemon.children()[0]);
    assert_nothing(&worker);
    assert_eq!(set(&worker, "CapBnd"), 0, "{worker}");
    let command = command_status(&hosts, dir.path());
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(&command, name), FIREWALL, "{name}: {command}");
    }
    // What was given up does not come back, whichever way a new configuration comes.
    let more = [
        config(dir.path(), "capabilities = [\"net_admin\", \"chown\"]", ARGV),
        config(dir.path(), "capabilities = \"all\"", ARGV),
        config(dir.path(), "", "style = \"knockd\"\nstart-line = \"LINE\"\n"),
    ];
    let path = |name: &str| dir.path().join(name).to_str().expect("plain").to_owned();
    let (file, new) = (path("aldaba.toml"), path("aldaba.toml.new"));
    let in_force = std::fs::read(&file).expect("the configuration");
    for text in more {
        std::fs::write(&new, &text).expect("written");
        asks_too_much(&path("control.sock"), &["apply", &new]);
        asks_too_much(&path("control.sock"), &["apply", "--confirm", "60s", &new]);
        assert_eq!(std::fs::read(&file).expect("the configuration"), in_force, "nothing is written");
        assert!(!dir.path().join(".aldaba.toml.trial").exists());
        std::fs::write(&file, &text).expect("written");
        asks_too_much(&path("control.sock"), &["reload"]);
        std::fs::write(&file, &in_force).expect("written");
    }
    let command = command_status(&hosts, dir.path());
    assert_eq!(set(&command, "CapEff"), FIREWALL, "{command}");
    let reload = aldabad(&path("control.sock"), &["reload"]);
    assert!(reload.status.success(), "no trial is left under way: {reload:?}");
}

fn aldabad(control: &str, words: &[&str]) -> std::process::Output {
    Command::new(binary("aldabad")).args(words).args(["--control", control]).output().expect("an answer")
}

/// Puts a configuration forward that wants what the daemon has given up.
fn asks_too_much(control: &str, words: &[&str]) {
    let answer = aldabad(control, words);
    let said = String::from_utf8_lossy(&answer.stderr);
    assert_eq!(answer.status.code(), Some(2), "{words:?}: {said}");
    assert!(
        said.contains("which the daemon gave up at its start") && said.contains("help: restart"),
        "{words:?}: {said}"
    );
}

/// Runs this where no list of system calls can be had, as in a kernel without seccomp, and what it starts does too.
fn without_seccomp<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let wanted = u64::from(libc::PR_SET_SECCOMP.unsigned_abs());
    let old_way = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, wanted);
    let old_way = SeccompRule::new(vec![old_way.expect("a condition")]).expect("a rule");
    let calls = [(libc::SYS_seccomp, Vec::new()), (libc::SYS_prctl, vec![old_way])];
    let refuse = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().expect("an architecture it knows");
    let list = SeccompFilter::new(calls.into(), SeccompAction::Allow, refuse, arch).expect("a list");
    let list: seccompiler::BpfProgram = list.try_into().expect("a program");
    let confined = || {
        seccompiler::apply_filter(&list).expect("the last one that can be had");
        run()
    };
    // It holds for a thread and all that comes of it.
    std::thread::scope(|scope| scope.spawn(confined).join().expect("it runs"))
}

/// R23: no worker looks at packets without it, the reason is heard; and with the option that is for it the daemon serves.
#[test]
fn r23_where_seccomp_is_refused_nothing_starts_unless_it_is_told_to() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let dir = dir.path();
    let text = config(dir, "", ARGV);
    std::fs::write(dir.join("aldaba.toml"), &text).expect("written");
    let words: Vec<String> =
        [("--config", "aldaba.toml"), ("--state-dir", "state"), ("--control", "control.sock")]
            .map(|(option, name)| format!("{option}={}", dir.join(name).display()))
            .into();
    let program = binary("aldabad");
    let words: Vec<&str> = [program.to_str().expect("plain"), "run"]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .collect();
    let mut daemon = without_seccomp(|| Program::start(&hosts, &words, &dir.join("refused")));
    let ended = daemon.wait(Duration::from_secs(20)).and_then(|status| status.code());
    let said = daemon.said();
    assert_eq!(ended, Some(1), "{said}");
    let reason = said.find("aldabad: worker: cannot close the sandbox: ");
    let end = said.find("the worker does not start, or not in time; its own message, if any, stands above");
    assert!(reason.is_some() && reason < end && said.contains("--insecure-no-sandbox"), "{said}");
    let daemon = without_seccomp(|| Program::aldabad_with(&hosts, dir, &text, &["--insecure-no-sandbox"]));
    daemon.wait_for("degraded what=sandbox error=");
    let started =
        daemon.said().lines().any(|line| line.contains("worker-started ") && line.contains("=seccomp"));
    assert!(started, "{}", daemon.said());
    assert_eq!((degraded(dir), confined(dir)), (vec!["sandbox".to_owned()], "no-sandbox".to_owned()));
    assert!(set(&command_status(&hosts, dir), "CapEff") == FIREWALL, "{}", daemon.said());
}

/// How far its worker is confined.
fn confined(dir: &Path) -> String {
    aldaba_tests::status(dir)["worker"]["confined"].as_str().expect("a word").to_owned()
}

#[test]
fn r18_what_a_reload_cannot_read_is_told_until_it_can() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let path = dir.path().join("aldaba.toml");
    std::fs::write(&path, config(dir.path(), "", ARGV)).expect("written");
    // Of somebody else, who shows it to nobody: root reads it at the start, and has given that up afterwards.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    chown(&path, Some(65_534), Some(65_534)).expect("given away");
    let daemon = Program::aldabad_again(&hosts, dir.path());
    daemon.wait_for("degraded what=reload error=");
    assert_eq!(degraded(dir.path()), ["reload"], "{}", daemon.said());
    let said = text(&asked(dir.path(), &["status"]).stdout);
    assert!(said.contains(&format!("run: chown root {}", path.display())), "{said}");
    assert_ne!(asked(dir.path(), &["reload"]).status.code(), Some(0));
    assert!(degraded(dir.path()).contains(&"reload".to_owned()), "{}", daemon.said());
    // The command it names.
    chown(&path, Some(0), None).expect("taken back");
    let reloaded = asked(dir.path(), &["reload"]);
    assert_eq!(reloaded.status.code(), Some(0), "{}", text(&reloaded.stderr));
    assert_eq!(degraded(dir.path()), Vec::<String>::new(), "{}", daemon.said());
}

#[test]
fn commands_have_what_the_configuration_names() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let head = "capabilities = [\"chown\"]";
    let daemon = Program::aldabad(&hosts, dir.path(), &config(dir.path(), head, ARGV));
    assert_eq!(set(&status(daemon.pid()), "CapPrm"), MONITOR | 1);
    let command = command_status(&hosts, dir.path());
    assert_eq!((set(&command, "CapPrm"), set(&command, "CapBnd")), (1, 1), "{command}");
}

#[test]
fn lines_of_knockd_have_what_they_always_had() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let daemon = Program::aldabad(
        &hosts,
        dir.path(),
        &config(dir.path(), "", "style = \"knockd\"\nstart-line = \"LINE\"\n"),
    );
    let own = set(&status(std::process::id()), "CapPrm");
    assert_eq!(set(&status(daemon.pid()), "CapPrm"), own);
    assert_eq!(set(&command_status(&hosts, dir.path()), "CapPrm"), own);
    assert_nothing(&status(daemon.children()[0]));
}

#[test]
fn two_ambient_capabilities_are_enough() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let program = dir.path().join("aldabad");
    std::fs::copy(binary("aldabad"), &program).expect("copied");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let (path, output) = (dir.path().join("aldaba.toml"), dir.path().join("output"));
    let native = "[[door]]\nname = \"n\"\nsequence = \"7000,8000,9000\"\nports = [\"3333/tcp\"]\n";
    std::fs::write(&path, config(dir.path(), "", ARGV) + native).expect("written");
    chown(dir.path(), Some(65_534), Some(65_534)).expect("given away");
    let (state, control) = (dir.path().join("state"), dir.path().join("run/control.sock"));
    let text = |path: &Path| path.to_str().expect("plain").to_owned();
    let words = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_admin,+net_raw \
                 --ambient-caps=-all,+net_admin,+net_raw --bounding-set=-all,+net_admin,+net_raw";
    let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    words.extend([text(&program), "run".into(), "--config".into(), text(&path)]);
    words.extend(["--state-dir".into(), text(&state), "--control".into(), text(&control)]);
    let daemon = Program::start(&hosts, &words.iter().map(String::as_str).collect::<Vec<_>>(), &output);
    daemon.wait_for("started version=");
    assert!(daemon.said().contains(" lacks=uid"), "{}", daemon.said());
    let monitor = status(daemon.pid());
    assert_eq!((set(&monitor, "CapPrm"), set(&monitor, "CapAmb")), (FIREWALL, 0), "{monitor}");
    assert_nothing(&status(daemon.children()[0]));
    let command = command_status(&hosts, dir.path());
    assert_eq!(set(&command, "CapEff"), FIREWALL, "{command}");
    daemon.wait_for("opened door=n address=10.9.0.2");
}

/// Two doors, whose start and stop commands write down what they may.
fn two_doors(dir: &Path, capabilities: &str) -> String {
    let command = |name: &str, part: &str| {
        let file = dir.join(format!("{name}-{part}"));
        format!("{part} = [\"/bin/cp\", \"/proc/self/status\", \"{}\"]\n", file.display())
    };
    let door = |name: &str, ports: &str| {
        let commands = command(name, "start") + &command(name, "stop");
        format!("[[door]]\nname = \"{name}\"\nsequence = \"{ports}\"\nlease = \"1h\"\n{commands}")
    };
    let doors = door("old", "7000,8000,9000") + &door("new", "7100,8100,9100");
    format!("interfaces = [\"srv0\"]\ncapabilities = [{capabilities}]\n{doors}")
}

/// What a command of `two_doors` may, as soon as it has run.
fn may(dir: &Path, file: &str) -> u64 {
    let whole = || std::fs::read_to_string(dir.join(file)).is_ok_and(|text| text.contains("CapAmb"));
    assert!(until(Duration::from_secs(20), whole).is_some(), "{file}: the command has not run");
    set(&std::fs::read_to_string(dir.join(file)).expect("what it may"), "CapEff")
}

/// R1: the policy of the next start, or of a reload, lets commands do less than the one before.
#[test]
fn r1_what_an_earlier_policy_opened_is_closed_with_what_it_let_commands_do() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    let dir = dir.path();
    let mut daemon = Program::aldabad_with(&hosts, dir, &two_doors(dir, "\"chown\""), &["--keep"]);
    hosts.knock(&KNOCK);
    daemon.wait_for("opened door=old");
    assert!(daemon.stop().success());
    let daemon = Program::aldabad_with(&hosts, dir, &two_doors(dir, "\"net_admin\""), &["--keep"]);
    assert_eq!(set(&status(daemon.pid()), "CapPrm"), MONITOR | 1, "{}", daemon.said());
    hosts.knock(&[7100, 8100, 9100]);
    daemon.wait_for("opened door=new");
    assert_eq!(may(dir, "new-start"), 0x1000, "what it opens itself goes by its own policy");
    let control = dir.join("control.sock");
    std::fs::write(dir.join("aldaba.toml"), two_doors(dir, "\"chown\"")).expect("written");
    asks_too_much(control.to_str().expect("plain"), &["reload"]);
    assert!(asked(dir, &["close", "10.9.0.2", "old"]).status.success(), "{}", daemon.said());
    assert_eq!(may(dir, "old-stop"), 0x1001);
    let is_less =
        || ["CapPrm", "CapEff", "CapBnd"].iter().all(|name| set(&status(daemon.pid()), name) == MONITOR);
    assert!(until(Duration::from_secs(20), is_less).is_some(), "{}", status(daemon.pid()));
    std::fs::write(dir.join("aldaba.toml"), two_doors(dir, "\"net_raw\"")).expect("written");
    assert!(asked(dir, &["reload"]).status.success(), "{}", daemon.said());
    assert!(asked(dir, &["close", "10.9.0.2", "new"]).status.success(), "{}", daemon.said());
    assert_eq!(may(dir, "new-stop"), FIREWALL);
    assert_eq!(degraded(dir), Vec::<String>::new(), "{}", daemon.said());
}
