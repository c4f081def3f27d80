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

/// Who is the first to make room in a full set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weakest {
    pub(super) way: usize,
    /// How far it has come; 0: it only rests.
    pub(super) stage: u8,
}

impl Weakest {
    /// What stands in front comes first.
    const PLACES: [u64; WAYS] = [8, 7, 6, 5, 4, 3, 2, 1];

    /// What orders them: of whose stage there are most, then who has come less far, then who began long ago, then who
    /// stands in front.
    fn order(place: u64, stage: u8, age: u32, crowd: u64) -> u64 {
        crowd << 48 | u64::from(!stage) << 40 | u64::from(age) << 8 | place
    }

    /// Whom an order is of.
    fn ordered(order: u64) -> Self {
        let [place, _, _, _, _, stage, ..] = order.to_le_bytes();
        Self { way: WAYS.saturating_sub(usize::from(place)), stage: !stage }
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

    /// Of a set without a free way: who makes room first, as long as nobody is over time. Who rests; else the oldest of
    /// the stage that most are at, of stages with as many the lower. So whoever floods the table pushes out
    /// his own, and nobody from a stage that he cannot reach.
    pub(super) fn weakest(&self, now: Nanos) -> Weakest {
        if self.has_advanced() {
            self.first(now, |stage| self.crowd(stage))
        } else {
            // Who rests has come less far than who has made one step, and nobody else is here.
            self.first(now, |_| 0)
        }
    }

    fn first(&self, now: Nanos, crowd: impl Fn(u8) -> u64) -> Weakest {
        let now = coarse(now);
        let heads = self.stages.iter().zip(&self.started).zip(Weakest::PLACES);
        let order = heads.fold(0, |first, ((stage, started), place)| {
            first.max(Weakest::order(place, *stage, now.wrapping_sub(*started), crowd(*stage)))
        });
        Weakest::ordered(order)
    }

    /// How many are at a stage; of resting ones more than there can be.
    fn crowd(&self, stage: u8) -> u64 {
        if stage == 0 {
            return u64::from(u8::MAX);
        }
        self.stages.iter().map(|other| u64::from(*other == stage)).sum()
    }

    /// Whether somebody has made more than one step. All stages as one number: most often there is nobody, and that
    /// takes one look.
    const fn has_advanced(&self) -> bool {
        u64::from_le_bytes(self.stages) & !0x0101_0101_0101_0101 != 0
    }

    /// The way most likely to be read next for a source with this tag: its own, else the one that has to make room. `None`:
    /// a free one is only written.
    pub(super) fn likely(&self, tag: u16, now: Nanos) -> Option<usize> {
        self.ways_with(tag).next().or_else(|| match self.ways_with(0).next() {
            Some(_) => None,
            None => Some(self.weakest(now).way),
        })
    }

    /// Of a set without a free way: those who have made more than one step.
    pub(super) fn advanced(&self) -> impl Iterator<Item = usize> {
        let stages = if self.has_advanced() { &self.stages[..] } else { &[] };
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

    /// The way and the stage of who makes room first, at 90 milliseconds.
    fn weakest(ways: [(u8, Nanos); WAYS]) -> (usize, u8) {
        let Weakest { way, stage } = heads(ways).weakest(90 * MILLISECOND);
        (way, stage)
    }

    #[test]
    fn who_rests_makes_room_first_then_the_oldest_of_one_step() {
        let further = (2, 1);
        assert_eq!(weakest([(1, 5), (1, 4), (1, 3), (1, 6), further, (1, 3), (1, 9), (1, 8)]), (2, 1));
        assert_eq!(weakest([(1, 5), (1, 4), (1, 3), (0, 80), (1, 1), (0, 70), (0, 70), (1, 8)]), (5, 0));
        assert_eq!(weakest([further, further, further, (0, 80), further, (0, 70), (1, 3), (1, 8)]), (5, 0));
        assert_eq!(weakest([further, further, further, further, further, further, further, (0, 8)]), (7, 0));
    }

    #[test]
    fn the_stage_that_most_are_at_makes_room_and_of_two_the_lower() {
        let (one, two, three) = ((1, 9), (2, 8), (3, 7));
        assert_eq!(weakest([two, two, two, (2, 5), two, two, two, one]), (3, 2));
        assert_eq!(weakest([two, two, two, two, (2, 5), one, one, one]), (4, 2));
        assert_eq!(weakest([two, two, (2, 5), two, one, one, one, one]), (4, 1), "as many of both");
        assert_eq!(weakest([three, three, three, two, two, two, one, one]), (3, 2));
        assert_eq!(weakest([three, three, three, two, two, one, one, one]), (5, 1));
        assert_eq!(weakest([(8, 1), (7, 1), (6, 1), (5, 1), (4, 1), three, two, one]), (7, 1));
        assert_eq!(weakest([(u8::MAX, 6); WAYS]), (0, u8::MAX));
    }

    #[test]
    fn age_goes_on_where_the_coarse_clock_begins_anew() {
        let around = Nanos::from(u32::MAX);
        let mut heads = heads([(1, around); WAYS]);
        heads.note(3, 7, 1, (around - 2) * MILLISECOND);
        heads.note(4, 7, 1, (around + 2) * MILLISECOND);
        assert_eq!(heads.weakest((around + 3) * MILLISECOND).way, 3);
    }

    #[test]
    fn those_who_have_advanced_are_found_among_the_others() {
        for stage in [2, 3, 32, u8::MAX] {
            let ways = [(1, 1), (stage, 1), (0, 1), (1, 1), (1, 1), (stage, 1), (0, 1), (1, 1)];
            assert!(heads(ways).advanced().eq([1, 5]), "{stage}");
        }
        assert_eq!(heads([(1, 1); WAYS]).advanced().count(), 0);
    }
}
