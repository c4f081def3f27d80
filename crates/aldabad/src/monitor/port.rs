//! The socket on the port of datagrams: made, handed to the worker, and what the kernel did not queue there counted.
//!
//! The monitor counts, since it goes by nothing the worker says, and reads the kernel's numbers of the captures as well.

use std::io;
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use aldaba_config::Receive;
use aldaba_gate::spa::{MAX_LEN, MIN_LEN};
use aldaba_sys::datagram::{self, LossCounter, Losses};

use super::Monitor;
use super::drops::Lately;
use super::recovery::Recovery;
use crate::ipc::ToWorker;
use crate::log::Level;
use crate::wording;

/// The port, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Port {
    held: Option<Held>,
    /// The port that is to be listened on and cannot be had: its datagrams are captured meanwhile.
    stand_in: Option<NonZeroU16>,
    /// Since the daemon's start.
    lost: Losses,
    lately: Lately,
    /// Reading that stopped.
    recovery: Recovery,
    /// Why nobody reads it for a while.
    stopped: Option<String>,
}

/// A socket on the port in either case: a port without one is answered by the kernel.
#[derive(Debug)]
struct Held {
    port: u16,
    receive: Receive,
    socket: OwnedFd,
    /// Of one that listens, where the kernel tells what it counts.
    counter: Option<LossCounter>,
}

impl Held {
    fn open(port: u16, receive: Receive) -> io::Result<Self> {
        let socket = match receive {
            Receive::Capture => datagram::silent(port),
            Receive::Listen => datagram::listen(port, MIN_LEN, MAX_LEN),
        }?;
        Ok(Self::of(port, receive, socket))
    }

    /// One that is there only learns what it is to take.
    fn turn(self, receive: Receive) -> io::Result<Self> {
        match receive {
            _ if receive == self.receive => return Ok(self),
            Receive::Capture => datagram::make_silent(self.socket.as_fd()),
            Receive::Listen => datagram::make_listen(self.socket.as_fd(), MIN_LEN, MAX_LEN),
        }?;
        Ok(Self::of(self.port, receive, self.socket))
    }

    /// A silent one refuses everything, which is nothing to count.
    fn of(port: u16, receive: Receive, socket: OwnedFd) -> Self {
        let counter = (receive == Receive::Listen).then(|| LossCounter::begin(socket.as_fd()).ok()).flatten();
        Self { port, receive, socket, counter }
    }
}

impl Port {
    /// Has a socket on this port that receives so. Whoever else has the port must shut nobody out: where it is to be listened on, it is
    /// captured until then.
    pub(super) fn open(&mut self, port: u16, receive: Receive) -> io::Result<()> {
        self.look();
        // One on another port goes before the new one comes.
        let kept = self.held.take().filter(|held| held.port == port);
        let opened = kept.map_or_else(|| Held::open(port, receive), |held| held.turn(receive));
        let lacks = opened.is_err() && receive == Receive::Listen;
        self.stand_in = NonZeroU16::new(port).filter(|_| lacks);
        self.held = Some(opened?);
        Ok(())
    }

    /// Has none.
    pub(super) fn close(&mut self) {
        self.look();
        self.held = None;
        self.stand_in = None;
    }

    pub(super) const fn is_open(&self) -> bool {
        self.held.is_some()
    }

    /// The port that is captured because its socket cannot be had.
    pub(super) const fn stand_in(&self) -> Option<NonZeroU16> {
        self.stand_in
    }

    /// What the worker is to read, if anything.
    fn listening(&self) -> Option<BorrowedFd<'_>> {
        let held = self.held.as_ref().filter(|held| held.receive == Receive::Listen)?;
        Some(held.socket.as_fd())
    }

    /// What was lost since the daemon's start, where a socket receives and the kernel tells.
    pub(super) fn losses(&mut self) -> Option<Losses> {
        self.look();
        self.held.as_ref()?.counter.map(|_| self.lost)
    }

    /// Datagrams there was no room for within the last minute or two.
    pub(super) fn dropped_lately(&mut self) -> u64 {
        self.look();
        self.lately.of(self.lost.drops)
    }

    /// Why nobody reads it, while that lasts.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// When it is to be read again.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.recovery.poll_timeout()
    }

    fn look(&mut self) {
        let Some(Held { socket, counter: Some(counter), .. }) = &mut self.held else { return };
        if let Ok(lost) = counter.look(socket.as_fd()) {
            self.lost = self.lost.and(lost);
        }
    }
}

impl Monitor {
    /// The worker reads this socket and no other: one it kept would hold its port for ever.
    pub(super) fn tell_socket(&mut self) {
        self.spa_hold.port.stopped = None;
        let stand_in = self.spa_hold.port.stand_in;
        let listening: Vec<BorrowedFd<'_>> = self.spa_hold.port.listening().into_iter().collect();
        self.workers.tell(&ToWorker::Listen { stand_in }, &listening);
    }

    /// The worker cannot read it any more, and has closed its own.
    pub(super) fn listen_failed(&mut self, now: Duration) {
        let port = &mut self.spa_hold.port;
        let Some(number) = port.listening().and(port.held.as_ref()).map(|held| held.port) else { return };
        let pause = port.recovery.stopped(now);
        if pause.is_zero() {
            self.tell_socket();
            return;
        }
        let (stops, again) = (port.recovery.stops(), wording::short(pause));
        let error = format!("UDP port {number}: reading it has stopped {stops} times; read again in {again}");
        let line = format!("degraded what=spa-port error={}", wording::quoted(&error));
        port.stopped = Some(error);
        self.report(now, Level::Warning, line);
    }

    /// Has it read again when its pause is over.
    pub(super) fn handle_port_timeout(&mut self, now: Duration) {
        if self.spa_hold.port.recovery.handle_timeout(now) {
            self.tell_socket();
        }
    }

    /// Says what there was no room for in the last minute.
    pub(super) fn look_for_lost_datagrams(&mut self) {
        let port = &mut self.spa_hold.port;
        port.look();
        let packets = port.lately.pulse(port.lost.drops);
        if let Some(held) = port.held.as_ref().filter(|_| packets > 0) {
            let line = format!("packets-dropped port={} packets={packets}", held.port);
            self.speech.tell(Level::Warning, line);
        }
    }
}
