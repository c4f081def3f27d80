//! Points in time on the wall clock, as they stand in a datagram.

use std::time::Duration;

/// Microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// `self + span`, at most the last one there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// `self - span`, at least the epoch.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }

    /// The time from `earlier` to this one; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// How far this is ahead of `other`, in microseconds; negative when it is behind.
    #[must_use]
    pub fn offset_from(self, other: Self) -> i64 {
        let ahead = i64::try_from(self.0.saturating_sub(other.0)).unwrap_or(i64::MAX);
        let behind = i64::try_from(other.0.saturating_sub(self.0)).unwrap_or(i64::MAX);
        ahead.saturating_sub(behind)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
