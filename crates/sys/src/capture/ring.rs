//! The worker's end of a capture: the ring the kernel fills.
//!
//! A slot belongs to the kernel while its status is 0 and to us while the first bit is set. We read the status with
//! acquire ordering before anything else of the slot, and give it back with release ordering after everything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::net::RecvFlags;

use super::size::{Kept, RingSize};

/// Where the sender's address, and in it the interface, stands in a slot.
pub(super) const ADDRESS: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);

/// A VLAN tag the kernel has taken off the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// Its protocol: 0x8100, or 0x88a8 for a service provider's.
    pub tpid: u16,
    /// Priority and VLAN number.
    pub tci: u16,
}

/// A captured frame, as long as its slot is ours.
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// From the network header on, cut to what a slot holds.
    pub bytes: &'a [u8],
    /// How many bytes there were from the network header on.
    pub wire_len: usize,
    /// The interface it came in on.
    pub ifindex: u32,
    /// What the link header says the network header is.
    pub ethertype: u16,
    /// The outermost VLAN tag.
    pub vlan: Option<VlanTag>,
    /// The transport checksum is not computed yet (it comes from this machine, or another guest on it): do not judge it.
    pub checksum_not_ready: bool,
    /// The kernel or the hardware has found the transport checksum right.
    pub checksum_valid: bool,
}

/// The most frames shown together.
pub const GROUP: usize = 16;

/// No frame.
const NOTHING: FrameView<'static> = FrameView {
    bytes: &[],
    wire_len: 0,
    ifindex: 0,
    ethertype: 0,
    vlan: None,
    checksum_not_ready: false,
    checksum_valid: false,
};

/// What one look at the ring has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// How many frames there were.
    pub frames: usize,
    /// The limit was reached: there may be more.
    pub more: bool,
}

/// What has happened to the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is down or gone. What it will be, netlink says.
    Down,
    /// Something else.
    Other(Errno),
}

/// A mapped ring.
#[derive(Debug)]
pub struct Ring {
    fd: OwnedFd,
    memory: NonNull<u8>,
    size: RingSize,
    /// How many frames that is.
    frames: usize,
    next: usize,
}

