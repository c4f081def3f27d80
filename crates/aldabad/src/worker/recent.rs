//! What was refused lately: for an administrator who asks why, and for nobody else.
//!
//! A table of fixed size without allocation. A datagram's name says where it is noted, so that one that comes again costs one
//! look and takes no second place: whoever sends captured datagrams again and again drives nothing else out.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_gate::spa::{KnockId, Refusal};

use crate::control::About;

/// Places for names that share their first bits.
const WAYS: usize = 4;
/// Groups of such places.
const SETS: usize = 512;
/// Sources of datagrams without a name that are remembered.
const FOREIGN: usize = 64;
/// The most that is told of one address.
const TOLD: usize = 16;

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    /// The datagram's name.
    pub id: KnockId,
    /// When that was.
    pub at: Duration,
    /// Where it came from.
    pub from: IpAddr,
    /// Why it was refused.
    pub refusal: Refusal,
    /// Whose it claims to be.
    pub device: Option<[u8; 32]>,
    /// How often it came again.
    pub again: u32,
}

/// What is remembered.
#[derive(Debug)]
pub(super) struct Recent {
    /// None, or as many as there are groups.
    sets: Vec<[Option<Noted>; WAYS]>,
    foreign: [Option<(IpAddr, Duration)>; FOREIGN],
    next_foreign: usize,
}

/// Without room: where no datagram is heard, none is refused.
impl Default for Recent {
    fn default() -> Self {
        Self { sets: Vec::new(), foreign: [None; FOREIGN], next_foreign: 0 }
    }
}

impl Recent {
    /// Makes the room there is from then on.
    pub(super) fn make_room(&mut self) {
        self.sets.resize(SETS, [None; WAYS]);
    }

    /// Notes a refusal, in place of the oldest of its group.
    pub(super) fn note(&mut self, noted: Noted) {
        let Some(set) = self.sets.get_mut(index(noted.id)) else { return };
        if let Some(before) = set.iter_mut().flatten().find(|before| before.id == noted.id) {
            // What it was refused for at first is what its sender wants to know.
            let keeps = noted.refusal == Refusal::Repeated;
            let again = before.again.saturating_add(1);
            *before = if keeps { Noted { again, ..*before } } else { Noted { again, ..noted } };
            return;
        }
        // An empty place comes before the oldest.
        if let Some(place) = set.iter_mut().min_by_key(|place| place.map(|noted| noted.at)) {
            *place = Some(noted);
        }
    }

    /// Notes where a datagram came from that has no name.
    pub(super) fn note_foreign(&mut self, now: Duration, from: IpAddr) {
        if let Some(place) = self.foreign.get_mut(self.next_foreign) {
            *place = Some((from, now));
        }
        self.next_foreign = self.next_foreign.wrapping_add(1) % FOREIGN;
    }

    /// What is remembered of this, oldest first.
    pub(super) fn of(&self, about: About) -> Vec<Noted> {
        let mut found: Vec<Noted> = match about {
            About::Id(id) => {
                let set = self.sets.get(index(id));
                set.into_iter().flatten().flatten().filter(|noted| noted.id == id).copied().collect()
            }
            About::Address(address) => {
                let all = self.sets.iter().flatten().flatten();
                all.filter(|noted| noted.from == address).copied().collect()
            }
        };
        found.sort_by_key(|noted| noted.at);
        found.split_off(found.len().saturating_sub(TOLD))
    }

    /// When the last datagram without a name came, from this address if one is asked for.
    pub(super) fn last_foreign(&self, about: About) -> Option<Duration> {
        let concerns = |from| match about {
            About::Address(address) => address == from,
            About::Id(_) => true,
        };
        self.foreign.iter().flatten().filter(|(from, _)| concerns(*from)).map(|(_, at)| *at).max()
    }
}

/// Names are outputs of a keyed hash: their first bits are as good as any.
fn index(KnockId([first, second, ..]): KnockId) -> usize {
    usize::from(u16::from_be_bytes([first, second])) % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(id: u64, at: u64, refusal: Refusal) -> Noted {
        let from = if id.is_multiple_of(2) { [192, 0, 2, 2] } else { [192, 0, 2, 1] };
        let id = KnockId(id.to_be_bytes());
        Noted { id, at: Duration::from_secs(at), from: from.into(), refusal, device: None, again: 0 }
    }

    fn roomy() -> Recent {
        let mut recent = Recent::default();
        recent.make_room();
        recent
    }

    #[test]
    fn one_that_comes_again_keeps_its_first_reason_and_its_place() {
        let mut recent = roomy();
        let clock = Refusal::Clock { offset: -4, used: false };
        recent.note(noted(9, 1, clock));
        for at in 2..1000 {
            recent.note(noted(9, at, Refusal::Repeated));
        }
        let found = recent.of(About::Id(KnockId(9_u64.to_be_bytes())));
        assert_eq!(found, [Noted { again: 998, ..noted(9, 1, clock) }]);
        // One that was turned away for want of budget is looked at the next time.
        recent.note(noted(7, 1, Refusal::Budget));
        recent.note(noted(7, 2, Refusal::Door));
        let found = recent.of(About::Id(KnockId(7_u64.to_be_bytes())));
        assert_eq!(found, [Noted { again: 1, ..noted(7, 2, Refusal::Door) }]);
    }

    #[test]
    fn the_oldest_of_a_group_makes_room() {
        let mut recent = roomy();
        for (id, at) in [(1, 10), (2, 5), (3, 20), (4, 30), (5, 40)] {
            recent.note(noted(id, at, Refusal::Tag));
        }
        let is_there = |id: u64| !recent.of(About::Id(KnockId(id.to_be_bytes()))).is_empty();
        assert_eq!([1, 2, 3, 4, 5].map(is_there), [true, false, true, true, true]);
    }

    #[test]
    fn of_an_address_the_last_ones_are_told_in_their_order() {
        let mut recent = roomy();
        for n in 0..60 {
            recent.note(noted((n << 48) | (n % 2), n, Refusal::Door));
        }
        let found = recent.of(About::Address([192, 0, 2, 1].into()));
        let at: Vec<u64> = found.iter().map(|noted| noted.at.as_secs()).collect();
        assert_eq!(at, (0..60).filter(|n| n % 2 == 1).skip(14).collect::<Vec<u64>>());
    }

    #[test]
    fn of_the_nameless_the_last_sources_are_known() {
        let mut recent = roomy();
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        recent.note_foreign(Duration::from_secs(1), one);
        recent.note_foreign(Duration::from_secs(2), other);
        assert_eq!(recent.last_foreign(About::Address(one)), Some(Duration::from_secs(1)));
        assert_eq!(recent.last_foreign(About::Id(KnockId([0; 8]))), Some(Duration::from_secs(2)));
        for _ in 0..FOREIGN {
            recent.note_foreign(Duration::from_secs(3), other);
        }
        assert_eq!(recent.last_foreign(About::Address(one)), None, "a bounded memory");
    }
}
