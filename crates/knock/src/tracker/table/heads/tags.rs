//! Eight tags that are compared with one as two numbers are, four at a time.

use super::WAYS;

/// One in each quarter of a number.
const EACH: u64 = 0x0001_0001_0001_0001;
/// All but the highest bit of each quarter.
const LOW: u64 = 0x7fff * EACH;

/// The tags of a set's ways: even ways in the quarters of the first number, odd ones in those of the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tags([u64; 2]);

/// Some ways of a set, in order: for each the lowest bit of its quarter, and for odd ones the bit beside it.
#[derive(Debug)]
pub(in crate::tracker::table) struct Ways(u64);

impl Tags {
    pub(super) fn at(self, way: usize) -> u16 {
        let [even, odd] = self.0;
        let word = if is_odd(way) { odd } else { even };
        let [low, high, ..] = (word >> quarter(way)).to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    pub(super) fn set(&mut self, way: usize, tag: u16) {
        let [even, odd] = &mut self.0;
        let word = if is_odd(way) { odd } else { even };
        *word = (*word & !(0xffff << quarter(way))) | (u64::from(tag) << quarter(way));
    }

    pub(super) fn ways_with(self, tag: u16) -> Ways {
        let wanted = u64::from(tag).wrapping_mul(EACH);
        Ways::marked(self.0.map(|word| zeros(word ^ wanted)))
    }

    /// The ways whose tag is not 0.
    pub(super) fn taken(self) -> Ways {
        Ways::marked(self.0.map(|word| EACH ^ zeros(word)))
    }
}

impl Ways {
    /// Those whose quarter's lowest bit is set.
    const fn marked([even, odd]: [u64; 2]) -> Self {
        Self(even | (odd << 1))
    }
}

/// The lowest bit of each quarter that is 0.
const fn zeros(word: u64) -> u64 {
    // The highest bit of a quarter comes to be set by its own bits alone: none carries over.
    (!((word & LOW).wrapping_add(LOW) | word) >> 15) & EACH
}

const fn is_odd(way: usize) -> bool {
    way & 1 == 1
}

/// By how many bits a way's quarter is shifted.
const fn quarter(way: usize) -> usize {
    (way % WAYS) >> 1 << 4
}

impl Iterator for Ways {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = usize::try_from(self.0.trailing_zeros()).ok()?;
        self.0 &= self.0.wrapping_sub(1);
        (bit < 64).then_some((bit >> 4 << 1) | (bit & 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_the_tag_it_was_given() {
        for tag in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
            for way in 0..WAYS {
                let mut tags = Tags::default();
                (0..WAYS).for_each(|way| tags.set(way, !tag));
                tags.set(way, tag);
                let held: Vec<u16> = (0..WAYS).map(|way| tags.at(way)).collect();
                assert_eq!(held.iter().filter(|held| **held == tag).count(), 1, "{held:x?}");
                assert!(tags.ways_with(tag).eq([way]), "{tag:x} {way}");
            }
        }
    }

    #[test]
    fn ways_come_in_order_and_none_too_many() {
        // 4 stands right above 5 in their number, and differs from it by 1.
        let all = [5, 0, 4, 6, 0x8005, 5, 5, 0];
        let mut tags = Tags::default();
        (0..).zip(all).for_each(|(way, tag)| tags.set(way, tag));
        assert!(tags.ways_with(5).eq([0, 5, 6]));
        assert!(tags.ways_with(0).eq([1, 7]));
        assert!(tags.ways_with(7).next().is_none());
        assert!(tags.taken().eq([0, 2, 3, 4, 5, 6]));
    }
}
