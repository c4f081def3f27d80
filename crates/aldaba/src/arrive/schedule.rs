//! When there is a knock, and when an attempt to connect.

use std::iter;
use std::time::Duration;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A new knock.
    Knock,
    /// An attempt to connect.
    Attempt,
}

/// Knocks, in milliseconds: spec/spa.md, section 13.5. A server takes the second for newer than the first beyond doubt.
const KNOCKS: [u64; 4] = [0, 500, 1500, 3500];
/// Attempts behind each knock: at once on a short path, not much later on a long one.
const ATTEMPTS: [u64; 4] = [10, 50, 150, 350];
/// And behind the last one, for as long as it takes.
const EVERY: u64 = 1000;

/// All of it, in its order, without end.
pub(super) fn events() -> impl Iterator<Item = (Duration, Event)> {
    let behind = |knock: u64| ATTEMPTS.map(|after| (knock + after, Event::Attempt));
    let knocks =
        KNOCKS.into_iter().flat_map(move |knock| iter::once((knock, Event::Knock)).chain(behind(knock)));
    let last = KNOCKS.last().copied().unwrap_or_default();
    let later = (1..).map(move |number: u64| (last + number * EVERY, Event::Attempt));
    knocks.chain(later).map(|(at, event)| (Duration::from_millis(at), event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_knocks_and_attempts_behind_each() {
        let first: Vec<(Duration, Event)> = events().take(30).collect();
        assert!(first.is_sorted_by_key(|(at, _)| *at), "{first:?}");
        let knocks = first.iter().filter(|(_, event)| *event == Event::Knock);
        assert_eq!(knocks.map(|(at, _)| at.as_millis()).collect::<Vec<_>>(), [0, 500, 1500, 3500]);
        assert_eq!(first[0].1, Event::Knock);
        assert_eq!(first[29].0, Duration::from_millis(13_500));
    }
}
