//! Start commands under way, as the closer knows them: a stop command must not overtake one that outlives the monitor, and nobody else
//! watches its time limit then.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_runner::lease::LeaseId;
use aldaba_runner::{KILL_AFTER, Signal};
use aldaba_sys::poll::Interest;
use aldaba_sys::process::{self, Kill};
use aldaba_sys::spawn::{self, Mark};

use super::overdue::AGAIN;
use crate::keeper::Survivor;

/// More than ever run at once (spec/leases.md, "When it is full").
const MOST: usize = 64;

/// Those that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    all: Vec<Start>,
    /// Those that are to be signalled next.
    over_time: Vec<(Kill, Mark)>,
}

#[derive(Debug)]
struct Start {
    lease: LeaseId,
    process: OwnedFd,
    /// What it and all it has started bear, if it is a confined one.
    mark: Option<Mark>,
    /// How it was signalled last.
    signalled: Option<Signal>,
}

/// What the monitor says of a start command: lease, process number and when it began (0: look), each a u64; its process's descriptor
/// goes beside it.
pub(super) fn message(lease: LeaseId, pid: u32, began: Option<u64>) -> [u8; 24] {
    let mut bytes = [0; 24];
    let numbers = [lease.0, u64::from(pid), began.unwrap_or(0)];
    for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    bytes
}

fn read(bytes: &[u8]) -> Option<(LeaseId, u32, Option<u64>)> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    let [lease, pid, began] = <[[u8; 8]; 3]>::try_from(numbers).ok()?.map(u64::from_le_bytes);
    Some((LeaseId(lease), u32::try_from(pid).ok()?, (began > 0).then_some(began)))
}

impl Starts {
    /// Takes what the monitor says. What is no such message is passed over.
    pub(super) fn take(&mut self, bytes: &[u8], mut fds: Vec<OwnedFd>) {
        let (Some((lease, pid, began)), Some(process)) = (read(bytes), fds.pop()) else { return };
        self.forget_ended();
        if self.all.len() < MOST {
            // Told, it is not looked up in /proc: that is code for which a process at rest has no other use.
            let began = began.or_else(|| process::start_time(pid).ok());
            // While it lives, the number is its own.
            let began = began.filter(|_| !process::has_ended(process.as_fd()));
            let mark = began.and_then(|began| Mark::of(pid, began));
            self.all.push(Start { lease, process, mark, signalled: None });
        }
    }

    /// Takes those noted on disk, as far as nobody has told of them.
    pub(super) fn join(&mut self, survivors: Vec<Survivor>) {
        for Survivor { lease, process, mark, .. } in survivors {
            if self.all.len() < MOST && !self.is_running(lease) {
                self.all.push(Start { lease, process, mark, signalled: None });
            }
        }
    }

    /// Lets go of those that have ended.
    pub(super) fn forget_ended(&mut self) {
        self.all.retain(|start| !process::has_ended(start.process.as_fd()));
    }

    /// The same where nobody else looks after what they have left: the marks of those that had ended, if they bore any.
    pub(super) fn settle(&mut self) -> Vec<Option<Mark>> {
        let ended = self.all.extract_if(.., |start| process::has_ended(start.process.as_fd()));
        ended.map(|start| start.mark).collect()
    }

    /// Whether the start command of this lease still runs.
    pub(super) fn is_running(&self, lease: LeaseId) -> bool {
        self.all.iter().any(|start| start.lease == lease)
    }

    /// When the time of this lease's start command is over, which may take so long.
    pub(super) fn end_of_time(&self, lease: LeaseId, limit: Duration) -> Option<Duration> {
        let start = self.all.iter().find(|start| start.lease == lease)?;
        Some(start.mark?.began().saturating_add(limit))
    }

    /// Ends it when its time is over, with [`Starts::signal`]: TERM, and what comes later is KILL. How soon to look again, and how it is
    /// signalled now for the first time.
    pub(super) fn watch(
        &mut self,
        lease: LeaseId,
        limit: Duration,
        now: Duration,
    ) -> Option<(Duration, Option<Signal>)> {
        let over = self.end_of_time(lease, limit)?;
        if now < over {
            return Some((over.saturating_sub(now), None));
        }
        let start = self.all.iter_mut().find(|start| start.lease == lease)?;
        let kill_at = over.saturating_add(KILL_AFTER);
        let (signal, kill, pause) = if now < kill_at {
            (Signal::Term, Kill::Terminate, kill_at.saturating_sub(now))
        } else {
            (Signal::Kill, Kill::Kill, AGAIN)
        };
        let is_new = start.signalled.replace(signal) != Some(signal);
        self.over_time.extend(start.mark.filter(|_| is_new || kill == Kill::Kill).map(|mark| (kill, mark)));
        Some((pause, is_new.then_some(signal)))
    }

    /// Signals those whose time is over, all of them at once.
    pub(super) fn signal(&mut self) {
        let all = std::mem::take(&mut self.over_time);
        for kill in [Kill::Terminate, Kill::Kill] {
            let of = all.iter().filter(|(which, _)| *which == kill);
            spawn::signal_marked(&of.map(|(_, mark)| *mark).collect::<Vec<Mark>>(), kill);
        }
    }

    /// Readable as soon as one ends.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, Interest)> {
        self.all.iter().map(|start| (start.process.as_fd(), Interest::READ)).collect()
    }
}
