//! A command under way as a note on disk names it, for a process of ours that comes later.

use std::os::fd::OwnedFd;

use aldaba_runner::lease::LeaseId;
use aldaba_sys::process;
use aldaba_sys::spawn::Mark;

/// Whose command, and which process: a number alone may be another process's by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) lease: LeaseId,
    pub(super) pid: u32,
    /// The process's start time.
    pub(super) began: u64,
}

impl Begun {
    /// For a command that has just begun and cannot have been reaped.
    pub(super) fn now(lease: LeaseId, pid: u32) -> Option<Self> {
        let began = process::start_time(pid).ok()?;
        Some(Self { lease, pid, began })
    }

    /// Three u64: lease, process number, start time.
    pub(super) fn fields(self) -> [u64; 3] {
        [self.lease.0, u64::from(self.pid), self.began]
    }

    /// `None` in a place that is free, or does not hold a process number.
    pub(super) fn read([lease, pid, began]: [u64; 3]) -> Option<Self> {
        let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        Some(Self { lease: LeaseId(lease), pid, began })
    }

    /// The mark of its processes, if it is a confined one.
    pub(super) const fn mark(self) -> Option<Mark> {
        Mark::of(self.pid, self.began)
    }

    /// Its process, ended or not, if that is the one noted and not a later one of the same number.
    pub(super) fn process(self) -> Option<OwnedFd> {
        // Opened first: whichever process the descriptor means, it had the number when the time was read.
        let process = process::pidfd(self.pid).ok()?;
        (process::start_time(self.pid).ok() == Some(self.began)).then_some(process)
    }
}

/// Fields as they stand on disk; a place of other length holds none.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut words = [0; N];
    let (fields, rest) = bytes.as_chunks::<8>();
    if fields.len() != N || !rest.is_empty() {
        return None;
    }
    for (word, field) in words.iter_mut().zip(fields) {
        *word = u64::from_le_bytes(*field);
    }
    Some(words)
}
