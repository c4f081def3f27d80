//! The table when it is full, and sources that must not feel each other.

use std::collections::HashSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::bench::{SCOPE, compatible, pattern, source, strict, syn};
use crate::model::{Event, Heard};
use crate::{Displaced, Limits, Mode, Outcome, Pattern, PatternId, Tracker, TrackerError};

const NOW: Duration = Duration::from_secs(9);

/// One set of eight.
fn smallest(patterns: &[Pattern]) -> Tracker {
    Tracker::new(patterns, &[], Limits { entries: 1 }, [3; 16]).unwrap()
}

/// A pattern with a limit of a second.
fn hasty(sequence: &str) -> Pattern {
    Pattern { timeout: Duration::from_secs(1), ..compatible(sequence) }
}

fn hit(tracker: &mut Tracker, now: Duration, host: u32, port: u16) -> Outcome {
    tracker.hit(now, &[SCOPE], &syn(source(host), port, 0), &mut Heard::default())
}

#[test]
fn the_size_is_rounded_up_and_bounded() {
    for (entries, sets) in [(0, 1), (8, 1), (9, 2), (1 << 16, 1 << 13), ((1 << 16) + 1, 1 << 14)] {
        let tracker = Tracker::new(&[], &[], Limits { entries }, [0; 16]).unwrap();
        assert_eq!(tracker.table.sets(), sets);
    }
    let too_many = Limits { entries: Limits::MAX_ENTRIES + 1 };
    assert_eq!(Tracker::new(&[], &[], too_many, [0; 16]).unwrap_err(), TrackerError::TooManyEntries);
}

#[test]
fn the_oldest_attempt_of_stage_one_makes_room() {
    let mut tracker = smallest(&[compatible("1,2,3")]);
    for host in 0..8 {
        hit(&mut tracker, NOW + Duration::from_millis(u64::from(2 * host)), host, 1);
    }
    assert_eq!(hit(&mut tracker, NOW, 0, 2), Outcome::Advanced);
    let later = NOW + Duration::from_millis(20);
    assert_eq!(hit(&mut tracker, later, 8, 1), Outcome::Started);
    assert_eq!((tracker.attempts(), tracker.displaced()), (8, Displaced { all: 1, advanced: 0 }));
    assert_eq!(hit(&mut tracker, later, 1, 2), Outcome::Ignored, "the oldest of stage 1 is gone");
    for host in [2, 3, 4, 5, 6, 7, 8] {
        assert_eq!(hit(&mut tracker, later, host, 2), Outcome::Advanced, "{host}");
    }
    assert_eq!(hit(&mut tracker, later, 2, 3), Outcome::Completed);
    assert_eq!(hit(&mut tracker, later, 9, 1), Outcome::Started, "who is through rests and makes room");
    assert_eq!(tracker.displaced(), Displaced { all: 1, advanced: 0 });
}

#[test]
fn where_all_have_made_two_steps_the_oldest_makes_room() {
    let mut tracker = smallest(&[compatible("1,2,3")]);
    for host in 0..8 {
        let now = NOW + Duration::from_millis(u64::from(2 * host));
        hit(&mut tracker, now, host, 1);
        hit(&mut tracker, now, host, 2);
    }
    let later = NOW + Duration::from_millis(20);
    assert_eq!(hit(&mut tracker, later, 8, 1), Outcome::Started);
    assert_eq!(tracker.displaced(), Displaced { all: 1, advanced: 1 });
    assert_eq!(hit(&mut tracker, later, 0, 3), Outcome::Ignored, "the oldest is gone");
    assert_eq!(hit(&mut tracker, later, 9, 1), Outcome::Started);
    assert_eq!(
        hit(&mut tracker, later, 1, 3),
        Outcome::Ignored,
        "and then the next: most have made two steps"
    );
    assert_eq!(hit(&mut tracker, later, 8, 2), Outcome::Advanced);
    assert_eq!(hit(&mut tracker, later, 8, 3), Outcome::Completed);
}

#[test]
fn who_is_over_time_makes_room_before_who_has_advanced_and_is_not() {
    let mut tracker = smallest(&[compatible("1,2,3"), hasty("6,7")]);
    hit(&mut tracker, NOW, 0, 6);
    for host in 1..8 {
        hit(&mut tracker, NOW, host, 1);
        hit(&mut tracker, NOW, host, 2);
    }
    assert_eq!(hit(&mut tracker, NOW + Duration::from_secs(2), 8, 1), Outcome::Started);
    assert_eq!(tracker.displaced(), Displaced::default());
    for host in 1..8 {
        assert_eq!(hit(&mut tracker, NOW + Duration::from_secs(2), host, 3), Outcome::Completed, "{host}");
    }
}

