//! The table of sources: fixed size, eight ways, keyed. Spec: spec/knock.md, "The table".
//!
//! An entry is one cache line and belongs to one source in one group; one more line for each set holds what is needed
//! to find and to choose among its eight. It is *under way* (stage 1 and up) or *resting*
//! (stage 0): nothing is under way, and the entry only remembers which segments have counted, so that a
//! retransmission of the last of them does not count again.

mod heads;

use std::net::IpAddr;
use std::num::NonZeroU64;

use siphasher::sip::SipHasher13;

use self::heads::Heads;
use super::Tracker;
use super::plan::{GroupId, Nanos, NodeId};
use crate::{Displaced, Limits, TrackerError};

const WAYS: usize = 8;

/// How many of the last segments that counted an entry remembers.
pub(crate) const MARKS: usize = 3;

/// How long a resting entry remembers the segments that counted: with common settings the last retransmission of a
/// SYN comes 63 s after the first.
pub(super) const REST: Nanos = 64_000_000_000;

/// One source in one group.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) source: IpAddr,
    pub(super) stage: u8,
    pub(super) group: GroupId,
    pub(super) node: NodeId,
    /// When it began; of a resting entry, when it came to rest.
    pub(super) started: Nanos,
    /// Time limits below this have been reported as run out.
    pub(super) reported: Nanos,
    marks: [Option<NonZeroU64>; MARKS],
}

const _: () = assert!(size_of::<Entry>() == 64, "an entry is one cache line");

impl Entry {
    pub(super) const fn resting(source: IpAddr, group: GroupId, root: NodeId, now: Nanos) -> Self {
        Self { source, stage: 0, group, node: root, started: now, reported: 0, marks: [None; MARKS] }
    }

    pub(super) const fn is_resting(&self) -> bool {
        self.stage == 0
    }

    /// Whether a segment with this mark has counted already.
    pub(super) fn remembers(&self, mark: Option<NonZeroU64>) -> bool {
        mark.is_some() && self.marks.contains(&mark)
    }

    /// Remembers a segment that counts, in place of the oldest.
    pub(super) fn remember(&mut self, mark: Option<NonZeroU64>) {
        if mark.is_some() {
            self.marks.rotate_right(1);
            if let Some(newest) = self.marks.first_mut() {
                *newest = mark;
            }
        }
    }
}

/// Where a source's entries can be: its hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Home(u64);

impl Home {
    /// A part of the hash that does not choose the set, so that a set is searched without a look at the entries.
    fn tag(self) -> u16 {
        let [.., low, high] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high]).max(1)
    }
}

/// An entry's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// Room for an entry that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free(Slot),
    /// Whoever is there has to go.
    Displace(Slot),
}

/// All entries.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Entry>,
    sets: Vec<Heads>,
    /// Number of sets - 1; the number is a power of two.
    mask: u64,
    hasher: SipHasher13,
    under_way: usize,
    displaced: Displaced,
}

impl Table {
    pub(super) fn new(limits: Limits, key: [u8; 16]) -> Result<Self, TrackerError> {
        if limits.entries > Limits::MAX_ENTRIES {
            return Err(TrackerError::TooManyEntries);
        }
        let entries = limits.entries.max(Limits::MIN_ENTRIES).next_power_of_two();
        let sets = entries / WAYS;
        let nobody = Entry::resting(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0, 0, 0);
        Ok(Self {
            entries: vec![nobody; entries],
            sets: vec![Heads::default(); sets],
            mask: u64::try_from(sets.saturating_sub(1)).unwrap_or(0),
            hasher: SipHasher13::new_with_key(&key),
            under_way: 0,
            displaced: Displaced::default(),
        })
    }

    pub(super) fn home(&self, source: IpAddr) -> Home {
        Home(match source {
            IpAddr::V4(v4) => self.hasher.hash(&v4.octets()),
            IpAddr::V6(v6) => self.hasher.hash(&v6.octets()),
        })
    }

    pub(super) fn find(&self, home: Home, source: IpAddr, group: GroupId) -> Option<Slot> {
        let set = self.set(home, group);
        let is_it = |slot: &Slot| {
            self.entries.get(slot.0).is_some_and(|entry| entry.group == group && entry.source == source)
        };
        self.sets.get(set)?.ways_with(home.tag()).map(|way| slot(set, way)).find(is_it)
    }

