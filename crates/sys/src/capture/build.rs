//! A ring as the kernel fills it, in memory of its own: for tests and measurements of what reads one.

use std::io;
use std::mem::offset_of;
use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;

use super::ring::ADDRESS;
use super::size::RingSize;

/// Where the kernel puts the network header of a frame without a link header.
const NET: u16 = 80;

/// The memory of a ring that nothing captures into.
#[derive(Debug)]
pub struct RingMemory {
    memory: OwnedFd,
    size: RingSize,
}

impl RingMemory {
    /// A ring of this size without a frame.
    pub fn new(size: RingSize) -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("ring", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, size.bytes() as u64)?;
        Ok(Self { memory, size })
    }

    /// A descriptor of it, as [`Ring::map`](super::Ring::map) takes one.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.memory.try_clone()
    }

    /// Puts a frame, from its network header on, into a slot, counted around: it is the reader's from then on.
    pub fn put(&self, slot: usize, ethertype: u16, frame: &[u8]) -> io::Result<()> {
        let slot_length = self.size.slot();
        let mut bytes = vec![0; slot_length];
        let room = slot_length - usize::from(NET);
        let captured = frame.len().min(room);
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        let length = |length: usize| u32::try_from(length).map_err(io::Error::other).map(u32::to_ne_bytes);
        put(offset_of!(libc::tpacket2_hdr, tp_len), &length(frame.len())?);
        put(offset_of!(libc::tpacket2_hdr, tp_snaplen), &length(captured)?);
        put(offset_of!(libc::tpacket2_hdr, tp_net), &NET.to_ne_bytes());
        put(ADDRESS + offset_of!(libc::sockaddr_ll, sll_protocol), &ethertype.to_be_bytes());
        put(usize::from(NET), &frame[..captured]);
        let start = (slot % self.size.frames() * slot_length) as u64;
        self.write(start, &bytes)?;
        // Last, as the kernel does it.
        self.write(start, &libc::TP_STATUS_USER.to_ne_bytes())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let written = rustix::io::pwrite(&self.memory, bytes, at)?;
        if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}
