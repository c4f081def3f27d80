//! What the worker counts, as it tells the monitor: numbers in a fixed order, in pages of one message each (spec/ipc.md).
//!
//! The monitor shows them and believes nothing of them: a worker that lies spoils numbers and nothing else.

use aldaba_gate::knock::Displaced;
use aldaba_gate::packet::Refused;
use aldaba_gate::spa::Refusal;
use aldaba_gate::{Counters, Dropped};

/// Numbers in a page.
pub const PAGE: usize = 15;
/// Pages there are; all are told of one question.
pub const PAGES: u8 = 4;

/// All that the worker counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// What became of frames and datagrams.
    pub gate: Counters,
    /// Attempts at sequences under way.
    pub attempts: u64,
    /// How many there is room for.
    pub attempts_room: u64,
    /// Attempts that were in time and had to make room for others.
    pub displaced: Displaced,
    /// Networks of admitted devices that are remembered, of the lock that has most.
    pub networks: u64,
    /// Messages that wait for room in the channel.
    pub waiting: u64,
    /// Microseconds for which nothing is known to be new, after a lost replay store.
    pub guard_left: u64,
}

impl Counts {
    /// The numbers of a page; what is behind the last one is zero.
    #[must_use]
    pub fn page(&self, page: u8) -> [u64; PAGE] {
        let (mut values, mut copy) = ([0; PAGE], *self);
        for (value, field) in values.iter_mut().zip(copy.fields().skip(first_of(page))) {
            *value = *field;
        }
        values
    }

    /// Takes the numbers of a page over.
    pub fn put(&mut self, page: u8, values: &[u64; PAGE]) {
        for (value, field) in values.iter().zip(self.fields().skip(first_of(page))) {
            *field = *value;
        }
    }

    /// All numbers in their order: that of the specification.
    fn fields(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { gate, attempts, attempts_room, displaced, networks, waiting, guard_left } = self;
        let Displaced { all, advanced: further } = displaced;
        let Counters { frames, refused, dropped, invisible, started, advanced, completed, .. } = gate;
        let (broken, ignored) = (&mut gate.broken, &mut gate.ignored);
        let frames = [frames, refused, dropped, invisible, started, advanced, completed];
        let datagrams = [&mut gate.datagrams, &mut gate.admitted, &mut gate.foreign];
        let rest = [attempts, attempts_room, all, further, networks, waiting, guard_left];
        frames
            .into_iter()
            .chain([broken, ignored])
            .chain(&mut gate.dropped_by)
            .chain(&mut gate.refused_by)
            .chain(datagrams)
            .chain(&mut gate.rejected_by)
            .chain(rest)
    }
}

/// So many numbers there are.
const FIELDS: usize = 9 + Dropped::COUNT + Refused::COUNT + 3 + Refusal::COUNT + 7;
const _: () = assert!(FIELDS == PAGE * 4 && PAGES == 4, "the pages hold all numbers");

fn first_of(page: u8) -> usize {
    usize::from(page).saturating_mul(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_place_in_one_page() {
        let mut counts = Counts::default();
        assert_eq!(counts.fields().count(), FIELDS);
        for (number, field) in (1..).zip(counts.fields()) {
            *field = number;
        }
        let mut told = Counts::default();
        for page in (0..PAGES).rev() {
            told.put(page, &counts.page(page));
        }
        assert_eq!(told, counts);
        assert_eq!(counts.page(0)[..3], [1, 2, 3]);
        assert_eq!(counts.page(2)[..4], [31, 32, 33, 34]);
        assert_eq!(counts.page(PAGES - 1)[PAGE - 1], 60);
        assert_eq!((counts.gate.datagrams, counts.gate.rejected_by[0], counts.attempts), (30, 33, 54));
        // There is no further page.
        assert_eq!(counts.page(PAGES), [0; PAGE]);
        told.put(PAGES, &[9; PAGE]);
        assert_eq!(told, counts);
    }
}
