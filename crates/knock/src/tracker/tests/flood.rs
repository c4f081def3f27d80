//! Floods of attempts by somebody who knows some ports of a sequence, and what they leave to those who know all.

use std::net::IpAddr;
use std::time::Duration;

use super::bench::{SCOPE, source, strict, syn};
use crate::model::Heard;
use crate::{Limits, Outcome, Pattern, Tracker};

/// Places of the table.
const ROOM: usize = 1 << 10;

/// Who gets on, of whom.
const KNOCKERS: u32 = 100;

/// How many steps each source of a flood makes, one after the other and then from the first on again.
type Flood<'a> = &'a [u16];

/// A door, who floods the table with attempts at it, and who knocks meanwhile.
struct Siege {
    tracker: Tracker,
    steps: u16,
    sources: u32,
}

impl Siege {
    /// Somebody has made as many steps as he can in every place there is, before anybody knocks.
    fn new(sequence: &str, furthest: u16) -> Self {
        let pattern = Pattern { timeout: Duration::from_secs(3_600), ..strict(sequence) };
        let steps = u16::try_from(pattern.sequence.as_ref().unwrap().steps().len()).unwrap();
        let tracker = Tracker::new(&[pattern], &[], Limits { entries: ROOM }, [8; 16]).unwrap();
        let mut siege = Self { tracker, steps, sources: 0 };
        siege.storm(4 * ROOM, &[furthest]);
        siege
    }

    fn hit(&mut self, source: IpAddr, port: u16) -> Outcome {
        // A set sees hits that are some sixteen milliseconds apart: the table tells their ages apart.
        let now = Duration::from_millis(u64::from(self.sources / 8));
        self.tracker.hit(now, &[SCOPE], &syn(source, port, 0), &mut Heard::default())
    }

    /// So many attempts of the flood.
    fn storm(&mut self, attempts: usize, flood: Flood<'_>) {
        for steps in flood.iter().cycle().take(attempts) {
            self.sources += 1;
            for port in 1..=*steps {
                self.hit(source(self.sources), port);
            }
        }
    }

    /// How many knockers complete the sequence, with so many attempts of the flood in each pause.
    fn completed(&mut self, between: usize, flood: Flood<'_>) -> u32 {
        let knocks = |siege: &mut Self, knocker: u32| {
            let last = siege.steps;
            for port in 1..last {
                siege.hit(source((1 << 23) + knocker), port);
                siege.storm(between, flood);
            }
            siege.hit(source((1 << 23) + knocker), last) == Outcome::Completed
        };
        (0..KNOCKERS).map(|knocker| u32::from(knocks(self, knocker))).sum()
    }

    /// The least of that, whichever of these floods it is.
    fn least(sequence: &str, furthest: u16, between: usize, floods: &[Flood<'_>]) -> u32 {
        let completed = |flood: &Flood<'_>| Self::new(sequence, furthest).completed(between, flood);
        floods.iter().map(completed).min().unwrap()
    }
}

#[test]
fn r11_who_knows_ports_of_a_sequence_keeps_nobody_from_knocking() {
    let one = Siege::least("1,2,3", 1, ROOM / 2, &[&[1]]);
    let two = Siege::least("1,2,3", 2, ROOM / 4, &[&[1], &[2], &[1, 2], &[1, 1, 1, 2]]);
    let three = Siege::least("1,2,3,4", 3, ROOM / 8, &[&[1], &[2], &[3], &[1, 2, 3], &[1, 1, 1, 3]]);
    println!(
        "figure: R11 where a flood begins in a pause half as many attempts as the table has places, a quarter by who knows two \
         ports, an eighth by who knows three: {one}, {two} and {three} of {KNOCKERS} who knock get in"
    );
    assert!(one.min(two).min(three) >= 80, "{one} {two} {three}");
}

#[test]
fn r11_who_has_made_more_steps_than_a_flood_can_stays() {
    let floods: [(u16, Flood<'_>); 5] = [(1, &[1]), (2, &[2]), (2, &[1, 2]), (3, &[3]), (3, &[1, 1, 2, 3])];
    for (furthest, flood) in floods {
        let mut siege = Siege::new("1,2,3,4,5", furthest);
        for knocker in 0..20 {
            let knocker = source((1 << 23) + knocker);
            for port in 1..=furthest + 1 {
                siege.hit(knocker, port);
            }
            siege.storm(4 * ROOM, flood);
            let outcome = (furthest + 2..=5).map(|port| siege.hit(knocker, port)).last();
            assert_eq!(outcome, Some(Outcome::Completed), "{flood:?}");
        }
    }
}
