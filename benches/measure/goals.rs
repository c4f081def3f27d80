//! What the figures come to beside the goals.

use std::fmt::Write as _;

use crate::results::{Point, Results, SEEN, SENT, WITH_SENDER, round};
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

use Reached::{Figure, Honoured, More, Ratio};

/// Figures are microseconds and KiB.
const MILLISECOND: f64 = 1_000.0;
const MIB: f64 = 1_024.0;

const fn flood(which: Which, size: u32) -> Point {
    (which.name(), size, "flood", SEEN)
}

const fn elsewhere(size: u32) -> Point {
    (Which::Compatible.name(), size, "elsewhere", WITH_SENDER)
}

const fn worst(which: Which) -> Reached {
    Figure((which.name(), 1, "knocks", "p99"), MILLISECOND)
}

const SPOOFED: [(&str, Reached, &str); 10] = [
    (
        "CPU per spoofed SYN in a flood, beside the floor",
        Ratio(flood(Which::Sequence, 1), flood(Which::FloorSequence, 1)),
        "≤ 1.5 ×",
    ),
    (
        "CPU per stray SYN that only strict doors look at, 1,000 doors, beside the same",
        Ratio((Which::Sequence.name(), MANY, "elsewhere", SENT), flood(Which::FloorSequence, 1)),
        "≤ 1.5 ×",
    ),
    (
        "CPU per spoofed SYN, knockd's beside ours",
        Ratio(flood(Which::Knockd, 1), flood(Which::Sequence, 1)),
        "≥ 200 ×",
    ),
    (
        "the same, knockd's beside ours by knockd.conf",
        Ratio(flood(Which::Knockd, 1), flood(Which::InPlaceOfKnockd, 1)),
        "≥ 200 ×",
    ),
    (
        "CPU per datagram of noise, captured, beside the floor",
        Ratio(flood(Which::Captured, 1), flood(Which::FloorCaptured, 1)),
        "≤ 1.5 ×",
    ),
    ("the same by socket", Ratio(flood(Which::Listening, 1), flood(Which::FloorListening, 1)), "≤ 1.5 ×"),
    (
        "the same, captured, with 1,000 devices beside 1",
        Ratio(flood(Which::Captured, MANY), flood(Which::Captured, 1)),
        "≤ 1.05 ×",
    ),
    (
        "the same with 100,000 devices beside 1",
        Ratio(flood(Which::Captured, MOST), flood(Which::Captured, 1)),
        "≤ 1.05 ×",
    ),
    (
        "the same, fwknopd's with 1,000 users beside ours",
        Ratio(flood(Which::Fwknopd, MANY), flood(Which::Listening, MANY)),
        "–",
    ),
    (
        "SYN to ports of no door, with the sender's time, 1,000 compatible doors beside 1",
        Ratio(elsewhere(MANY), elsewhere(1)),
        "≤ 1.1 ×",
    ),
];

const KNOCKS: [(&str, Reached, &str); 10] = [
    ("knocks honoured in a flood of SYNs", Honoured(Which::Sequence, "knocks"), "all"),
    ("the same, p99, ms", worst(Which::Sequence), "≤ 5"),
    ("knocks honoured in a flood of noise, captured", Honoured(Which::Captured, "knocks"), "all"),
    ("the same, p99, ms", worst(Which::Captured), "≤ 5"),
    ("knocks honoured in a flood of noise, by socket", Honoured(Which::Listening, "knocks"), "all"),
    ("the same, p99, ms", worst(Which::Listening), "≤ 5"),
    (
        "slow knocks (150 ms pauses) honoured in a flood, large table",
        Honoured(Which::LargeTable, "slow knocks"),
        "all",
    ),
    (
        "knock to firewall open at rest, knockd's beside ours",
        Ratio((Which::Knockd.name(), 1, "open", "p50"), (Which::Sequence.name(), 1, "open", "p50")),
        "≥ 80 ×",
    ),
    ("the same, ours, p50, ms", Figure((Which::Sequence.name(), 1, "open", "p50"), MILLISECOND), "≤ 0.3"),
    (
        "the same by datagram, state on a disk, less one durable commit, p50, ms",
        More(
            (Which::Captured.name(), 1, "open on disk", "p50"),
            (disk::NAME, 1, "commit", "p50"),
            MILLISECOND,
        ),
        "≤ 0.3",
    ),
];

const MEMORY: [(&str, Reached, &str); 4] = [
    (
        "start with 1,000 doors, ms",
        Figure((Which::Sequence.name(), MANY, "start", "ready"), MILLISECOND),
        "≤ 50",
    ),
    ("memory then, RSS, MiB", Figure((Which::Sequence.name(), MANY, "start", "resident"), MIB), "≤ 16"),
    ("memory with one door, RSS, MiB", Figure((Which::Sequence.name(), 1, "start", "resident"), MIB), "≤ 16"),
    (
        "memory grown by a million sources, KiB",
        Figure((Which::Sequence.name(), 1, "sources", "grown KiB"), 1.0),
        "≤ 64",
    ),
];

/// What the goals are about, as Markdown.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::from("| in this run | reached | goal |\n|---|---:|---:|\n");
    for (words, reached, goal) in SPOOFED.iter().chain(&KNOCKS).chain(&MEMORY) {
        let reached = reach(results, reached).unwrap_or_else(|| "not measured".to_owned());
        writeln!(text, "| {words} | {reached} | {goal} |").expect("text");
    }
    text
}

fn reach(results: &Results, reached: &Reached) -> Option<String> {
    match *reached {
        Ratio(over, under) => {
            let (over, under) = (results.at(over)?, results.at(under)?);
            (under > 0.0).then(|| format!("{} ×", round(over / under)))
        }
        Figure(point, unit) => Some(round(results.at(point)? / unit)),
        More(whole, part, unit) => Some(round((results.at(whole)? - results.at(part)?) / unit)),
        Honoured(which, what) => results.honoured(which.name(), what),
    }
}
