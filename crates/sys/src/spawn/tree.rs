//! A confined command and everything it has started, also what left its group, its session or its parent.
//!
//! Descendants are found by walking down from the command. What lost its parent is found among this process's own
//! children, where it ends up once [`process::adopt_orphans`] was called: it carries the command's [`Mark`] in the
//! environment it was started with.

use std::ffi::CString;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Child;
use crate::process::{self, Kill};

/// How often a tree is walked while it may still grow.
const WALKS: usize = 16;
/// The variable of the environment that holds the mark.
const VARIABLE: &str = "ALDABA_COMMAND";

/// What tells the processes of one command from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(CString);

impl Mark {
    /// One that no other command of this process has.
    pub(super) fn fresh() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut text = format!("{VARIABLE}={}-", process::id());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Writing to a string does not fail, and digits hold no zero byte.
        let _ = write!(text, "{count}");
        Self(CString::new(text).unwrap_or_default())
    }

    /// As it stands in the environment.
    pub(super) fn variable(&self) -> &std::ffi::CStr {
        &self.0
    }

    fn is_of(&self, pid: u32) -> bool {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == self.0.as_bytes())
    }

    /// Whether anything the command started still lives though its parent is gone.
    #[must_use]
    pub fn has_strays(&self) -> bool {
        own_children().any(|pid| self.is_of(pid))
    }

    /// Kills what [`Mark::has_strays`] speaks of, with all it has started meanwhile.
    pub fn kill_strays(&self) {
        repeat(Kill::Kill, |seen| self.collect(seen));
    }

    fn collect(&self, seen: &mut Vec<u32>) {
        for pid in own_children().filter(|pid| self.is_of(*pid)) {
            collect(pid, seen);
        }
    }
}

/// Signals a command's group and all its descendants, also those that have left the group, the session or their
/// parent. The command itself must not have been reaped. For KILL the walk is repeated until nothing new turns up, at
/// most 16 times.
pub fn signal_tree(child: &Child, kill: Kill) {
    repeat(kill, |seen| {
        collect(child.pid, seen);
        if let Some(mark) = &child.mark {
            mark.collect(seen);
        }
        // What cannot be signalled any more has ended.
        process::signal_group(child.pid, kill).ok();
    });
}

fn repeat(kill: Kill, mut find: impl FnMut(&mut Vec<u32>)) {
    let mut seen = Vec::new();
    for _ in 0..WALKS {
        let before = seen.len();
        find(&mut seen);
        for pid in &seen[before..] {
            process::signal_pid(*pid, kill).ok();
        }
        if seen.len() == before || kill == Kill::Terminate {
            return;
        }
    }
}

/// The process and its descendants, as far as they are not known yet.
pub(super) fn collect(pid: u32, seen: &mut Vec<u32>) {
    if seen.contains(&pid) {
        return;
    }
    seen.push(pid);
    for child in children(format!("/proc/{pid}/task/{pid}/children")) {
        collect(child, seen);
    }
}

/// The kernel lists children by the thread they belong to.
fn own_children() -> impl Iterator<Item = u32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.flat_map(|thread| children(thread.path().join("children")))
}

fn children(file: impl AsRef<std::path::Path>) -> Vec<u32> {
    let list = std::fs::read_to_string(file).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
