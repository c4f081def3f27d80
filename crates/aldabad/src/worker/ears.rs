//! What the worker hears with: the UDP socket on the port of `[spa]`, where datagrams are not captured.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_gate::{Gate, spa};
use aldaba_sys::datagram::{AT_ONCE, Inbox};

use super::reporter::Reporter;

/// Calls in a row that each bring as many datagrams as one can, before everything else has its turn.
const CALLS: usize = 16;

/// A socket, if there is one, and room for what arrives there.
#[derive(Debug, Default)]
pub(super) struct Ears(Option<(OwnedFd, Inbox)>);

impl Ears {
    /// Hears here from now on, or nowhere.
    pub(super) fn listen(&mut self, socket: Option<OwnedFd>) {
        self.0 = socket.map(|socket| (socket, Inbox::new(spa::MAX_LEN)));
    }

    /// What to wait on.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|(socket, _)| socket.as_fd())
    }

    /// Shows what has arrived to the gate, within bounds: how many datagrams, and whether there may be more.
    pub(super) fn read(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) -> (usize, bool) {
        let Some((socket, inbox)) = &mut self.0 else { return (0, false) };
        let mut datagrams = 0;
        for _ in 0..CALLS {
            let show = |from, payload: &[u8]| gate.datagram(now, from, payload, reporter);
            // An error is the network's (an answer to nothing of ours): there may be more behind it.
            let Ok(count) = inbox.receive(socket.as_fd(), show) else { return (datagrams, true) };
            datagrams += count;
            if count < AT_ONCE {
                return (datagrams, false);
            }
        }
        (datagrams, true)
    }
}
