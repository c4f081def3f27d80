//! A command and everything it has started, also what left its group, its session, its environment or its parent.
//!
//! Descendants are found by walking down from the command. What lost its parent bears the command's [`Mark`]: it is found among this
//! process's own children, where it ends up once [`process::adopt_orphans`] was called, or among all processes where
//! somebody else has started the command.

use super::Child;
use super::mark::Mark;
use crate::process::{self, Kill};

/// How often a tree is walked while it may still grow.
const WALKS: usize = 16;
/// How often the newest process is looked at, at a time.
const CHASES: usize = 256;

/// A process of a tree: its number, and when it began.
type Member = (u32, u64);

/// Signals a command's group and all its descendants, also those that have left the group, the session or their
/// parent. The command itself must not have been reaped. For KILL the walk is repeated until nothing new turns up, at
/// most 16 times.
pub fn signal_tree(child: &Child, kill: Kill) {
    repeat(kill, |seen| {
        collect(child.pid, |_| true, seen);
        collect_strays(child.mark.as_slice(), seen);
        // What cannot be signalled any more has ended.
        process::signal_group(child.pid, kill).ok();
    });
}

/// The same for a command that another process has started, as far as it and what it has started bear this mark. Looks at all
/// processes there are.
pub fn signal_marked(mark: Mark, kill: Kill) {
    let (pid, began) = mark.first();
    repeat(kill, |seen| {
        collect(pid, |found| found == began, seen);
        for pid in everybody() {
            collect_marked(pid, &[mark], seen);
        }
    });
}

/// The marks of what lives though its parent is gone, and of commands that run.
#[must_use]
pub fn strays() -> Vec<Mark> {
    process::own_children().filter_map(Mark::borne_by).collect()
}

/// Kills what bears one of these marks though its parent is gone, with all it has started meanwhile.
pub fn kill_strays(marks: &[Mark]) {
    if !marks.is_empty() {
        repeat(Kill::Kill, |seen| collect_strays(marks, seen));
    }
}

/// Kills what bears one of these marks, whoever's child it is: looks at all processes there are, and then at the newest one, again and
/// again, since what begins another and ends is gone before a walk has come to it. Those of which something was found.
#[must_use]
pub fn kill_marked(marks: &[Mark]) -> Vec<Mark> {
    let mut found = Vec::new();
    if marks.is_empty() {
        return found;
    }
    repeat(Kill::Kill, |seen| {
        for pid in everybody() {
            let before = seen.len();
            if let Some(mark) = collect_marked(pid, marks, seen).filter(|_| seen.len() > before) {
                found.push(mark);
            }
        }
    });
    for _ in 0..CHASES {
        let Some(pid) = process::newest() else { break };
        if let Some(mark) = Mark::borne_by(pid).filter(|mark| marks.contains(mark))
            && let Ok(began) = process::start_time(pid)
        {
            signal((pid, began), Kill::Kill);
            found.push(mark);
        }
    }
    found
}

fn repeat(kill: Kill, mut find: impl FnMut(&mut Vec<Member>)) {
    let mut seen = Vec::new();
    for _ in 0..WALKS {
        let before = seen.len();
        find(&mut seen);
        for member in &seen[before..] {
            signal(*member, kill);
        }
        if seen.len() == before || kill == Kill::Terminate {
            return;
        }
    }
}

/// Signals a process, unless it has ended and another one has its number.
fn signal((pid, began): Member, kill: Kill) {
    // Opened first: whichever process the descriptor means, it had the number when the time was read.
    if let Ok(process) = process::pidfd(pid)
        && process::start_time(pid).is_ok_and(|found| found == began)
    {
        process::signal(std::os::fd::AsFd::as_fd(&process), kill).ok();
    }
}

fn collect_strays(marks: &[Mark], seen: &mut Vec<Member>) {
    if !marks.is_empty() {
        for pid in process::own_children() {
            collect_marked(pid, marks, seen);
        }
    }
}

/// Which of these marks it bears, if any.
fn collect_marked(pid: u32, marks: &[Mark], seen: &mut Vec<Member>) -> Option<Mark> {
    let mark = Mark::borne_by(pid).filter(|mark| marks.contains(mark))?;
    collect(pid, |_| true, seen);
    Some(mark)
}

/// The process, if it began at such a time, and its descendants, as far as they live and are not known yet.
pub(super) fn collect(pid: u32, is_it: impl Fn(u64) -> bool, seen: &mut Vec<Member>) {
    if let Ok(stat) = process::stat(pid)
        && is_it(stat.began)
        && !stat.has_ended
    {
        collect_member((pid, stat.began), seen);
    }
}

fn collect_member(member: Member, seen: &mut Vec<Member>) {
    if seen.contains(&member) {
        return;
    }
    seen.push(member);
    for child in process::children(member.0) {
        // A number that somebody else has by now is not its child's.
        if let Ok(stat) = process::stat(child)
            && stat.parent == member.0
            && !stat.has_ended
        {
            collect_member((child, stat.began), seen);
        }
    }
}

fn everybody() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
