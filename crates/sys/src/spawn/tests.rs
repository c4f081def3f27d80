use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::tree::{Seen, collect};
use super::*;
use crate::poll::{self, Interest};
use crate::process::Kill;

const CONFINED: Conduct = Conduct::Confined { marked: true };

fn shell(line: &str) -> Program {
    Program::Argv(["/bin/sh", "-c", line].map(OsString::from).into())
}

/// All it prints, and its status. Waits for this child only: other tests have theirs.
fn run(program: &Program) -> (String, Option<i32>) {
    run_as(program, CONFINED)
}

fn run_as(program: &Program, conduct: Conduct) -> (String, Option<i32>) {
    let child = start(program, conduct, None).unwrap();
    assert_eq!(child.mark.is_some(), conduct == CONFINED);
    all_of(&child)
}

fn all_of(child: &Child) -> (String, Option<i32>) {
    let output = child.output.as_ref().unwrap();
    let mut text = Vec::new();
    let mut part = [0; 256];
    loop {
        poll::wait(&[(output.as_fd(), Interest::READ)], Some(Duration::from_secs(10))).unwrap();
        match read_output(output.as_fd(), &mut part).unwrap() {
            Some(0) => break,
            Some(length) => text.extend_from_slice(&part[..length]),
            None => {}
        }
    }
    let pid = rustix::process::Pid::from_raw(child.pid.cast_signed()).unwrap();
    let (_, status) =
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    (String::from_utf8_lossy(&text).into_owned(), status.exit_status())
}

