use std::os::fd::AsFd as _;
use std::time::Duration;

use super::tree::collect;
use super::*;
use crate::poll::{self, Interest};
use crate::process::Kill;

fn shell(line: &str) -> Program {
    Program::Argv(["/bin/sh", "-c", line].map(OsString::from).into())
}

/// All it prints, and its status. Waits for this child only: other tests have theirs.
fn run(program: &Program) -> (String, Option<i32>) {
    let child = start(program, Conduct::Confined).unwrap();
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
        "ls /proc/self/fd | tr '\\n' ' '; pwd; env | sort | sed 's/=[0-9]*-[0-9]*$/=MARK/'; cat; ps -o sid= -p $$ | grep -c $$; exit 7",
    ));
    // `ls` has one descriptor more: the folder it reads.
    let wanted = "0 1 2 3 /\nALDABA_COMMAND=MARK\nLC_ALL=C\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\n1\n";
    assert_eq!(text, wanted);
    assert_eq!(status, Some(7));
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let (text, _) = run(&shell("grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    // The two highest bits are glibc's own.
    assert_eq!(
        text.replace("180000000", "000000000"),
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
    );
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    for name in ["/no/such/program", "no-such-program-anywhere"] {
        let program = Program::Argv(vec![name.into()]);
        assert_eq!(start(&program, Conduct::Confined).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    assert_eq!(
        start(&Program::Argv(vec![]), Conduct::Confined).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    let nul = Program::Argv(vec!["/bin/echo".into(), "a\0b".into()]);
    assert_eq!(start(&nul, Conduct::Confined).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn arguments_reach_the_program_untouched() {
    let words = ["/usr/bin/printf", "%s|", "a b", "$(id)", "'\"", ";", "*"].map(OsString::from);
    assert_eq!(run(&Program::Argv(words.into())).0, "a b|$(id)|'\"|;|*|");
    assert_eq!(run(&Program::Argv(vec!["echo".into(), "found".into()])).0, "found\n");
}

#[test]
fn a_tree_dies_though_it_leaves_group_and_session() {
    let child = start(
        &shell("setsid sleep 600 & (setsid sh -c 'sleep 601 & wait' &) ; sleep 602"),
        Conduct::Confined,
    )
    .unwrap();
    let mut seen = Vec::new();
    for _ in 0..200 {
        seen.clear();
        collect(child.pid, &mut seen);
        if seen.len() >= 3 {
            break;
        }
        poll::wait(&[], Some(Duration::from_millis(10))).unwrap();
    }
    assert!(seen.len() >= 3, "{seen:?}");
    signal_tree(&child, Kill::Kill);
    let gone = |pid: &u32| {
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