impl Ring {
    /// Maps the ring of a socket opened with this size. One `mmap` call and nothing else.
    pub fn map(fd: OwnedFd, size: RingSize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place the kernel chooses. The kernel refuses a length that is not the ring's.
        let memory = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size.bytes(), protection, MapFlags::SHARED, &fd, 0)
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { fd, memory, size, frames: size.frames(), next: 0 })
    }

    /// How many frames it holds.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Shows every frame there is, oldest first and at most `limit`, and gives its slot back.
    pub fn poll_frames(&mut self, limit: usize, mut show: impl FnMut(&FrameView<'_>)) -> Batch {
        self.poll_groups(limit, |frames| frames.iter().for_each(&mut show))
    }

    /// The same, up to [`GROUP`] frames at a time: their slots are given back together.
    pub fn poll_groups(&mut self, limit: usize, mut show: impl FnMut(&[FrameView<'_>])) -> Batch {
        let mut batch = Batch { more: true, ..Batch::default() };
        while batch.frames < limit {
            let wanted = GROUP.min(limit - batch.frames);
            let ready = self.ready(wanted);
            self.show_group(ready, &mut show);
            for _ in 0..ready {
                self.status(self.next).store(libc::TP_STATUS_KERNEL, Ordering::Release);
                self.next = self.after(self.next);
            }
            batch.frames += ready;
            if ready < wanted {
                batch.more = false;
                break;
            }
        }
        batch
    }

    /// How many of the next slots are ours, at most `wanted`. What is read of them first is fetched here, side by side: it comes
    /// from the processor that the frames came in on.
    fn ready(&self, wanted: usize) -> usize {
        let (mut slot, mut ready, mut seen) = (self.next, 0, 0);
        while ready < wanted && self.status(slot).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0 {
            seen ^= self.slot(slot)[HEADER - STATUS];
            slot = self.after(slot);
            ready += 1;
        }
        std::hint::black_box(seen);
        ready
    }

    /// Shows the next `ready` frames, if there are any.
    fn show_group(&self, ready: usize, show: &mut impl FnMut(&[FrameView<'_>])) {
        let mut frames = [NOTHING; GROUP];
        let frames = &mut frames[..ready];
        let mut slot = self.next;
        for frame in &mut *frames {
            let status = self.status(slot).load(Ordering::Acquire);
            *frame = view(self.slot(slot), status);
            slot = self.after(slot);
        }
        if !frames.is_empty() {
            show(frames);
        }
    }

    /// Takes the error that makes the socket readable without a frame. To be called after such a wake-up.
    #[must_use]
    pub fn take_fault(&self) -> Option<Fault> {
        take_fault(self.fd.as_fd())
    }

    /// The slot behind one, counted around.
    const fn after(&self, slot: usize) -> usize {
        if slot + 1 < self.frames { slot + 1 } else { 0 }
    }

    /// Where a slot begins.
    fn place(&self, slot: usize) -> NonNull<u8> {
        assert!(slot < self.frames, "slots are counted around");
        // SAFETY: below the number of slots, so this is within the mapping.
        unsafe { self.memory.add(slot * self.size.slot()) }
    }

    /// The first word of a slot, which both sides write.
    fn status(&self, slot: usize) -> &AtomicU32 {
        // SAFETY: within the mapping and aligned, as slots are; only ever accessed as an atomic, by us and the kernel.
        unsafe { AtomicU32::from_ptr(self.place(slot).as_ptr().cast()) }
    }

    /// A slot behind its status word. It must be ours, and is until [`Ring::poll_groups`] gives it back, which the borrow
    /// does not outlive.
    fn slot(&self, slot: usize) -> &[u8] {
        // SAFETY: as above.
        let behind_status = unsafe { self.place(slot).add(STATUS) };
        let all = NonNull::slice_from_raw_parts(behind_status, self.size.slot() - STATUS);
        // SAFETY: within the mapping; the kernel does not write to a slot that is ours.
        unsafe { all.as_ref() }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: our own mapping; every view of it has borrowed this ring.
        let _ = unsafe { rustix::mm::munmap(self.memory.as_ptr().cast(), self.size.bytes()) };
    }
}

/// Takes the error pending on a packet socket, as any `recv` on it does.
#[must_use]
pub fn take_fault(fd: BorrowedFd<'_>) -> Option<Fault> {
    match rustix::net::recv(fd, &mut [0_u8; 1][..], RecvFlags::DONTWAIT | RecvFlags::PEEK) {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => None,
        Err(Errno::NETDOWN | Errno::NXIO | Errno::NODEV) => Some(Fault::Down),
        Err(error) => Some(Fault::Other(error)),
    }
}

/// Reads a slot that is none, so that the code for it is there before the first frame is.
pub fn rehearse() {
    let slot = [0; Kept::Headers.slot() - STATUS];
    std::hint::black_box(view(std::hint::black_box(&slot), libc::TP_STATUS_USER));
}

/// The status word's length.
const STATUS: usize = size_of::<u32>();
/// What of a slot is filled before its frame's own bytes begin, or nearly so: a cache line.
const HEADER: usize = 64;
/// What of a slot behind its status word stands before any frame's own bytes.
type Facts = [u8; HEADER - STATUS];

/// Reads a slot behind its status word. Places the kernel gives are checked: nothing outside the slot is ever shown.
fn view(slot: &[u8], status: u32) -> FrameView<'_> {
    let facts: &Facts = slot.first_chunk().expect("every slot is longer");
    let byte = |at: usize| facts[at - STATUS];
    let half = |at: usize| u16::from_ne_bytes([byte(at), byte(at + 1)]);
    let word = |at: usize| u32::from_ne_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
    let net = usize::from(half(std::mem::offset_of!(libc::tpacket2_hdr, tp_net)));
    let captured = word(std::mem::offset_of!(libc::tpacket2_hdr, tp_snaplen)) as usize;
    let bytes = net
        .checked_sub(STATUS)
        .and_then(|start| slot.get(start..))
        .map_or(&[][..], |rest| &rest[..captured.min(rest.len())]);
    let tpid = match half(std::mem::offset_of!(libc::tpacket2_hdr, tp_vlan_tpid)) {
        given if status & libc::TP_STATUS_VLAN_TPID_VALID != 0 => given,
        _ => 0x8100,
    };
    let tci = half(std::mem::offset_of!(libc::tpacket2_hdr, tp_vlan_tci));
    FrameView {
        bytes,
        wire_len: word(std::mem::offset_of!(libc::tpacket2_hdr, tp_len)) as usize,
        ifindex: word(ADDRESS + std::mem::offset_of!(libc::sockaddr_ll, sll_ifindex)),
        ethertype: u16::from_be(half(ADDRESS + std::mem::offset_of!(libc::sockaddr_ll, sll_protocol))),
        vlan: (status & libc::TP_STATUS_VLAN_VALID != 0).then_some(VlanTag { tpid, tci }),
        checksum_not_ready: status & libc::TP_STATUS_CSUMNOTREADY != 0,
        checksum_valid: status & libc::TP_STATUS_CSUM_VALID != 0,
    }
}

#[cfg(test)]
mod tests;
