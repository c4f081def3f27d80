//! What the figures come to beside the goals.

use std::fmt::Write as _;

use crate::results::{KERNEL, Point, Results, SEEN, SENT, round};
use crate::subject::Which;
use crate::{MANY, MOST, disk};

/// What is compared with a goal.
enum Reached {
    /// One figure beside another.
    Ratio(Point, Point),
    /// One figure, divided by this.
    Figure(Point, f64),
    /// What one figure is more than another, divided by this.
    More(Point, Point, f64),
    /// Knocks, of a measurement of this name.
    Honoured(Which, &'static str),
}

use Goal::{All, AtLeast, AtMost, None as NoGoal};
use Reached::{Figure, Honoured, More, Ratio};

/// What is wanted of it.
enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Every knock.
    All,
    /// Nothing: it stands there to be compared with.
    None,
}

/// Figures are microseconds and KiB.
const MILLISECOND: f64 = 1_000.0;
const MIB: f64 = 1_024.0;

const fn flood(which: Which, size: u32) -> Point {
    (which.name(), size, "flood", SEEN)
}

/// One after the other, again and again: what a machine does to one it does to the others.
const fn in_turn(size: u32) -> Point {
    (Which::Captured.name(), size, "in turn", SEEN)
}

/// What the kernel does with what no door's filter lets in.
const fn refused(which: Which, size: u32, what: &'static str) -> Point {
    (which.name(), size, what, KERNEL)
}

const fn logged(which: Which) -> Reached {
    Figure((which.name(), 1, "flood", "log bytes per second"), 1.0)
}

const fn grown(which: Which) -> Reached {
    Figure((which.name(), 1, "sources", "grown KiB"), 1.0)
}

const fn worst(which: Which) -> Reached {
    Figure((which.name(), 1, "knocks", "p99"), MILLISECOND)
}

const SPOOFED: [(&str, Reached, Goal); 13] = [
    (
        "CPU per spoofed SYN in a flood, beside the floor",
        Ratio(flood(Which::Sequence, 1), flood(Which::FloorSequence, 1)),
        AtMost(1.5),
    ),
    (
        "CPU per stray SYN that only strict doors look at, 1,000 doors, beside the same",
        Ratio((Which::Sequence.name(), MANY, "elsewhere", SENT), flood(Which::FloorSequence, 1)),
        AtMost(1.5),
    ),
    (
        "CPU per spoofed SYN, knockd's beside ours",
        Ratio(flood(Which::Knockd, 1), flood(Which::Sequence, 1)),
        AtLeast(200.0),
    ),
    (
        "the same, knockd's beside ours by knockd.conf",
        Ratio(flood(Which::Knockd, 1), flood(Which::InPlaceOfKnockd, 1)),
        AtLeast(200.0),
    ),
    (
        "the same, knockd's beside the floor",
        Ratio(flood(Which::Knockd, 1), flood(Which::FloorSequence, 1)),
        NoGoal,
    ),
    (
        "CPU per datagram of noise, captured, beside the floor",
        Ratio(flood(Which::Captured, 1), flood(Which::FloorCaptured, 1)),
        AtMost(1.5),
    ),
    ("the same by socket", Ratio(flood(Which::Listening, 1), flood(Which::FloorListening, 1)), AtMost(1.5)),
    (
        "the same, captured, with 1,000 devices beside 1, in turn",
        Ratio(in_turn(MANY), in_turn(1)),
        AtMost(1.05),
    ),
    ("the same with 100,000 devices beside 1, in turn", Ratio(in_turn(MOST), in_turn(1)), AtMost(1.05)),
    (
        "the same, fwknopd's with 1,000 users beside ours",
        Ratio(flood(Which::Fwknopd, MANY), flood(Which::Listening, MANY)),
        NoGoal,
    ),
    (
        "the kernel's time for a SYN to ports of no door, 1,000 compatible doors beside 1, in turn",
        Ratio(refused(Which::Compatible, MANY, "elsewhere"), refused(Which::Compatible, 1, "elsewhere")),
        AtMost(1.1),
    ),
    (
        "the same, packets of connections that stand",
        Ratio(refused(Which::Compatible, MANY, "standing"), refused(Which::Compatible, 1, "standing")),
        AtMost(1.1),
    ),
    (
        "the same, SYN to an ignored port, strict doors",
        Ratio(refused(Which::Sequence, MANY, "ignored"), refused(Which::Sequence, 1, "ignored")),
        AtMost(1.1),
    ),
];

