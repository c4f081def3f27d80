//! Tags seen lately, so that a repeated datagram costs a lookup and no key agreement. spec/spa.md, section 8, steps 3 and 10.
//!
//! It saves work; the replay rule does not rest on it.

use std::collections::HashSet;
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// Tags a generation holds.
const GENERATION: usize = 32_768;

type Tag = [u8; 16];

/// The last 32,768 to 65,536 tags, in two generations.
pub(crate) struct Seen {
    young: HashSet<Tag, Keyed>,
    old: HashSet<Tag, Keyed>,
}

impl Seen {
    /// An empty one. `key` makes the hash unpredictable: whoever knows the gate chooses tags.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let generation = || HashSet::with_capacity_and_hasher(GENERATION, Keyed(key));
        Self { young: generation(), old: generation() }
    }

    pub(crate) fn contains(&self, tag: &Tag) -> bool {
        self.young.contains(tag) || self.old.contains(tag)
    }

    pub(crate) fn insert(&mut self, tag: Tag) {
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            // Keeps its memory.
            self.young.clear();
        }
        self.young.insert(tag);
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
    }
}
