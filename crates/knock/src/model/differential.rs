//! Tracker and model side by side: whatever is done to one is done to the other, and they must say the same.

use std::net::IpAddr;
use std::time::Duration;

use super::Model;
use crate::{
    Hit, Keep, Limits, Outcome, Pattern, PatternId, ScopeId, Sequence, Sink, Step, Tracker, TrackerError,
};

/// Something a [`Sink`] was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the arguments of the method of the same name")]
pub enum Event {
    /// [`Sink::stage`].
    Stage { pattern: PatternId, source: IpAddr, stage: u8 },
    /// [`Sink::expired`].
    Expired { pattern: PatternId, source: IpAddr, stage: u8 },
    /// [`Sink::complete`].
    Complete { pattern: PatternId, source: IpAddr },
}

fn id(pattern: usize) -> PatternId {
    PatternId(u32::try_from(pattern).unwrap_or(u32::MAX))
}

fn small(stage: usize) -> u8 {
    u8::try_from(stage).unwrap_or(u8::MAX)
}

impl Event {
    pub(super) fn stage(source: IpAddr, pattern: usize, stage: usize) -> Self {
        Self::Stage { pattern: id(pattern), source, stage: small(stage) }
    }

    pub(super) fn expired(source: IpAddr, pattern: usize, stage: usize) -> Self {
        Self::Expired { pattern: id(pattern), source, stage: small(stage) }
    }

    pub(super) fn complete(source: IpAddr, pattern: usize) -> Self {
        Self::Complete { pattern: id(pattern), source }
    }

    pub(super) const fn pattern(&self) -> u32 {
        match self {
            Self::Stage { pattern, .. } | Self::Expired { pattern, .. } | Self::Complete { pattern, .. } => {
                pattern.0
            }
        }
    }
}

/// A [`Sink`] that writes everything down.
#[derive(Debug, Default)]
pub struct Heard(pub Vec<Event>);

impl Sink for Heard {
    fn wants_stages(&self) -> bool {
        true
    }

    fn stage(&mut self, source: IpAddr, pattern: PatternId, stage: u8) {
        self.0.push(Event::Stage { pattern, source, stage });
    }

    fn expired(&mut self, source: IpAddr, pattern: PatternId, stage: u8) {
        self.0.push(Event::Expired { pattern, source, stage });
    }

    fn complete(&mut self, source: IpAddr, pattern: PatternId) {
        self.0.push(Event::Complete { pattern, source });
    }
}

/// Both at once. Every method does the same to each and panics where their answers differ. The table must be large
/// enough for nobody to be displaced: the model knows no limits.
#[derive(Debug)]
pub struct Differential {
    tracker: Tracker,
    model: Model,
}

impl Differential {
    /// Both for these patterns.
    pub fn new(patterns: &[Pattern], ignore: &[Step]) -> Result<Self, TrackerError> {
        let limits = Limits { entries: 1 << 12 };
        let tracker = Tracker::new(patterns, ignore, limits, *b"a key for tests ")?;
        Ok(Self { tracker, model: Model::new(patterns, ignore) })
    }

    /// [`Tracker::hit`]: the same outcome and the same events in the same order, whether it was read ahead or not.
    ///
    /// # Panics
    /// When they differ, or the table was too small.
    pub fn hit(&mut self, now: Duration, scopes: &[ScopeId], hit: &Hit) -> (Outcome, Vec<Event>) {
        let mut heard = Heard::default();
        if hit.port.is_multiple_of(3) {
            // The second of them is another hit's, or never comes.
            self.tracker.read_ahead(now, [hit.source; 2]);
        }
        let outcome = self.tracker.hit(now, scopes, hit, &mut heard);
        let wanted = self.model.hit(now, scopes, hit);
        assert_eq!((outcome, &heard.0), (wanted.0, &wanted.1), "{hit:?} at {now:?}");
        assert_eq!(self.tracker.displaced().all, 0, "the table is too small for a comparison");
        wanted
    }

    /// [`Tracker::expire`]: the same events, in any order, and the same attempts left.
    ///
    /// # Panics
    /// When they differ.
    pub fn expire(&mut self, now: Duration) -> Vec<Event> {
        let mut heard = Heard::default();
        self.tracker.expire(now, &mut heard);
        let mut wanted = self.model.expire(now);
        heard.0.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(heard.0, wanted, "expired at {now:?}");
        assert_eq!(self.tracker.attempts(), self.model.attempts(), "attempts at {now:?}");
        wanted
    }

    /// [`Tracker::silence`].
    pub fn silence(&mut self, pattern: usize) {
        self.tracker.silence(id(pattern));
        self.model.silence(pattern);
    }

    /// [`Tracker::replace`].
    pub fn replace(&mut self, now: Duration, pattern: usize, sequence: Option<Sequence>) {
        self.tracker.replace(now, id(pattern), sequence.clone());
        self.model.replace(now, pattern, sequence);
    }

    /// [`Tracker::reconfigure`].
    pub fn reconfigure(
        &mut self,
        now: Duration,
        patterns: &[Pattern],
        ignore: &[Step],
        keep: Keep,
    ) -> Result<(), TrackerError> {
        self.tracker.reconfigure(now, patterns, ignore, keep)?;
        self.model.reconfigure(now, patterns, ignore, keep);
        Ok(())
    }
}