const KNOCKS: [(&str, Reached, Goal); 13] = [
    ("knocks honoured in a flood of SYNs", Honoured(Which::Sequence, "knocks"), All),
    ("the same, p99, ms", worst(Which::Sequence), AtMost(5.0)),
    ("the floor's, p99, ms", worst(Which::FloorSequence), NoGoal),
    ("knocks honoured in a flood of noise, captured", Honoured(Which::Captured, "knocks"), All),
    ("the same, p99, ms", worst(Which::Captured), AtMost(5.0)),
    ("the floor's, p99, ms", worst(Which::FloorCaptured), NoGoal),
    ("knocks honoured in a flood of noise, by socket", Honoured(Which::Listening, "knocks"), All),
    ("the same, p99, ms", worst(Which::Listening), AtMost(5.0)),
    ("the floor's, p99, ms", worst(Which::FloorListening), NoGoal),
    (
        "slow knocks (150 ms pauses) honoured in a flood, large table",
        Honoured(Which::LargeTable, "slow knocks"),
        All,
    ),
    (
        "knock to firewall open at rest, knockd's beside ours",
        Ratio((Which::Knockd.name(), 1, "open", "p50"), (Which::Sequence.name(), 1, "open", "p50")),
        AtLeast(80.0),
    ),
    ("the same, ours, p50, ms", Figure((Which::Sequence.name(), 1, "open", "p50"), MILLISECOND), AtMost(0.3)),
    (
        "the same by datagram, state on a disk, less one durable commit, p50, ms",
        More(
            (Which::Captured.name(), 1, "open on disk", "p50"),
            (disk::NAME, 1, "commit", "p50"),
            MILLISECOND,
        ),
        AtMost(0.3),
    ),
];

const MEMORY: [(&str, Reached, Goal); 9] = [
    (
        "start with 1,000 doors, ms",
        Figure((Which::Sequence.name(), MANY, "start", "ready"), MILLISECOND),
        AtMost(50.0),
    ),
    ("memory then, RSS, MiB", Figure((Which::Sequence.name(), MANY, "start", "resident"), MIB), AtMost(16.0)),
    (
        "memory with one door, RSS, MiB",
        Figure((Which::Sequence.name(), 1, "start", "resident"), MIB),
        AtMost(16.0),
    ),
    (
        "memory after a million sources, RSS, MiB",
        Figure((Which::Sequence.name(), 1, "sources", "resident"), MIB),
        AtMost(16.0),
    ),
    ("memory grown by them, KiB", grown(Which::Sequence), AtMost(64.0)),
    ("the same by as many datagrams of noise, captured", grown(Which::Captured), AtMost(64.0)),
    ("the same by socket", grown(Which::Listening), AtMost(64.0)),
    ("log in a flood of SYNs, bytes a second", logged(Which::Sequence), AtMost(0.0)),
    ("the same by knockd.conf: a few lines", logged(Which::InPlaceOfKnockd), NoGoal),
];

/// What the goals are about, as Markdown; what misses its goal says so.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::from("| in this run | reached | goal | |\n|---|---:|---:|---|\n");
    for (words, reached, goal) in SPOOFED.iter().chain(&KNOCKS).chain(&MEMORY) {
        let value = reach(results, reached);
        let missed = value.as_ref().is_some_and(|(value, _)| goal.is_missed(*value));
        let (reached, goal) =
            (value.map_or_else(|| "not measured".to_owned(), |(_, text)| text), goal.words(reached));
        writeln!(text, "| {words} | {reached} | {goal} | {} |", if missed { "missed" } else { "" })
            .expect("text");
    }
    text
}

impl Goal {
    /// Of knocks the value is the part that was honoured.
    fn is_missed(&self, value: f64) -> bool {
        match self {
            AtMost(most) => value > *most,
            AtLeast(least) => value < *least,
            All => value < 1.0,
            NoGoal => false,
        }
    }

    fn words(&self, reached: &Reached) -> String {
        let unit = if matches!(reached, Ratio(..)) { " ×" } else { "" };
        match self {
            AtMost(most) => format!("≤ {most}{unit}"),
            AtLeast(least) => format!("≥ {least}{unit}"),
            All => "all".to_owned(),
            NoGoal => "–".to_owned(),
        }
    }
}

/// The value, and how it is written.
fn reach(results: &Results, reached: &Reached) -> Option<(f64, String)> {
    let figure = |value: f64| (value, round(value));
    match *reached {
        Ratio(over, under) => {
            let (over, under) = (results.at(over)?, results.at(under)?);
            let ratio = (under > 0.0).then(|| over / under)?;
            Some((ratio, format!("{} ×", round(ratio))))
        }
        Figure(point, unit) => Some(figure(results.at(point)? / unit)),
        More(whole, part, unit) => Some(figure((results.at(whole)? - results.at(part)?) / unit)),
        Honoured(which, what) => results.honoured(which.name(), what),
    }
}