    /// Looks at the sets of these sources, then at the entries that are theirs or have to make room for them. Nothing is
    /// done with what is seen, so that no look waits for another and the memory is fetched side by side.
    pub(super) fn read_ahead(&self, homes: &[Home], group: GroupId, now: Nanos) {
        let mut seen = 0;
        for home in homes {
            seen ^= self.sets.get(self.set(*home, group)).map_or(0, |heads| heads.tag(0));
        }
        let mut slots = [0; Tracker::AHEAD];
        for (place, home) in slots.iter_mut().zip(homes) {
            let set = self.set(*home, group);
            let way = self.sets.get(set).and_then(|heads| heads.likely(home.tag(), now));
            *place = way.map_or(0, |way| slot(set, way).0);
        }
        for slot in slots {
            seen ^= self.entries.get(slot).map_or(0, |entry| u16::from(entry.stage));
        }
        std::hint::black_box(seen);
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0)
    }

    /// An entry, to be changed in anything but its stage and start.
    pub(super) fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0)
    }

    /// Room for a new attempt: a free way; else who only rests; else who has advanced and is over time; else the
    /// oldest of the stage that most are at. Where that one has advanced, nobody makes room before who is over time.
    pub(super) fn room(
        &self,
        home: Home,
        group: GroupId,
        now: Nanos,
        is_over: impl Fn(&Entry) -> bool,
    ) -> Option<Room> {
        let set = self.set(home, group);
        let heads = self.sets.get(set)?;
        if let Some(free) = heads.ways_with(0).next() {
            return Some(Room::Free(slot(set, free)));
        }
        let over = |way: &usize| self.entries.get(slot(set, *way).0).is_some_and(&is_over);
        let weakest = heads.weakest(now);
        let over_time = match weakest.stage {
            0 => None,
            1 => heads.advanced().find(over),
            _ => (0..WAYS).find(over),
        };
        Some(Room::Displace(slot(set, over_time.unwrap_or(weakest.way))))
    }

    /// Writes an entry, over whoever is there.
    pub(super) fn put(&mut self, slot: Slot, home: Home, entry: Entry) {
        let (Some(heads), Some(place)) = (self.sets.get_mut(slot.0 / WAYS), self.entries.get_mut(slot.0))
        else {
            return;
        };
        let way = slot.0 % WAYS;
        self.under_way = self
            .under_way
            .saturating_sub(usize::from(heads.is_under_way(way)))
            .saturating_add(usize::from(!entry.is_resting()));
        heads.note(way, home.tag(), entry.stage, entry.started);
        *place = entry;
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(heads) = self.sets.get_mut(slot.0 / WAYS) else { return };
        let way = slot.0 % WAYS;
        self.under_way = self.under_way.saturating_sub(usize::from(heads.is_under_way(way)));
        heads.free(way);
    }

    /// Takes an entry that is under way further.
    pub(super) fn advance(&mut self, slot: Slot, node: NodeId, stage: u8) {
        if let Some(entry) = self.entries.get_mut(slot.0) {
            (entry.node, entry.stage) = (node, stage);
        }
        if let Some(heads) = self.sets.get_mut(slot.0 / WAYS) {
            heads.set_stage(slot.0 % WAYS, stage);
        }
    }

    /// Brings an entry to rest.
    pub(super) fn rest(&mut self, slot: Slot, root: NodeId, now: Nanos) {
        let Some(entry) = self.entries.get_mut(slot.0) else { return };
        let was_under_way = !entry.is_resting();
        (entry.stage, entry.node, entry.started, entry.reported) = (0, root, now, 0);
        self.under_way = self.under_way.saturating_sub(usize::from(was_under_way));
        if let Some(heads) = self.sets.get_mut(slot.0 / WAYS) {
            let way = slot.0 % WAYS;
            heads.note(way, heads.tag(way), 0, now);
        }
    }

    pub(super) fn count_displaced(&mut self, stage: u8) {
        let Displaced { all, advanced } = &mut self.displaced;
        *all = all.saturating_add(1);
        *advanced = advanced.saturating_add(u64::from(stage > 1));
    }

    pub(super) const fn displaced(&self) -> Displaced {
        self.displaced
    }

    pub(super) const fn room_for(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn clear(&mut self) {
        self.sets.fill(Heads::default());
        self.under_way = 0;
    }

    pub(super) const fn sets(&self) -> usize {
        self.sets.len()
    }

    /// The taken ways of a set.
    pub(super) fn taken_in(&self, set: usize) -> impl Iterator<Item = Slot> + use<> {
        let taken = self.sets.get(set).map(Heads::taken);
        taken.into_iter().flatten().map(move |way| slot(set, way))
    }

    /// Groups of one source live in different sets, so that many groups do not crowd one.
    pub(super) fn set(&self, home: Home, group: GroupId) -> usize {
        let spread = u64::from(group).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(home.0.wrapping_add(spread) & self.mask).unwrap_or(0)
    }
}

const fn slot(set: usize, way: usize) -> Slot {
    Slot(set.saturating_mul(WAYS).saturating_add(way))
}
