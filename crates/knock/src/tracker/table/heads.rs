//! The heads of a set: what must be known of its eight entries to find one and to choose one, in one cache line.

use super::{Nanos, WAYS};

/// A tag of 0 says that nobody is there.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    /// Time in steps of about a millisecond, wrapping around after 52 days.
    started: u32,
    tag: u16,
    stage: u8,
}

/// The heads of one set.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Heads([Head; WAYS]);

const _: () = assert!(size_of::<Heads>() == 64, "one cache line");

fn coarse(time: Nanos) -> u32 {
    let [low @ .., _, _, _, _] = (time >> 20).to_le_bytes();
    u32::from_le_bytes(low)
}

impl Heads {
    pub(super) fn note(&mut self, way: usize, tag: u16, stage: u8, started: Nanos) {
        if let Some(head) = self.0.get_mut(way) {
            *head = Head { started: coarse(started), tag, stage };
        }
    }

    pub(super) fn set_stage(&mut self, way: usize, stage: u8) {
        if let Some(head) = self.0.get_mut(way) {
            head.stage = stage;
        }
    }

    pub(super) fn free(&mut self, way: usize) {
        if let Some(head) = self.0.get_mut(way) {
            *head = Head::default();
        }
    }

    /// The tag of who rests or steps here, 0 for nobody.
    pub(super) fn tag(&self, way: usize) -> u16 {
        self.0.get(way).map_or(0, |head| head.tag)
    }

    pub(super) fn ways_with(&self, tag: u16) -> impl Iterator<Item = usize> {
        (0..).zip(self.0).filter(move |(_, head)| head.tag == tag).map(|(way, _)| way)
    }

    pub(super) fn taken(&self) -> impl Iterator<Item = usize> + use<> {
        (0..).zip(self.0).filter(|(_, head)| head.tag != 0).map(|(way, _)| way)
    }

    /// The oldest of those at a stage.
    pub(super) fn oldest_at(&self, stage: u8, now: Nanos) -> Option<usize> {
        let now = coarse(now);
        let at_stage = (0..).zip(&self.0).filter(|(_, head)| head.tag != 0 && head.stage == stage);
        at_stage
            .max_by_key(|(way, head)| (now.wrapping_sub(head.started), WAYS.saturating_sub(*way)))
            .map(|(way, _)| way)
    }

    /// The way most likely to be read next for a source with this tag: its own, else the one that has to make room. `None`:
    /// a free one is only written.
    pub(super) fn likely(&self, tag: u16, now: Nanos) -> Option<usize> {
        self.ways_with(tag).next().or_else(|| match self.ways_with(0).next() {
            Some(_) => None,
            None => self.oldest_at(1, now),
        })
    }

    /// Those who have made more than one step.
    pub(super) fn further(&self) -> impl Iterator<Item = usize> {
        (0..).zip(&self.0).filter(|(_, head)| head.stage > 1).map(|(way, _)| way)
    }
}
