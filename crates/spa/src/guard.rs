//! The guard after a lost replay store: what was accepted before the loss must not be taken for new. spec/spa.md, section 9.
//!
//! Whatever was accepted before has a time of at most *start + FUTURE*, by a clock that was right. So the guard keeps the
//! start on the clock that never steps, and reads it off the wall clock anew for each datagram: when a clock that was behind
//! is set right, the guard moves with it, by exactly as much, however long it took. It never moves back.

use std::time::Duration;

use crate::{Moment, Timestamp, Window};

/// Up to when no request is known to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    until: Timestamp,
    start: Duration,
}

impl Guard {
    /// No request is new, whatever its time: for a machine whose clock is not to be trusted yet.
    pub const CLOSED: Self = Self { until: Timestamp(u64::MAX), start: Duration::ZERO };

    /// The guard of a store that is found lost now.
    #[must_use]
    pub fn raised(at: Moment, window: &Window) -> Self {
        Self::new(Timestamp::default(), at.now).followed(at, window)
    }

    /// One raised earlier: up to when it reached then, and the time of its start on the clock that never steps.
    #[must_use]
    pub const fn new(until: Timestamp, start: Duration) -> Self {
        Self { until, start }
    }

    /// Up to when nothing is new, as the wall clock was when it was last looked at.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Its start, on the clock that never steps.
    #[must_use]
    pub const fn start(&self) -> Duration {
        self.start
    }

    /// The guard as the wall clock reads now.
    #[must_use]
    pub fn followed(self, at: Moment, window: &Window) -> Self {
        let started = at.wall.before(at.now.saturating_sub(self.start));
        Self { until: self.until.max(started.after(window.future)), ..self }
    }

    /// Whether the window alone keeps out all it was raised against.
    #[must_use]
    pub fn is_over(&self, at: Moment, window: &Window) -> bool {
        at.wall.before(window.past) > self.followed(at, window).until
    }

    /// Both of them.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { until: self.until.max(other.until), start: self.start.max(other.start) }
    }
}

#[cfg(test)]
mod tests;