#[test]
fn a_confined_command_sees_little() {
    let (text, status) = run(&shell(
        "ls /proc/self/fd | tr '\\n' ' '; pwd; env | sort; cat; ps -o sid= -p $$ | grep -c $$; exit 7",
    ));
    // `ls` has one descriptor more: the folder it reads.
    let wanted =
        "0 1 2 3 /\nLC_ALL=C\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\n1\n";
    assert_eq!(text, wanted);
    assert_eq!(status, Some(7));
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let (text, _) = run(&shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    assert_eq!(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    for name in ["/no/such/program", "no-such-program-anywhere"] {
        let program = Program::Argv(vec![name.into()]);
        assert_eq!(start(&program, CONFINED, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    assert_eq!(
        start(&Program::Argv(vec![]), CONFINED, None).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    let nul = Program::Argv(vec!["/bin/echo".into(), "a\0b".into()]);
    assert_eq!(start(&nul, CONFINED, None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn arguments_reach_the_program_untouched() {
    let words = ["/usr/bin/printf", "%s|", "a b", "$(id)", "'\"", ";", "*"].map(OsString::from);
    assert_eq!(run(&Program::Argv(words.into())).0, "a b|$(id)|'\"|;|*|");
    assert_eq!(run(&Program::Argv(vec!["echo".into(), "found".into()])).0, "found\n");
}

#[test]
fn a_tree_dies_though_it_leaves_group_and_session() {
    let child =
        start(&shell("setsid sleep 600 & (setsid sh -c 'sleep 601 & wait' &) ; sleep 602"), CONFINED, None)
            .unwrap();
    let mut seen = Vec::new();
    for _ in 0..200 {
        let mut found = Seen::default();
        collect(child.pid, |_| true, &mut found);
        seen = found.members;
        if seen.len() >= 3 {
            break;
        }
        poll::wait(&[], Some(Duration::from_millis(10))).unwrap();
    }
    assert!(seen.len() >= 3, "{seen:?}");
    signal_trees(&[&child], &BTreeSet::new(), Kill::Kill);
    let gone = |(pid, _): &(u32, u64)| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z') || rest.is_empty())
    };
    let all_gone = (0..200).any(|_| {
        poll::wait(&[], Some(Duration::from_millis(10))).unwrap();
        seen.iter().all(gone)
    });
    let pid = rustix::process::Pid::from_raw(child.pid.cast_signed()).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    assert!(all_gone, "{seen:?}");
}

/// Sheds environment, session and parent; another process of ours, not its parent, ends it by its mark.
#[test]
fn what_sheds_all_it_can_is_found_by_its_mark() {
    let line = "echo $$; (env -i setsid sh -c 'echo $$; exec sleep 603' &)";
    let child = start(&shell(line), CONFINED, None).unwrap();
    let output = child.output.as_ref().unwrap();
    let mut text = String::new();
    while text.lines().count() < 2 {
        let mut part = [0; 64];
        poll::wait(&[(output.as_fd(), Interest::READ)], Some(Duration::from_secs(10))).unwrap();
        let length = read_output(output.as_fd(), &mut part).unwrap().unwrap();
        assert!(length > 0, "it lives, and so does its output: {text}");
        text.push_str(std::str::from_utf8(&part[..length]).unwrap());
    }
    let pids: Vec<u32> = text.lines().map(|pid| pid.parse().unwrap()).collect();
    let mark = child.mark.unwrap();
    assert_eq!((pids[0], mark.first().0), (child.pid, child.pid));
    let first = rustix::process::Pid::from_raw(child.pid.cast_signed()).unwrap();
    rustix::process::waitpid(Some(first), rustix::process::WaitOptions::empty()).unwrap();
    assert_eq!(Mark::borne_by(pids[1]), Some(mark));
    let left = crate::process::pidfd(pids[1]).unwrap();
    let (pid, began) = mark.first();
    signal_marked(&[Mark::of(pid, began + 1).unwrap()], Kill::Kill);
    assert!(!crate::process::has_ended(left.as_fd()), "that was another command's mark");
    signal_marked(&[mark], Kill::Kill);
    poll::wait(&[(left.as_fd(), Interest::READ)], Some(Duration::from_secs(10))).unwrap();
    assert!(crate::process::has_ended(left.as_fd()));
}

/// However many there are: each is looked at a few times, and the others not at all.
#[test]
fn r6_many_are_ended_by_one_walk() {
    let begin = || start(&Program::Argv(["/bin/sleep", "604"].map(OsString::from).into()), CONFINED, None);
    let commands: Vec<Child> = (0..80).map(|_| begin().unwrap()).collect();
    let running: BTreeSet<u32> = commands.iter().map(|command| command.pid).collect();
    let (some, rest) = commands.split_at(40);
    for (these, signal) in [(some, Kill::Terminate), (rest, Kill::Kill)] {
        let before = reads();
        signal_trees(&these.iter().collect::<Vec<_>>(), &running, signal);
        let reads = reads() - before;
        assert!(reads < 40 * these.len() as u64, "{reads} reads for {} commands", these.len());
        for command in these {
            let pid = rustix::process::Pid::from_raw(command.pid.cast_signed());
            let (_, status) =
                rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
            assert!(status.terminating_signal().is_some(), "{status:?}");
        }
    }
}

/// How often this thread has read.
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// What programs may take, as `ulimit` of a command says it.
#[test]
fn a_confined_command_has_limits_and_may_raise_them() {
    let ours = |resource| rustix::process::getrlimit(resource);
    let number = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    let (files, core) = (ours(rustix::process::Resource::Nofile), ours(rustix::process::Resource::Core));
    let soft_files = files.current.map_or(1024, |limit| limit.min(1024));
    let (text, _) =
        run(&shell("ulimit -Sc; ulimit -Sn; ulimit -Hn; ulimit -Hc; ulimit -Sn $(ulimit -Hn) && ulimit -Sn"));
    let (hard_files, hard_core) = (number(files.maximum), number(core.maximum));
    assert_eq!(text, format!("0\n{soft_files}\n{hard_files}\n{hard_core}\n{hard_files}\n"));
    // All others are those of the daemon, but for the one that bears the mark.
    let (theirs, _) = run(&shell("grep -vE '^Max (core|open files|file locks)' /proc/self/limits"));
    let all = std::fs::read_to_string("/proc/self/limits").unwrap();
    let is_other = |line: &&str| {
        !["core", "open files", "file locks"].iter().any(|kind| line.starts_with(&format!("Max {kind}")))
    };
    assert_eq!(theirs.lines().collect::<Vec<_>>(), all.lines().filter(is_other).collect::<Vec<_>>());
}

/// One that may take as long as it likes may leave what it likes.
#[test]
fn a_command_without_a_time_limit_bears_no_mark() {
    let program = shell("read never; grep 'file locks' /proc/self/limits");
    let (text, _) = run_as(&program, Conduct::Confined { marked: false });
    let ours = std::fs::read_to_string("/proc/self/limits").unwrap();
    assert!(ours.contains(text.trim_end()) && text.contains("locks"), "{text}");
}

/// A line of knockd.conf has those of the daemon, all of them, and bears no mark.
#[test]
fn a_command_like_the_daemon_has_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits");
    let mut line = OsString::from("exec cat /proc/self/limits >");
    line.push(&path);
    let child = start(&Program::Shell(line), Conduct::AsTheDaemon, None).unwrap();
    assert!(child.mark.is_none() && child.output.is_none());
    let pid = rustix::process::Pid::from_raw(child.pid.cast_signed());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    let ours = std::fs::read_to_string("/proc/self/limits").unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), ours);
}

/// The note is there as soon as the command is.
#[test]
fn a_command_notes_itself_before_it_begins() {
    use std::os::unix::fs::FileExt as _;
    let file = tempfile::tempfile().unwrap();
    let note = Note::new(file.as_fd(), 48, 4711);
    let child = start(&shell("read never"), CONFINED, Some(&note)).unwrap();
    let began = crate::process::start_time(child.pid).unwrap();
    let mut bytes = [0; 72];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes[..48], [0; 48]);
    assert_eq!(bytes[48..], note_bytes(4711, child.pid, began));
    assert_eq!(child.mark, Mark::of(child.pid, began));
    let pid = rustix::process::Pid::from_raw(child.pid.cast_signed());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
}

/// Children of several threads at once, some of which never become a program: none is left, and every error is the right one.
#[test]
fn many_are_started_beside_one_another() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..50 {
                    let text = format!("{round}");
                    assert_eq!(run(&Program::Argv(vec!["echo".into(), (&text).into()])).0, text + "\n");
                    let missing = Program::Argv(vec!["/no/such/program".into()]);
                    let error = start(&missing, CONFINED, None).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::NotFound);
                }
            });
        }
    });
}

