//! R6: a command ends at its time limit with everything it has started, also what has shed all that it could of the command's.

use aldaba_runner::KILL_AFTER;
use aldaba_sys::spawn::Mark;
use aldaba_sys::{clock, process};

use super::*;

/// The time limit of the doors here.
const LIMIT: Duration = Duration::from_secs(2);
/// How much later than it should something may happen on a busy machine.
const SLACK: Duration = Duration::from_secs(6);

/// Leaves processes without its environment, session, group and parent, one of them by two forks and deaf to TERM; then ends, or
/// hangs.
const LEAVER: &str = r#"#!/bin/sh
(env -i setsid sleep "$1" >/dev/null 2>&1 &)
(setsid sh -c '(trap "" TERM; env -i setsid sh -c "sleep $0; :" &) &' "$2" >/dev/null 2>&1 &)
[ "$3" = hang ] && sleep 600
exit 0
"#;

/// The path of a script.
fn script(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a script");
    std::process::Command::new("chmod").arg("755").arg(&path).status().expect("chmod");
    path.display().to_string()
}

/// Doors whose start command is that one.
fn leavers(dir: &Path, more: &str) -> String {
    let leaver = script(dir, "leaver", LEAVER);
    let limit = LIMIT.as_secs();
    format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"ends\"\nsequence = \"1001,1002\"\ntime-limit = \"{limit}s\"\n\
         start = [\"{leaver}\", \"54301\", \"54302\", \"end\"]\n\
         [[door]]\nname = \"hangs\"\nsequence = \"1003,1004\"\ntime-limit = \"{limit}s\"\n\
         start = [\"{leaver}\", \"54303\", \"54304\", \"hang\"]\n{more}"
    )
}

impl Scene {
    /// Knocks, and waits until these sleep. When the command began, at the latest.
    fn leave(&self, ports: &[u16], door: &str, sleepers: [&str; 2]) -> Instant {
        self.hosts.knock(ports);
        self.daemon.wait_for(&format!("command door={door}"));
        let begun = Instant::now();
        self.wait_for_sleepers(sleepers);
        begun
    }

    fn wait_for_sleepers(&self, wanted: [&str; 2]) {
        let all = || wanted.iter().all(|seconds| sleepers(&self.hosts, seconds) == 1);
        assert!(until(LIMIT, all).is_some(), "they have their time: {}", self.daemon.said());
    }

    /// How long after the beginning none of them is left.
    fn gone(&self, begun: Instant, wanted: [&str; 2]) -> Duration {
        let none = || wanted.iter().all(|seconds| sleepers(&self.hosts, seconds) == 0);
        let gone = until(LIMIT + KILL_AFTER + SLACK, none);
        assert!(gone.is_some(), "some of {wanted:?} still live:\n{}", self.daemon.said());
        begun.elapsed()
    }
}

/// A command that has ended leaves them behind; one that hangs is ended, by TERM and KILL, and they with it.
#[test]
fn r6_what_sheds_environment_session_and_parent_ends_at_the_limit_too() {
    let Some(scene) = scene(|dir| leavers(dir, MANY)) else { return };
    let ended = scene.leave(&[1001, 1002], "ends", ["54301", "54302"]);
    let hung = scene.leave(&[1003, 1004], "hangs", ["54303", "54304"]);
    let ended = scene.gone(ended, ["54301", "54302"]);
    assert!(ended + Duration::from_millis(500) >= LIMIT, "not before their time: {ended:?}");
    let hung = scene.gone(hung, ["54303", "54304"]);
    let late = |took: Duration| took.saturating_sub(LIMIT).as_millis();
    println!(
        "figure: R6 what had shed environment, session and parent was gone {} ms after the limit; deaf to TERM, {} ms",
        late(ended),
        late(hung)
    );
    // What ends by itself is buried too.
    scene.hosts.knock(&[1005, 1006]);
    scene.daemon.wait_for("command door=many");
    let adopted = until(LIMIT, || children_in_state(&scene.daemon, None) > 3);
    assert!(adopted.is_some(), "the daemon adopts them");
    let roles = scene.daemon.roles().len();
    let buried = until(SLACK, || children_in_state(&scene.daemon, None) == roles);
    assert!(buried.is_some(), "{} zombies are left", children_in_state(&scene.daemon, Some('Z')));
}

/// Forty processes that end, one after the other, when their parent has.
const MANY: &str = r#"[[door]]
name = "many"
sequence = "1005,1006"
start = ["/bin/sh", "-c", "for i in 0 1 2 3; do for j in 0 1 2 3 4 5 6 7 8 9; do (env -i setsid sleep 0.5$i$j &); done; done"]
"#;

/// How many children it has, or how many in this state.
fn children_in_state(daemon: &Program, state: Option<char>) -> usize {
    let is_in = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| state.is_none_or(|state| rest.starts_with(state)))
    };
    daemon.children().iter().filter(|pid| is_in(pid)).count()
}

