//! What the worker sees with: the rings of the captures, the pnet channel where the policy wants that, and its
//! [`Ears`]; and when it rests.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;
use std::{io, iter};

use aldaba_gate::Gate;
use aldaba_gate::packet::{Checksum, Frame, Link, VlanTag};
use aldaba_sys::capture::{Batch, Fault, FrameView, GROUP, Pace, Ring, RingSize};
use aldaba_sys::pnet_capture::{LinkKind, PnetCapture};
use aldaba_sys::poll::Interest;

use super::ears::Ears;
use super::reporter::Reporter;
use crate::ipc::{CaptureOn, FromWorker};

/// Frames read from one capture before the others, and the channel, have their turn: what takes a fraction of a millisecond.
const BATCH: usize = 256;
/// How long to let the monitor have the processor, which may be this one, when there is more to read and it has been asked to open a
/// door. The ring has room for far longer.
pub(super) const HAND_OVER: Duration = Duration::from_micros(100);
const _: () = assert!(GROUP <= Gate::AHEAD, "of all frames shown together the gate reads ahead");
/// While it is hot nobody is told of faults by the kernel: they are looked for this often.
const LOOK: Duration = Duration::from_secs(1);

/// All captures.
#[derive(Debug, Default)]
pub(super) struct Eyes {
    rings: Vec<RingEye>,
    pnet: Vec<PnetEye>,
    ears: Ears,
    /// Something was left to read when its turn was over.
    more: bool,
    /// How long to let frames gather before the next look.
    rest: Option<Duration>,
    pace: Pace,
    /// When faults were last looked for on all captures.
    looked: Duration,
}

#[derive(Debug)]
struct RingEye {
    capture: u32,
    on: CaptureOn,
    ring: Ring,
    /// The kernel says that there is something: a frame or a fault.
    ready: bool,
}

#[derive(Debug)]
struct PnetEye {
    capture: u32,
    channel: PnetCapture,
    ready: bool,
}

impl Eyes {
    /// Begins to read a capture's ring.
    pub(super) fn open(
        &mut self,
        capture: u32,
        on: CaptureOn,
        socket: OwnedFd,
        size: RingSize,
    ) -> io::Result<()> {
        self.rings.push(RingEye { capture, on, ring: Ring::map(socket, size)?, ready: false });
        Ok(())
    }

    /// Begins to read through pnet; before the sandbox closes, since pnet binds by itself.
    pub(super) fn open_pnet(
        &mut self,
        capture: u32,
        socket: OwnedFd,
        link: LinkKind,
        index: u32,
    ) -> io::Result<()> {
        let channel = PnetCapture::open(socket, link, index)?;
        self.pnet.push(PnetEye { capture, channel, ready: false });
        Ok(())
    }

    /// Reads what this capture has left, which has come before anything that another one may have, and then no more of it.
    pub(super) fn close(
        &mut self,
        capture: u32,
        now: Duration,
        gate: Option<&mut Gate>,
        reporter: &mut Reporter,
    ) {
        let Some(place) = self.rings.iter().position(|eye| eye.capture == capture) else { return };
        let mut eye = self.rings.remove(place);
        if let Some(gate) = gate {
            eye.read(eye.ring.frames(), now, gate, reporter);
        }
    }

    /// Hears datagrams through this socket from now on, or through none.
    pub(super) fn listen(&mut self, socket: Option<OwnedFd>) {
        self.ears.listen(socket);
    }

