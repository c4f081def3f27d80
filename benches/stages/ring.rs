//! The ring by itself: frames as the kernel has put them there, shown and given back.

use aldaba_sys::capture::build::RingMemory;
use aldaba_sys::capture::{GROUP, Kept, Ring, RingSize};

use crate::frames::Captured;

/// A ring that was filled once.
#[derive(Debug)]
pub struct Walk {
    ring: Ring,
    _memory: RingMemory,
}

impl Walk {
    /// As many SYNs as a ring of the usual size holds.
    #[must_use]
    pub fn new() -> Self {
        let (size, syn) = (RingSize::usual(Kept::Headers), Captured::syn(crate::LINKS[0].1));
        let memory = RingMemory::new(size).expect("memory");
        for slot in 0..size.frames() {
            memory.put(slot, 0x0800, syn.bytes()).expect("a slot");
        }
        let ring = Ring::map(memory.try_clone().expect("another"), size).expect("mapped");
        Self { ring, _memory: memory }
    }

    /// Shows the next group, and gives it back.
    pub fn group(&mut self) -> usize {
        let mut bytes = 0;
        let batch = self.ring.poll_groups(GROUP, |views| {
            bytes += views.iter().map(|view| view.bytes.len()).sum::<usize>();
        });
        assert_eq!(batch.frames, GROUP, "the ring was walked to its end");
        bytes
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}