/// Its first process is deaf to TERM, and so is what has left its session; one heeds it.
const DEAF: &str = r"#!/bin/sh
sleep 54308 &
trap '' TERM HUP
(setsid sleep 54307 >/dev/null 2>&1 &)
exec sleep 54309
";

/// How long after the limit each was gone.
struct Late {
    heeding: Duration,
    deaf: Duration,
}

impl Late {
    /// No longer than a second; on a machine that is slow for everybody, no more than some times as long as what heeds TERM.
    fn is_in_time(&self) -> bool {
        self.deaf <= Duration::from_secs(1).max(self.heeding * 5)
    }
}

/// Runs that command, and sees it end.
fn late(scene: &Scene) -> Late {
    scene.hosts.knock(&[1009, 1010]);
    let mut began = None;
    let begins = until(SLACK, || {
        let first = sleeping(&scene.hosts, "54309").first().copied();
        began = first.and_then(|pid| Some(Mark::of(pid, process::start_time(pid).ok()?)?.began()));
        began.is_some()
    });
    let limit = began.filter(|_| begins.is_some()).expect("it begins") + LIMIT;
    let gone = |wanted: &[&str]| {
        let gone = until(LIMIT + SLACK, || wanted.iter().all(|seconds| sleepers(&scene.hosts, seconds) == 0));
        assert!(gone.is_some(), "some of {wanted:?} still live:\n{}", scene.daemon.said());
        clock::boottime().saturating_sub(limit)
    };
    Late { heeding: gone(&["54308"]), deaf: gone(&["54307", "54309"]) }
}

/// TERM comes at the limit, and KILL in time for nothing to live a second after it; at one of three attempts, since the machine may
/// be busy with something else just then.
#[test]
fn r6_what_is_deaf_to_term_is_gone_a_second_after_the_limit() {
    let config = |dir: &Path| {
        let leavers = leavers(dir, "");
        let deaf = script(dir, "deaf", DEAF);
        let limit = LIMIT.as_secs();
        format!(
            "{leavers}[[door]]\nname = \"deaf\"\nsequence = \"1009,1010\"\ntime-limit = \"{limit}s\"\nstart = [\"{deaf}\"]\n"
        )
    };
    let Some(scene) = scene(config) else { return };
    let late = (0..3).map(|_| late(&scene)).find(Late::is_in_time);
    let late = late.unwrap_or_else(|| panic!("it lives for longer:\n{}", scene.daemon.said()));
    println!(
        "figure: R6 a command that is deaf to TERM was gone {} ms after its limit, one that heeds it {} ms",
        late.deaf.as_millis(),
        late.heeding.as_millis()
    );
}

/// The next daemon, which is not their parent, ends a start command of the one before with all it has left.
#[test]
fn r6_a_start_command_of_an_earlier_daemon_ends_with_all_it_has_left() {
    let stop = "stop = [\"/bin/true\"]\nlease = \"1s\"\n";
    let Some(mut scene) = scene(|dir| leavers(dir, stop)) else { return };
    scene.leave(&[1003, 1004], "hangs", ["54303", "54304"]);
    let roles = scene.daemon.roles();
    scene.daemon.kill_alone();
    for pid in roles {
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.daemon.wait_for("taken-over door=hangs");
    let begun = Instant::now();
    scene.wait_for_sleepers(["54303", "54304"]);
    scene.gone(begun, ["54303", "54304"]);
    scene.daemon.wait_for("closed door=hangs");
}

/// The closer watches the time of a start command that the monitor has begun, though its lease lasts for longer.
#[test]
fn r6_the_closer_ends_a_start_command_at_its_limit() {
    let config = |dir: &Path| {
        let stop = format!("stop = [\"/usr/bin/touch\", \"{}/closed\"]\nlease = \"6s\"\n", dir.display());
        leavers(dir, &stop)
    };
    let Some(mut scene) = scene(config) else { return };
    let begun = scene.leave(&[1003, 1004], "hangs", ["54303", "54304"]);
    scene.daemon.kill_alone();
    let took = scene.gone(begun, ["54303", "54304"]);
    let is_closed = || scene.dir.path().join("closed").exists();
    assert!(!is_closed() || took > Duration::from_secs(6), "at its limit: {took:?}");
    assert!(until(Duration::from_secs(6) + SLACK, is_closed).is_some(), "{}", scene.daemon.said());
    assert!(scene.daemon.said().contains("command-over-time door=hangs"), "{}", scene.daemon.said());
}

/// The closer ends what its stop commands have left, though it has nothing else to do.
#[test]
fn r6_the_closer_ends_what_its_stop_commands_have_left() {
    let config = |dir: &Path| {
        let leavers = leavers(dir, "");
        let leaver = dir.join("leaver");
        format!(
            "{leavers}[[door]]\nname = \"closes\"\nsequence = \"1007,1008\"\nlease = \"1s\"\ntime-limit = \"2s\"\n\
             start = [\"/bin/true\"]\nstop = [\"{}\", \"54305\", \"54306\", \"end\"]\n",
            leaver.display()
        )
    };
    let Some(mut scene) = scene(config) else { return };
    scene.hosts.knock(&[1007, 1008]);
    scene.daemon.wait_for("opened door=closes");
    scene.daemon.kill_alone();
    let all = || ["54305", "54306"].iter().all(|seconds| sleepers(&scene.hosts, seconds) == 1);
    assert!(until(SLACK, all).is_some(), "the closer closes: {}", scene.daemon.said());
    scene.gone(Instant::now(), ["54305", "54306"]);
}

/// Eight processes that fork and end without a pause, each of which is gone before it can be looked at; with signs of life, and an
/// end of their own. In C: whatever is slower is met at the first try. With a further word the command hangs, and their orphans are taken by a
/// process that is neither the command's child nor bears its mark, and ends with them.
const CHAIN: &str = r"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
static void begin(const char *sign, time_t end) {
    for (int n = 0; n < 8; n++) {
        if (fork() != 0) continue;
        for (unsigned turn = 0; time(NULL) < end; turn++) {
            if (turn % 64 == 0) utimensat(AT_FDCWD, sign, NULL, 0);
            if (fork() != 0) _exit(0);
        }
        _exit(0);
    }
}
static void take_orphans(const char *sign, time_t end) {
    struct rlimit limit;
    struct stat seen;
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, SIG_IGN);
    begin(sign, end);
    getrlimit(RLIMIT_LOCKS, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_LOCKS, &limit);
    do sleep(1);
    while (time(NULL) < end && stat(sign, &seen) == 0 && seen.st_mtime + 5 > time(NULL));
    _exit(0);
}
int main(int count, char **words) {
    time_t end = time(NULL) + 60;
    if (count == 2) {
        begin(words[1], end);
    } else if (fork() != 0) {
        sleep(600);
    } else if (fork() == 0) {
        take_orphans(words[1], end);
    }
    return 0;
}
";

