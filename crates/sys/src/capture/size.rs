//! How large a ring is.

/// Every frame's slot. Its 80 bytes of metadata leave 432 for the frame: IPv4 and TCP headers have at most 120, IPv6
/// ones with every extension header a knock can have fit as well. What is longer is cut; its length is still told.
const SLOT_LENGTH: u32 = 512;
/// What the kernel allocates at a time.
const BLOCK_LENGTH: u32 = 64 << 10;
/// The same as sizes in memory.
pub(super) const SLOT: usize = SLOT_LENGTH as usize;
const BLOCK: usize = BLOCK_LENGTH as usize;
/// As much as is sensible: 256 MiB.
const MOST_BLOCKS: u32 = 4096;

/// The size of a ring. Whoever maps a ring must say the size it was opened with, or the kernel refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    blocks: u32,
}

impl RingSize {
    /// 4 MiB: 8192 frames.
    pub const DEFAULT: Self = Self { blocks: 64 };

    /// About this many bytes, rounded up to what the kernel can allocate, between 64 KiB and 256 MiB.
    #[must_use]
    pub fn from_bytes(bytes: usize) -> Self {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        Self { blocks: blocks.clamp(1, MOST_BLOCKS) }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.blocks as usize * BLOCK
    }

    /// How many frames it holds.
    #[must_use]
    pub const fn frames(self) -> usize {
        self.bytes() / SLOT
    }

    pub(super) const fn request(self) -> libc::tpacket_req {
        libc::tpacket_req {
            tp_block_size: BLOCK_LENGTH,
            tp_block_nr: self.blocks,
            tp_frame_size: SLOT_LENGTH,
            tp_frame_nr: self.blocks * (BLOCK_LENGTH / SLOT_LENGTH),
        }
    }
}

impl Default for RingSize {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_and_bounded() {
        assert_eq!(RingSize::DEFAULT.bytes(), 4 << 20);
        assert_eq!(RingSize::DEFAULT.frames(), 8192);
        assert_eq!(RingSize::from_bytes(0).bytes(), BLOCK);
        assert_eq!(RingSize::from_bytes(BLOCK + 1).bytes(), 2 * BLOCK);
        assert_eq!(RingSize::from_bytes(usize::MAX).bytes(), 256 << 20);
        assert_eq!(RingSize::from_bytes(RingSize::DEFAULT.bytes()), RingSize::DEFAULT);
    }
}
