//! Tags seen lately, so that a repeated datagram costs a lookup and no key agreement. spec/spa.md, section 8, steps 3 and 10.
//!
//! It saves work; the replay rule does not rest on it.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

/// Tags a generation holds: as many as a table of 32,768 places does.
const GENERATION: usize = 28_672;

type Tag = [u8; 16];

/// The last 28,672 to 57,344 tags, in two generations.
///
/// Kept is a keyed hash of each, half as long: that another tag has the same as one of them is a chance of 2^-48, and costs its
/// sender a second knock.
pub(crate) struct Seen {
    key: [u8; 16],
    young: Generation,
    old: Generation,
}

type Generation = HashSet<u64, BuildHasherDefault<Itself>>;

impl Seen {
    /// An empty one. `key` makes the hash unpredictable: whoever knows the gate chooses tags.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let generation = || Generation::with_capacity_and_hasher(GENERATION, BuildHasherDefault::default());
        Self { key, young: generation(), old: generation() }
    }

    fn hash(&self, tag: &Tag) -> u64 {
        SipHasher13::new_with_key(&self.key).hash(tag)
    }

    pub(crate) fn contains(&self, tag: &Tag) -> bool {
        let hash = self.hash(tag);
        self.young.contains(&hash) || self.old.contains(&hash)
    }

    pub(crate) fn insert(&mut self, tag: Tag) {
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            // Keeps its memory.
            self.young.clear();
        }
        self.young.insert(self.hash(&tag));
    }
}

/// The hash of what is a hash already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes keyed hashers, for tables whose keys a stranger chooses.
#[derive(Clone, Copy)]
pub(crate) struct Keyed(pub(crate) [u8; 16]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_last_generation_and_never_grows() {
        let mut seen = Seen::new([7; 16]);
        let capacity = seen.young.capacity();
        let tag = |number: usize| {
            let mut tag = [0; 16];
            tag[..8].copy_from_slice(&number.to_be_bytes());
            tag
        };
        let count = 3 * GENERATION + 5;
        for number in 0..count {
            seen.insert(tag(number));
        }
        assert!((count - GENERATION..count).all(|number| seen.contains(&tag(number))));
        assert!(!seen.contains(&tag(0)));
        assert_eq!((seen.young.capacity(), seen.old.capacity()), (capacity, capacity));
        assert_eq!(capacity, GENERATION, "and has no room that it does not use");
    }
}
