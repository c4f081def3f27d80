//! How long things last: leases within their policy, retries with their back-off.

use std::time::Duration;

use crate::door::{Door, Style};

/// How long a grant lasts. Never zero for a native door: to the kernel a timeout of zero means "for ever".
pub(super) fn length(door: &Door, wanted: Option<Duration>) -> Duration {
    match door.style {
        // A sequence says nothing of it; a device may be held to less.
        Style::Knockd => wanted.map_or(door.lease, |wanted| wanted.min(door.lease)),
        Style::Native => wanted.unwrap_or(door.lease).min(door.max_lease).max(Duration::from_secs(1)),
    }
}

/// Whole seconds, rounded up.
pub(super) fn whole_seconds(length: Duration) -> u64 {
    length.as_secs().saturating_add(u64::from(length.subsec_nanos() > 0))
}

/// A renewal never shortens, except to what policy allows from now on.
pub(super) fn extended(deadline: Duration, now: Duration, length: Duration, door: &Door) -> Duration {
    let longest = door.max_lease.max(Duration::from_secs(1));
    deadline.max(now.saturating_add(length)).min(now.saturating_add(longest))
}

/// 1 s, 2 s, 4 s ... 60 s.
pub(super) fn back_off(tries: u32) -> Duration {
    let seconds = 2_u64.saturating_pow(tries.saturating_sub(1)).min(60);
    Duration::from_secs(seconds)
}
