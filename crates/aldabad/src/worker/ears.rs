//! What the worker hears with: the UDP socket on the port of `[spa]`, where datagrams are not captured.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_gate::{Gate, spa};
use aldaba_sys::datagram::{AT_ONCE, Inbox};

use super::reporter::Reporter;
use crate::fault::{self, Point};
use crate::ipc::FromWorker;

/// Calls in a row that each bring as many datagrams as one can, before everything else has its turn.
const CALLS: usize = 4;
/// An error is the network's answer to something, and there may be more behind it. So many without a datagram between them
/// are a socket that cannot be read: it is given up before it takes a processor for nothing.
const ERRORS: u32 = 16;

/// A socket, if there is one, and room for what arrives there.
#[derive(Debug, Default)]
pub(super) struct Ears(Option<Ear>);

#[derive(Debug)]
struct Ear {
    socket: OwnedFd,
    inbox: Inbox,
    /// In a row.
    errors: u32,
}

impl Ears {
    /// Hears here from now on, or nowhere.
    pub(super) fn listen(&mut self, socket: Option<OwnedFd>) {
        self.0 = socket.map(|socket| Ear { socket, inbox: Inbox::new(spa::MAX_LEN), errors: 0 });
    }

    /// What to wait on.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|ear| ear.socket.as_fd())
    }

    /// Shows what has arrived to the gate, within bounds: how many datagrams, and whether there may be more. A socket that cannot
    /// be read is closed, and the monitor hears of it.
    pub(super) fn read(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) -> (usize, bool) {
        let Some(ear) = &mut self.0 else { return (0, false) };
        let (datagrams, more) = ear.read(now, gate, reporter);
        if ear.errors < ERRORS {
            return (datagrams, more);
        }
        self.0 = None;
        reporter.insist(FromWorker::ListenFailed);
        (datagrams, false)
    }
}

impl Ear {
    fn read(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) -> (usize, bool) {
        let mut datagrams = 0;
        for _ in 0..CALLS {
            let show = |from, payload: &[u8]| gate.datagram(now, from, payload, reporter);
            let received =
                fault::at(Point::BeforeReceive).and_then(|()| self.inbox.receive(self.socket.as_fd(), show));
            let Ok(count) = received else {
                self.errors = self.errors.saturating_add(1);
                return (datagrams, true);
            };
            self.errors = 0;
            datagrams += count;
            if count < AT_ONCE {
                return (datagrams, false);
            }
        }
        (datagrams, true)
    }
}
