//! Start commands under way, as the closer knows them: a stop command must not overtake one that outlives the monitor.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aldaba_runner::lease::LeaseId;
use aldaba_sys::poll::Interest;
use aldaba_sys::process;

use crate::keeper::Survivor;

/// More than ever run at once (spec/leases.md, "When it is full").
const MOST: usize = 64;

/// Leases whose start command has not ended, with a descriptor of its process.
#[derive(Debug, Default)]
pub(crate) struct Starts(Vec<(LeaseId, OwnedFd)>);

/// What the monitor says of a start command; its process's descriptor goes beside it.
pub(super) fn message(lease: LeaseId) -> [u8; 8] {
    lease.0.to_le_bytes()
}

impl Starts {
    /// Takes what the monitor says. What is no such message is passed over.
    pub(super) fn take(&mut self, bytes: &[u8], mut fds: Vec<OwnedFd>) {
        let (Ok(lease), Some(process)) = (bytes.try_into(), fds.pop()) else { return };
        self.forget_ended();
        if self.0.len() < MOST {
            self.0.push((LeaseId(u64::from_le_bytes(lease)), process));
        }
    }

    /// Takes those noted on disk, as far as nobody has told of them.
    pub(super) fn join(&mut self, survivors: Vec<Survivor>) {
        for Survivor { lease, process, .. } in survivors {
            if self.0.len() < MOST && !self.is_running(lease) {
                self.0.push((lease, process));
            }
        }
    }

    /// Lets go of those that have ended. Whether one had.
    pub(super) fn forget_ended(&mut self) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, process)| !process::has_ended(process.as_fd()));
        self.0.len() < before
    }

    /// Whether the start command of this lease still runs.
    pub(super) fn is_running(&self, lease: LeaseId) -> bool {
        self.0.iter().any(|(running, _)| *running == lease)
    }

    /// Readable as soon as one ends.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, Interest)> {
        self.0.iter().map(|(_, process)| (process.as_fd(), Interest::READ)).collect()
    }
}
