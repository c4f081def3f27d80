//! The heads of a set: what must be known of its eight entries to find one and to choose one, in one cache line.

mod tags;

use self::tags::{Tags, Ways};
use super::{Nanos, WAYS};

/// The heads of one set, by what is asked of them: each list is looked through as a whole.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Heads {
    /// A tag of 0 says that nobody is there.
    tags: Tags,
    /// Time in steps of about a millisecond, wrapping around after 52 days.
    started: [u32; WAYS],
    stages: [u8; WAYS],
}

const _: () = assert!(size_of::<Heads>() == 64, "one cache line");

fn coarse(time: Nanos) -> u32 {
    let [low @ .., _, _, _, _] = (time >> 20).to_le_bytes();
    u32::from_le_bytes(low)
}

/// Who is the first to make room in a full set, among those who have not come further than one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weakest {
    pub(super) way: usize,
    /// It only rests.
    pub(super) rests: bool,
}

impl Weakest {
    /// What stands in front comes first.
    const PLACES: [u64; WAYS] = [8, 7, 6, 5, 4, 3, 2, 1];

    /// What orders them: who rests, then who began long ago, then who stands in front. More than 0.
    fn order(place: u64, stage: u8, age: u32) -> u64 {
        u64::from(stage == 0) << 40 | u64::from(age) << 8 | place
    }

    /// Whom an order is of.
    fn ordered(order: u64) -> Self {
        let [place, _, _, _, _, rests, ..] = order.to_le_bytes();
        Self { way: WAYS.saturating_sub(usize::from(place)), rests: rests != 0 }
    }
}

impl Heads {
    pub(super) fn note(&mut self, way: usize, tag: u16, stage: u8, started: Nanos) {
        self.tags.set(way, tag);
        if let (Some(its_start), Some(its_stage)) = (self.started.get_mut(way), self.stages.get_mut(way)) {
            (*its_start, *its_stage) = (coarse(started), stage);
        }
    }

    pub(super) fn set_stage(&mut self, way: usize, stage: u8) {
        if let Some(its_stage) = self.stages.get_mut(way) {
            *its_stage = stage;
        }
    }

    pub(super) fn free(&mut self, way: usize) {
        self.tags.set(way, 0);
    }

    /// Whether somebody is here with an attempt under way.
    pub(super) fn is_under_way(&self, way: usize) -> bool {
        self.tag(way) != 0 && self.stages.get(way).is_some_and(|stage| *stage > 0)
    }

    /// The tag of who rests or steps here, 0 for nobody.
    pub(super) fn tag(&self, way: usize) -> u16 {
        self.tags.at(way)
    }

    pub(super) fn ways_with(&self, tag: u16) -> Ways {
        self.tags.ways_with(tag)
    }

    pub(super) fn taken(&self) -> Ways {
        self.tags.taken()
    }

    /// Of a set without a free way: who makes room first, unless it is one of those who have come further.
    pub(super) fn weakest(&self, now: Nanos) -> Option<Weakest> {
        let now = coarse(now);
        let heads = self.stages.iter().zip(&self.started).zip(Weakest::PLACES);
        let order = heads.fold(0, |first, ((stage, started), place)| {
            let order = Weakest::order(place, *stage, now.wrapping_sub(*started));
            first.max(if *stage > 1 { 0 } else { order })
        });
        (order > 0).then(|| Weakest::ordered(order))
    }

    /// The way most likely to be read next for a source with this tag: its own, else the one that has to make room. `None`:
    /// a free one is only written.
    pub(super) fn likely(&self, tag: u16, now: Nanos) -> Option<usize> {
        self.ways_with(tag).next().or_else(|| match self.ways_with(0).next() {
            Some(_) => None,
            None => self.weakest(now).map(|weakest| weakest.way),
        })
    }

    /// Of a set without a free way: those who have made more than one step.
    pub(super) fn further(&self) -> impl Iterator<Item = usize> {
        // All stages as one number: most often there is nobody, and that takes one look.
        let anybody = u64::from_le_bytes(self.stages) & !0x0101_0101_0101_0101 != 0;
        let stages = if anybody { &self.stages[..] } else { &[] };
        (0..).zip(stages).filter(|(_, stage)| **stage > 1).map(|(way, _)| way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1 << 20;

    /// A full set: of each way its stage, and when it began, in milliseconds.
    fn heads(ways: [(u8, Nanos); WAYS]) -> Heads {
        let mut heads = Heads::default();
        for (way, (stage, started)) in (0..).zip(ways) {
            heads.note(way, 7, stage, started * MILLISECOND);
        }
        heads
    }

    #[test]
    fn who_rests_makes_room_first_then_the_oldest_of_one_step() {
        let weakest = |ways| heads(ways).weakest(90 * MILLISECOND).map(|Weakest { way, rests }| (way, rests));
        let further = (2, 1);
        assert_eq!(
            weakest([(1, 5), (1, 4), (1, 3), (1, 6), further, (1, 3), (1, 9), (1, 8)]),
            Some((2, false))
        );
        assert_eq!(
            weakest([(1, 5), (1, 4), (1, 3), (0, 80), further, (0, 70), (0, 70), (1, 8)]),
            Some((5, true))
        );
        assert_eq!(
            weakest([further, further, further, further, further, further, further, (1, 8)]),
            Some((7, false))
        );
        assert_eq!(weakest([further; WAYS]), None);
    }

    #[test]
    fn age_goes_on_where_the_coarse_clock_begins_anew() {
        let around = Nanos::from(u32::MAX);
        let mut heads = heads([(1, around); WAYS]);
        heads.note(3, 7, 1, (around - 2) * MILLISECOND);
        heads.note(4, 7, 1, (around + 2) * MILLISECOND);
        assert_eq!(heads.weakest((around + 3) * MILLISECOND).map(|weakest| weakest.way), Some(3));
    }

    #[test]
    fn those_who_have_come_further_are_found_among_the_others() {
        for stage in [2, 3, 32, u8::MAX] {
            let ways = [(1, 1), (stage, 1), (0, 1), (1, 1), (1, 1), (stage, 1), (0, 1), (1, 1)];
            assert!(heads(ways).further().eq([1, 5]), "{stage}");
        }
        assert_eq!(heads([(1, 1); WAYS]).further().count(), 0);
    }
}