/// Run as root: others have little to lose.
#[test]
fn a_command_has_no_more_than_it_may_and_its_starter_loses_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let ours = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let sets = |status: &str| {
        let sets = status.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
        sets.map(|(name, set)| (name.to_owned(), u64::from_str_radix(set, 16).unwrap())).collect::<Vec<_>>()
    };
    let before = sets(&ours());
    let child = start_with(&shell("cat /proc/self/status"), CONFINED, None, 0b1001).unwrap();
    let (text, status) = all_of(&child);
    assert_eq!(status, Some(0));
    let wanted = [("Inh", 0), ("Prm", 0b1001), ("Eff", 0b1001), ("Bnd", 0b1001), ("Amb", 0)];
    let held = |set: u64| before.iter().all(|(name, had)| name == "Inh" || name == "Amb" || had & set == set);
    if held(0b1001) {
        assert_eq!(sets(&text), wanted.map(|(name, set)| (name.to_owned(), set)));
    }
    assert_eq!(sets(&ours()), before);
}

/// Memory that is copied is shared until it is written to, and each page of it then costs a fault, as it did when it was new.
#[test]
fn a_start_copies_no_memory_however_much_there_is() {
    let program = Program::Argv(vec!["/bin/true".into()]);
    let before = faults();
    let mut memory = vec![1_u8; 64 << 20];
    let new = faults() - before;
    let mut after_start = || {
        assert_eq!(run_as(&program, Conduct::Confined { marked: false }).1, Some(0));
        faults_of_writing(&mut memory)
    };
    // Other tests of this process have children too, and some of theirs may copy.
    let faults: Vec<u64> = (0..10).map(|_| after_start()).collect();
    assert!(faults.iter().any(|faults| faults * 4 < new), "{faults:?} faults where {new} make it new");
}

/// Writes to every page: how many of them this thread had to be given.
fn faults_of_writing(memory: &mut [u8]) -> u64 {
    let before = faults();
    for byte in memory.iter_mut().step_by(4096) {
        *byte = byte.wrapping_add(1);
    }
    std::hint::black_box(memory);
    faults() - before
}

/// How many pages this thread had to be given without a read from a disk.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}
