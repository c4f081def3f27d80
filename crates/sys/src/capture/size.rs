//! How large a ring is, and how much of each frame it keeps.

/// What the kernel allocates at a time.
const BLOCK_LENGTH: u32 = 64 << 10;
/// The same as a size in memory.
const BLOCK: usize = BLOCK_LENGTH as usize;
/// As much as is sensible: 256 MiB.
const MOST_BLOCKS: u32 = 4096;

/// How much of each frame is kept. Every frame has a slot, of which metadata take 80 bytes; what is longer than the rest is cut, and its
/// length is still told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Kept {
    /// 176 bytes in slots of 256: IPv4 and TCP headers have at most 120. Of IPv6 the longest TCP header fits behind nine extension
    /// headers of the least length, eight bytes, and 112 bytes of them before a TCP header without options.
    Headers = 256,
    /// 432 bytes in slots of 512: a datagram as well.
    Datagrams = 512,
}

impl Kept {
    /// The length of its slots.
    #[must_use]
    pub const fn slot(self) -> usize {
        self as usize
    }

    const fn in_slots_of(length: u16) -> Option<Self> {
        match length {
            256 => Some(Self::Headers),
            512 => Some(Self::Datagrams),
            _ => None,
        }
    }
}

/// The size of a ring. Whoever maps a ring must say the size it was opened with: where its length is another the kernel refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    blocks: u32,
    kept: Kept,
}

impl RingSize {
    /// A ring for 8192 frames, of each of which so much is kept: 2 or 4 MiB.
    #[must_use]
    pub const fn usual(kept: Kept) -> Self {
        let blocks = match kept {
            Kept::Headers => 32,
            Kept::Datagrams => 64,
        };
        Self { blocks, kept }
    }

    /// About this many bytes, rounded up to what the kernel can allocate, between 64 KiB and 256 MiB.
    #[must_use]
    pub fn from_bytes(bytes: usize, kept: Kept) -> Self {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        Self { blocks: blocks.clamp(1, MOST_BLOCKS), kept }
    }

    /// Of exactly so many bytes, in slots of this length, as [`RingSize::bytes`] and [`RingSize::slot`] tell them; `None`: no ring has
    /// that size.
    #[must_use]
    pub fn as_told(bytes: u64, slot: u16) -> Option<Self> {
        let bytes = usize::try_from(bytes).ok()?;
        let size = Self::from_bytes(bytes, Kept::in_slots_of(slot)?);
        (size.bytes() == bytes).then_some(size)
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.blocks as usize * BLOCK
    }

    /// How many frames it holds.
    #[must_use]
    pub const fn frames(self) -> usize {
        self.bytes() / self.slot()
    }

    /// How much of each frame.
    #[must_use]
    pub const fn kept(self) -> Kept {
        self.kept
    }

    /// The length of its slots.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.kept.slot()
    }

    pub(super) const fn request(self) -> libc::tpacket_req {
        let slot = self.kept as u32;
        libc::tpacket_req {
            tp_block_size: BLOCK_LENGTH,
            tp_block_nr: self.blocks,
            tp_frame_size: slot,
            tp_frame_nr: self.blocks * (BLOCK_LENGTH / slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Kept; 2] = [Kept::Headers, Kept::Datagrams];

    #[test]
    fn sizes_are_rounded_up_and_bounded() {
        for kept in BOTH {
            let bytes = |bytes| RingSize::from_bytes(bytes, kept).bytes();
            assert_eq!(bytes(0), BLOCK);
            assert_eq!(bytes(BLOCK + 1), 2 * BLOCK);
            assert_eq!(bytes(usize::MAX), 256 << 20);
        }
    }

    #[test]
    fn a_usual_ring_holds_as_many_frames_whatever_is_kept_of_them() {
        assert_eq!(BOTH.map(|kept| RingSize::usual(kept).bytes()), [2 << 20, 4 << 20]);
        for kept in BOTH {
            let size = RingSize::usual(kept);
            let request = size.request();
            assert_eq!((size.frames(), request.tp_frame_nr), (8192, 8192));
            assert_eq!(RingSize::from_bytes(size.bytes(), kept), size);
        }
    }

    #[test]
    fn a_size_that_is_told_is_the_same_or_none() {
        for size in BOTH.map(RingSize::usual) {
            let (bytes, slot) = (size.bytes() as u64, u16::try_from(size.slot()).expect("small"));
            assert_eq!(RingSize::as_told(bytes, slot), Some(size));
            assert_eq!([0, 255, 384, 1024].map(|slot| RingSize::as_told(bytes, slot)), [None; 4]);
            for bytes in [0, bytes + 1, bytes - 1, 1 << 40, u64::MAX] {
                assert_eq!(RingSize::as_told(bytes, slot), None, "{bytes}");
            }
        }
    }
}
