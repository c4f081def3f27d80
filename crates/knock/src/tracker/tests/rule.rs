//! Who makes room in a full set: the rule of the specification once more, as plainly as it can be written.

use std::net::IpAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::bench::{SCOPE, compatible, source, syn};
use crate::model::Heard;
use crate::{Limits, Outcome, Tracker};

/// The time limit of the pattern, in milliseconds.
const LIMIT: u64 = 5_000;

/// A source in a set, as plain as it can be.
#[derive(Debug, Clone, Copy)]
struct Place {
    host: u32,
    stage: u8,
    /// In milliseconds.
    started: u64,
}

/// One set and its rule: spec/knock.md, "The table".
#[derive(Debug, Default)]
struct Set(Vec<Place>);

impl Set {
    /// The place that makes room, of eight.
    fn who_goes(&self, now: u64) -> usize {
        let oldest = |fits: &dyn Fn(&Place) -> bool| {
            let fitting = (0..8).filter(|at| fits(&self.0[*at]));
            fitting.min_by_key(|at| self.0[*at].started)
        };
        let is_over = |place: &Place| now - place.started >= LIMIT;
        let crowd = |stage: u8| self.0.iter().filter(|place| place.stage == stage).count();
        if let Some(resting) = oldest(&|place| place.stage == 0) {
            return resting;
        }
        let fullest = (1..=8).rev().max_by_key(|stage| crowd(*stage)).unwrap();
        let first_over = |least: u8| self.0.iter().position(|place| place.stage >= least && is_over(place));
        let over = first_over(if fullest == 1 { 2 } else { 1 });
        over.or_else(|| oldest(&|place| place.stage == fullest)).unwrap()
    }

    /// A host makes its next step, or begins.
    fn step(&mut self, host: u32, now: u64) {
        if let Some(place) = self.0.iter_mut().find(|place| place.host == host) {
            let goes_on = place.stage > 0 && now - place.started < LIMIT;
            let started = if goes_on { place.started } else { now };
            *place = Place { host, stage: if goes_on { place.stage + 1 } else { 1 }, started };
        } else {
            let begun = Place { host, stage: 1, started: now };
            if self.0.len() < 8 {
                self.0.push(begun);
            } else {
                let goes = self.who_goes(now);
                self.0[goes] = begun;
            }
        }
    }

    /// A host makes a step that is none, and rests.
    fn stumble(&mut self, host: u32, now: u64) {
        if let Some(place) = self.0.iter_mut().find(|place| place.host == host && place.stage > 0) {
            *place = Place { host, stage: 0, started: now };
        }
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hit(tracker: &mut Tracker, now: u64, source: IpAddr, port: u16) -> Outcome {
    tracker.hit(at(now), &[SCOPE], &syn(source, port, 0), &mut Heard::default())
}

/// What the tracker has in its one set.
fn held(tracker: &Tracker) -> Vec<(IpAddr, u8)> {
    let entries = tracker.table.taken_in(0).filter_map(|slot| tracker.table.get(slot));
    entries.map(|entry| (entry.source, entry.stage)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_makes_room_is_whom_the_rule_names(
        hits in vec((0..14_u32, 0..12_u8, prop_oneof![20 => 2..9_u64, 1 => 2000..3000_u64]), 1..200),
    ) {
        let mut tracker =
            Tracker::new(&[compatible("1,2,3,4,5,6,7,8,9")], &[], Limits { entries: 1 }, [3; 16]).unwrap();
        let (mut set, mut now) = (Set::default(), 0);
        for (host, what, after) in hits {
            // Ages differ by more than the table's clock has for a step.
            now += after;
            let place = set.0.iter().find(|place| place.host == host).copied();
            let stage = place.filter(|place| now - place.started < LIMIT).map_or(0, |place| place.stage);
            if what == 0 && stage > 0 {
                hit(&mut tracker, now, source(host), 9);
                set.stumble(host, now);
            } else if stage < 8 {
                hit(&mut tracker, now, source(host), u16::from(stage) + 1);
                set.step(host, now);
            }
            let expected: Vec<_> = set.0.iter().map(|place| (source(place.host), place.stage)).collect();
            prop_assert_eq!(held(&tracker), expected);
        }
    }
}