/// Compiled by what links this test, too.
fn compile(dir: &Path) -> std::path::PathBuf {
    let (source, program) = (dir.join("chain.c"), dir.join("chain"));
    std::fs::write(&source, CHAIN).expect("a file");
    let mut compiler = std::process::Command::new("cc");
    assert!(compiler.arg("-o").arg(&program).arg(&source).status().expect("cc").success());
    program
}

/// A door whose start command begins them.
fn chain_door(dir: &Path, limit: &str, word: &str, more: &str) -> String {
    let (chain, sign) = (compile(dir), dir.join("sign"));
    std::fs::write(&sign, "").expect("a file");
    let (chain, sign) = (chain.display(), sign.display());
    format!(
        "interfaces = [\"srv0\"]\n[[door]]\nname = \"chain\"\nsequence = \"1001,1002\"\ntime-limit = \"{limit}\"\n\
         start = [\"{chain}\", \"{sign}\"{word}]\n{more}"
    )
}

impl Scene {
    /// When one of them lived last.
    fn sign(&self) -> std::time::SystemTime {
        let found = std::fs::metadata(self.dir.path().join("sign")).expect("a file");
        found.modified().expect("a time")
    }

    fn begin_chains(&self) {
        let begun = self.sign();
        self.hosts.knock(&[1001, 1002]);
        self.daemon.wait_for("command door=chain");
        assert!(until(Duration::from_secs(10), || self.sign() > begun).is_some(), "{}", self.daemon.said());
    }

    /// Whether none of them lives for two seconds, within forty.
    fn chains_end(&self) -> bool {
        let ended = until(Duration::from_secs(40), || {
            let seen = self.sign();
            until(Duration::from_secs(2), || self.sign() > seen).is_none()
        });
        ended.is_some()
    }
}

#[test]
fn r6_what_starts_itself_anew_ends_too() {
    let Some(scene) = scene(|dir| chain_door(dir, "1s", "", "")) else { return };
    scene.begin_chains();
    assert!(scene.chains_end(), "they live on: {}", scene.daemon.said());
}

/// The daemon takes with it what an ended command has left.
#[test]
fn r6_what_starts_itself_anew_ends_with_the_daemon() {
    let Some(mut scene) = scene(|dir| chain_door(dir, "50s", "", "")) else { return };
    scene.begin_chains();
    assert!(scene.daemon.stop().success(), "{}", scene.daemon.said());
    let last = scene.sign();
    assert!(until(Duration::from_secs(2), || scene.sign() > last).is_none(), "they live on");
}

/// What the command of an earlier daemon has left is nobody's child here.
#[test]
fn r6_what_starts_itself_anew_ends_though_another_daemon_began_it() {
    let stop = "stop = [\"/bin/true\"]\nlease = \"1s\"\n";
    let Some(mut scene) = scene(|dir| chain_door(dir, "4s", ", \"hang\"", stop)) else { return };
    scene.begin_chains();
    let roles = scene.daemon.roles();
    scene.daemon.kill_alone();
    for pid in roles {
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
    scene.daemon = Program::aldabad_again(&scene.hosts, scene.dir.path());
    scene.daemon.wait_for("taken-over door=chain");
    scene.daemon.wait_for("closed door=chain");
    assert!(scene.chains_end(), "they live on: {}", scene.daemon.said());
}
