//! The clocks, in one place: what time it is, how much has passed, and waiting.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aldaba_spa::Timestamp;

/// The wall clock: what a server compares its own with.
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

/// A clock that never steps.
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub(crate) fn steady() -> Instant {
    Instant::now()
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "a client has nothing else to wait for")]
pub(crate) fn pause(length: Duration) {
    thread::sleep(length);
}

/// A time as people read it, to the second, UTC.
pub(crate) fn written(time: Timestamp) -> String {
    let seconds = i64::try_from(time.0 / 1_000_000).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "a time far off".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(written(Timestamp(1_800_000_000_999_999)), "2027-01-15T08:00:00Z");
        assert_eq!(written(Timestamp(u64::MAX)), "a time far off");
    }
}