    /// What to wait for.
    pub(super) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Interest)> {
        let rings = self.rings.iter().map(|eye| eye.ring.as_fd());
        let all = rings.chain(self.pnet.iter().map(|eye| eye.channel.as_fd())).chain(self.ears.socket());
        // While frames gather, their readiness must not end the rest.
        all.filter(|_| self.rest.is_none()).map(|fd| (fd, Interest::READ))
    }

    /// What of it is ready; nothing of what was not waited for.
    pub(super) fn woken(&mut self, ready: impl Iterator<Item = bool>) {
        let rings = self.rings.iter_mut().map(|eye| &mut eye.ready);
        let eyes = rings.chain(self.pnet.iter_mut().map(|eye| &mut eye.ready));
        for (eye, ready) in eyes.zip(ready.chain(iter::repeat(false))) {
            *eye = ready;
        }
    }

    /// How long to wait at most because of what was seen last; `None`: no matter.
    pub(super) const fn rest(&self) -> Option<Duration> {
        match self.rest {
            None if self.more => Some(Duration::ZERO),
            rest => rest,
        }
    }

    /// Shows all frames and datagrams there are, within bounds, to the gate.
    pub(super) fn read(&mut self, now: Duration, gate: &mut Gate, reporter: &mut Reporter) {
        let mut frames = 0;
        self.more = false;
        let all = now.saturating_sub(self.looked) >= LOOK;
        if all {
            self.looked = now;
        }
        for eye in &mut self.rings {
            let batch = eye.read(BATCH, now, gate, reporter);
            frames += batch.frames;
            self.more |= batch.more;
            if batch.frames == 0 && (eye.ready || all) {
                report_fault(eye.capture, eye.ring.take_fault(), reporter);
            }
        }
        for eye in &mut self.pnet {
            let (index, link) = (eye.channel.ifindex(), pnet_link(eye.channel.link()));
            let seen = eye.channel.poll_frames(BATCH, |bytes| {
                // The channel does not say which checksums are final.
                let frame = Frame { checksum: Checksum::Trusted, ..Frame::whole(link, bytes) };
                gate.frame(now, index, &frame, reporter);
            });
            frames += seen;
            self.more |= seen == BATCH;
            if seen == 0 && (eye.ready || all) {
                report_fault(eye.capture, eye.channel.take_fault(), reporter);
            }
        }
        let (datagrams, more) = self.ears.read(now, gate, reporter);
        frames += datagrams;
        self.more |= more;
        let asked = reporter.has_asked();
        self.rest = match (frames, self.more) {
            (0, _) => None,
            (_, true) => asked.then_some(HAND_OVER),
            (_, false) => self.pace.woken(now),
        };
    }
}

impl RingEye {
    /// Shows what there is to the gate, at most so many frames.
    fn read(&mut self, limit: usize, now: Duration, gate: &mut Gate, reporter: &mut Reporter) -> Batch {
        let on = self.on;
        self.ring.poll_groups(limit, |views| {
            if views.len() > 1 {
                gate.read_ahead(now, views.iter().map(frame));
            }
            for view in views {
                gate.frame(now, on.index_of(view), &frame(view), reporter);
            }
        })
    }
}

/// An interface that is down comes up again, or the monitor hears of its end; anything else it should know.
fn report_fault(capture: u32, fault: Option<Fault>, reporter: &mut Reporter) {
    if let Some(Fault::Other(_)) = fault {
        reporter.insist(FromWorker::CaptureFailed { capture });
    }
}

impl CaptureOn {
    const fn index_of(self, view: &FrameView<'_>) -> u32 {
        match self {
            Self::Any => view.ifindex,
            Self::Interface(index) => index,
        }
    }
}

fn frame<'a>(view: &FrameView<'a>) -> Frame<'a> {
    let trusted = view.checksum_not_ready || view.checksum_valid;
    Frame {
        link: Link::Network { ethertype: view.ethertype },
        bytes: view.bytes,
        wire_len: view.wire_len,
        stripped_vlan: view.vlan.map(|tag| VlanTag { tpid: tag.tpid, tci: tag.tci }),
        checksum: if trusted { Checksum::Trusted } else { Checksum::Verify },
    }
}

const fn pnet_link(link: LinkKind) -> Link {
    match link {
        LinkKind::Ethernet => Link::Ethernet,
        LinkKind::Ip => Link::Ip,
    }
}