#[test]
fn who_is_over_time_makes_room_and_is_reported() {
    let mut tracker = smallest(&[compatible("1,2,3")]);
    for host in 0..8 {
        hit(&mut tracker, NOW, host, 1);
        hit(&mut tracker, NOW, host, 2);
    }
    let mut heard = Heard::default();
    let outcome = tracker.hit(NOW + Duration::from_secs(5), &[SCOPE], &syn(source(8), 1, 0), &mut heard);
    assert_eq!(outcome, Outcome::Started);
    assert_eq!(heard.0[0], Event::Expired { pattern: PatternId(0), source: source(0), stage: 2 });
    assert_eq!(tracker.displaced(), Displaced::default(), "it was over anyway");
}

#[test]
fn a_sequence_of_one_step_needs_no_room() {
    let mut tracker = smallest(&[compatible("1,2,3"), compatible("4"), compatible("4,5")]);
    for host in 0..8 {
        hit(&mut tracker, NOW, host, 1);
        hit(&mut tracker, NOW, host, 2);
    }
    let mut heard = Heard::default();
    assert_eq!(tracker.hit(NOW, &[SCOPE], &syn(source(9), 4, 7), &mut heard), Outcome::Completed);
    assert_eq!(heard.0.len(), 3, "a stage of each, and a completion: {heard:?}");
    for host in 10..20 {
        tracker.hit(NOW, &[SCOPE], &syn(source(host), 4, 7), &mut heard);
    }
    assert_eq!(heard.0.len(), 33, "{heard:?}");
}

#[test]
fn a_flood_of_sources_never_holds_more_than_the_table() {
    let mut tracker = Tracker::new(&[compatible("1,2")], &[], Limits { entries: 1024 }, [5; 16]).unwrap();
    for host in 0..50_000 {
        hit(&mut tracker, NOW, host, 1);
    }
    assert_eq!(tracker.attempts(), 1024);
    tracker.expire(NOW + Duration::from_secs(5), &mut Heard::default());
    assert_eq!(tracker.attempts(), 0);
    tracker.expire(NOW + Duration::from_secs(5 + 64), &mut Heard::default());
    assert_eq!(
        (0..tracker.table.sets()).flat_map(|set| tracker.table.taken_in(set)).count(),
        0,
        "nobody rests for ever"
    );
}

#[test]
fn a_large_table_is_swept_in_parts() {
    let mut tracker = Tracker::new(&[compatible("1,2")], &[], Limits { entries: 1 << 18 }, [5; 16]).unwrap();
    for host in 0..1000 {
        hit(&mut tracker, NOW, host, 1);
    }
    let later = NOW + Duration::from_secs(5);
    let left: Vec<usize> = (0..4)
        .map(|_| {
            tracker.expire(later, &mut Heard::default());
            tracker.attempts()
        })
        .collect();
    assert!(left[0] > left[1] && left[1] > left[2] && left[3] == 0, "{left:?}");
}

/// What `own` completes, with the hits of the others in between or without.
fn completions(patterns: &[Pattern], hits: &[(u32, u16, u64)], own: u32, alone: bool) -> Vec<(usize, Event)> {
    let mut tracker = Tracker::new(patterns, &[], Limits { entries: 1 << 12 }, [1; 16]).unwrap();
    let mut now = NOW;
    let mut completed = Vec::new();
    for (index, (host, port, after)) in hits.iter().enumerate() {
        now += Duration::from_millis(*after);
        if alone && *host != own {
            continue;
        }
        let mut heard = Heard::default();
        let hit = syn(source(*host), *port, u64::try_from(index).unwrap() + 1);
        tracker.hit(now, &[SCOPE], &hit, &mut heard);
        completed.extend(
            heard
                .0
                .into_iter()
                .filter(|event| matches!(event, Event::Complete { .. }))
                .map(|event| (index, event)),
        );
    }
    assert_eq!(tracker.displaced(), Displaced::default());
    completed.retain(|(_, event)| matches!(event, Event::Complete { source: of, .. } if *of == source(own)));
    completed
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_source_feels_another(hits in vec((0..5_u32, 1..5_u16, 0..1500_u64), 1..200)) {
        let patterns = [compatible("1,2,3"), strict("1,2,3"), compatible("1,2,2"), strict("4,4"), pattern(Mode::Compatible, "2,1", "syn")];
        for own in 0..5 {
            prop_assert_eq!(completions(&patterns, &hits, own, false), completions(&patterns, &hits, own, true));
        }
    }
}

#[test]
fn the_property_above_sees_completions() {
    let hits = [(0, 1, 1), (1, 4, 0), (0, 2, 1), (1, 4, 1), (0, 3, 1)];
    let patterns = [compatible("1,2,3"), strict("4,4")];
    assert_eq!(completions(&patterns, &hits, 0, false).len(), 1);
    assert_eq!(completions(&patterns, &hits, 1, false).len(), 1);
}

#[test]
fn hashes_spread_sources_over_the_sets() {
    let tracker = Tracker::new(&[], &[], Limits { entries: 1 << 12 }, [9; 16]).unwrap();
    let sets: HashSet<usize> =
        (0..512).map(|host| tracker.table.set(tracker.table.home(source(host)), 0)).collect();
    assert!(
        (280..370).contains(&sets.len()),
        "512 balls in 512 bins leave 37 % empty, not {}",
        512 - sets.len()
    );
}
