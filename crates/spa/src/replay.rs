//! The replay rule: each time of a device's clock is accepted once. spec/spa.md, section 9.
//!
//! A [`Record`] answers questions and makes its successor; keeping that durable before anything is acted on is its owner's.

use std::time::Duration;

use crate::{Refusal, Timestamp};

/// The most times a record holds apart from its floor.
const RECENT: usize = 16;

/// How far a device's clock may differ, and how late a datagram may come after a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The oldest request taken.
    pub past: Duration,
    /// The furthest ahead one may be.
    pub future: Duration,
    /// How much older than the newest accepted request one may be that is new itself.
    pub slack: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            past: Duration::from_secs(60),
            future: Duration::from_secs(60),
            slack: Duration::from_millis(400),
        }
    }
}

/// What is remembered of a device's requests: nothing at or below the floor is new, nor what is recent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Record {
    floor: u64,
    /// Ascending; all above the floor.
    recent: [u64; RECENT],
    len: usize,
}

/// Bytes that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the replay record is damaged")]
pub struct RecordError;

impl Record {
    /// A record that takes nothing up to `floor`.
    #[must_use]
    pub fn above(floor: Timestamp) -> Self {
        Self { floor: floor.0, ..Self::default() }
    }

    /// Nothing at or before this is new.
    #[must_use]
    pub const fn floor(&self) -> Timestamp {
        Timestamp(self.floor)
    }

    /// The newest time accepted, or the floor.
    #[must_use]
    pub fn newest(&self) -> Timestamp {
        Timestamp(self.recent().last().copied().unwrap_or(self.floor))
    }

    fn recent(&self) -> &[u64] {
        self.recent.get(..self.len).unwrap_or_default()
    }

    /// Rules R1 to R3 for a request of `time` at `now`; changes nothing.
    pub fn check(&self, window: &Window, now: Timestamp, time: Timestamp) -> Result<(), Refusal> {
        if time < now.before(window.past) || time > now.after(window.future) {
            return Err(Refusal::Clock { offset: time.offset_from(now), used: time.0 <= self.floor });
        }
        if time.0 <= self.floor {
            return Err(Refusal::Old);
        }
        if self.recent().contains(&time.0) {
            return Err(Refusal::Replay);
        }
        Ok(())
    }

    /// The record that follows when a request of `time`, which passed [`Record::check`], is accepted.
    #[must_use]
    pub fn accept(&self, window: &Window, time: Timestamp) -> Self {
        self.accept_within(RECENT, window, time)
    }

    /// The same for a record of at most `most` times.
    fn accept_within(&self, most: usize, window: &Window, time: Timestamp) -> Self {
        let mut times: Vec<u64> = self.recent().to_vec();
        if let Err(at) = times.binary_search(&time.0) {
            times.insert(at, time.0);
        }
        let newest = times.last().copied().unwrap_or_default();
        let mut floor = self.floor.max(Timestamp(newest).before(window.slack).0.saturating_sub(1));
        if times.len() > most {
            floor = floor.max(times.first().copied().unwrap_or_default());
        }
        times.retain(|time| *time > floor);
        let mut next = Self { floor, len: times.len(), ..Self::default() };
        next.recent.iter_mut().zip(times).for_each(|(to, from)| *to = from);
        next
    }

    /// Its bytes in a store: the floor, then the recent times, each 8 bytes, big-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let times = std::iter::once(&self.floor).chain(self.recent());
        times.flat_map(|time| time.to_be_bytes()).collect()
    }

    /// Reads [`Record::encode`]'s bytes, and no others.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (times, []) = bytes.as_chunks::<8>() else { return Err(RecordError) };
        let (floor, recent) = times.split_first().ok_or(RecordError)?;
        let mut record = Self { floor: u64::from_be_bytes(*floor), len: recent.len(), ..Self::default() };
        let slots = record.recent.get_mut(..recent.len()).ok_or(RecordError)?;
        let mut last = record.floor;
        for (slot, time) in slots.iter_mut().zip(recent) {
            let time = u64::from_be_bytes(*time);
            if time <= last {
                return Err(RecordError);
            }
            last = time;
            *slot = time;
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
