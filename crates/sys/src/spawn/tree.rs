//! A command and everything it has started, also what left its group, its session, its environment or its parent.
//!
//! Descendants are found by walking down from the command. What lost its parent bears the command's [`Mark`]: it is found among this
//! process's own children, where it ends up once [`process::adopt_orphans`] was called, or among all processes where
//! somebody else has started the command.

use std::collections::BTreeSet;

use super::Child;
use super::mark::Mark;
use crate::process::{self, Kill};

/// How often a tree is walked while it may still grow.
const WALKS: usize = 16;
/// How often the newest process is looked at, at a time.
const CHASES: usize = 256;

/// A process of a tree: its number, and when it began.
type Member = (u32, u64);

/// The members that were found, in their order.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) members: Vec<Member>,
    known: BTreeSet<Member>,
}

impl Seen {
    /// Whether it is a new one.
    fn add(&mut self, member: Member) -> bool {
        let is_new = self.known.insert(member);
        if is_new {
            self.members.push(member);
        }
        is_new
    }
}

/// Signals the groups of these commands and all their descendants, also those that have left the group, the session or their
/// parent. The commands themselves must not have been reaped. One walk finds what belongs to any of them; for KILL it is
/// repeated until nothing new turns up, at most 16 times. `running` are the processes of all commands that run: what these bear
/// need not be looked at.
pub fn signal_trees(children: &[&Child], running: &BTreeSet<u32>, kill: Kill) {
    let marks: Vec<Mark> = children.iter().filter_map(|child| child.mark).collect();
    repeat(kill, |seen| {
        for child in children {
            collect(child.pid, |_| true, seen);
        }
        collect_strays(&marks, running, seen);
        for child in children {
            // What cannot be signalled any more has ended.
            process::signal_group(child.pid, kill).ok();
        }
    });
}

/// The same for commands that another process has started, as far as they and what they have started bear these marks. Looks at all
/// processes there are.
pub fn signal_marked(marks: &[Mark], kill: Kill) {
    if marks.is_empty() {
        return;
    }
    repeat(kill, |seen| {
        for (pid, began) in marks.iter().map(|mark| mark.first()) {
            collect(pid, |found| found == began, seen);
        }
        for pid in everybody() {
            collect_marked(pid, marks, seen);
        }
    });
}

/// The marks of what lives though its parent is gone. `running`: as above.
#[must_use]
pub fn strays(running: &BTreeSet<u32>) -> Vec<Mark> {
    others(running).filter_map(Mark::borne_by).collect()
}

/// Kills what bears one of these marks though its parent is gone, with all it has started meanwhile. `running`: as above.
pub fn kill_strays(marks: &[Mark], running: &BTreeSet<u32>) {
    if !marks.is_empty() {
        repeat(Kill::Kill, |seen| collect_strays(marks, running, seen));
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
            let before = seen.members.len();
            if let Some(mark) = collect_marked(pid, marks, seen).filter(|_| seen.members.len() > before) {
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

fn repeat(kill: Kill, mut find: impl FnMut(&mut Seen)) {
    let mut seen = Seen::default();
    for _ in 0..WALKS {
        let before = seen.members.len();
        find(&mut seen);
        for member in &seen.members[before..] {
            signal(*member, kill);
        }
        if seen.members.len() == before || kill == Kill::Terminate {
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

/// Children of ours that are no commands: orphans we have adopted.
fn others(running: &BTreeSet<u32>) -> impl Iterator<Item = u32> {
    process::own_children().filter(|pid| !running.contains(pid))
}

fn collect_strays(marks: &[Mark], running: &BTreeSet<u32>, seen: &mut Seen) {
    if !marks.is_empty() {
        for pid in others(running) {
            collect_marked(pid, marks, seen);
        }
    }
}

/// Which of these marks it bears, if any.
fn collect_marked(pid: u32, marks: &[Mark], seen: &mut Seen) -> Option<Mark> {
    let mark = Mark::borne_by(pid).filter(|mark| marks.contains(mark))?;
    collect(pid, |_| true, seen);
    Some(mark)
}

/// The process, if it began at such a time, and its descendants, as far as they live and are not known yet.
pub(super) fn collect(pid: u32, is_it: impl Fn(u64) -> bool, seen: &mut Seen) {
    if let Ok(stat) = process::stat(pid)
        && is_it(stat.began)
        && !stat.has_ended
    {
        collect_member((pid, stat.began), seen);
    }
}

fn collect_member(member: Member, seen: &mut Seen) {
    if !seen.add(member) {
        return;
    }
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
