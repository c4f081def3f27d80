//! What the figures come to: side by side, and as ratios.

use std::fmt::Write as _;
use std::path::Path;

use crate::results::{Results, round};
use crate::subject::Which;
use crate::{MANY, MOST};

/// The tables of docs/performance.md stand between these lines.
const BEGIN: &str = "<!-- measured: benches/run --write -->\n";
const END: &str = "<!-- end of what was measured -->";

/// A row of the table: what, in which measurement, by which name, at which size.
const LINES: [(&str, &str, &str, u32); 24] = [
    ("knock to command run at rest, p50, µs", "idle", "p50", 1),
    ("the same, p99, µs", "idle", "p99", 1),
    ("knock to firewall open at rest, p50, µs", "open", "p50", 1),
    ("the same, p99, µs", "open", "p99", 1),
    ("start to first knock honoured, ms", "start", "ready", 1),
    ("memory then, RSS of all its processes, KiB", "start", "resident", 1),
    ("the same, PSS, KiB", "start", "proportional", 1),
    ("start with 1,000 doors or users, ms", "start", "ready", MANY),
    ("the same where aldaba's table stands already, ms", "start again", "ready", MANY),
    ("memory then, RSS, KiB", "start", "resident", MANY),
    ("CPU per packet at 5,000/s, ns", "gentle", "cpu ns per packet seen", 1),
    ("CPU per packet of a full flood, ns", "flood", "cpu ns per packet seen", 1),
    ("the same with 1,000 doors or users, ns", "flood", "cpu ns per packet seen", MANY),
    ("the same with 100,000 users, ns", "flood", "cpu ns per packet seen", MOST),
    ("packets of the flood not seen, %", "flood", "dropped %", 1),
    ("knocks honoured meanwhile", "flood", "honoured", 1),
    ("p99 of those, µs", "flood", "p99", 1),
    ("memory grown by the flood, KiB", "flood", "grown KiB", 1),
    ("the same by a million sources and no knock, KiB", "sources", "grown KiB", 1),
    ("of that not code, KiB", "sources", "grown KiB, written", 1),
    ("the same with 1,000 doors, KiB", "sources", "grown KiB", MANY),
    ("of that not code, KiB", "sources", "grown KiB, written", MANY),
    ("log in the flood, bytes a second", "flood", "log bytes per second", 1),
    ("CPU per SYN to ports of no door, 1,000 doors, ns", "elsewhere", "cpu ns per packet sent", MANY),
];

/// Everything side by side, as Markdown.
pub(crate) fn table(results: &Results) -> String {
    let shown: Vec<Which> = Which::ALL.into_iter().filter(|which| which.is_shown()).collect();
    let mut text = String::from("| |");
    for which in &shown {
        write!(text, " {} |", which.name()).expect("text");
    }
    text += "\n|---|";
    text += &"---:|".repeat(shown.len());
    text.push('\n');
    for (words, what, name, size) in LINES {
        write!(text, "| {words} |").expect("text");
        for which in &shown {
            let value = results.of(which.name(), size, what, name);
            write!(text, " {} |", value.map_or_else(|| "–".to_owned(), |value| cell(words, name, value)))
                .expect("text");
        }
        text.push('\n');
    }
    text + "\n" + &ratios(results)
}

fn cell(words: &str, name: &str, value: f64) -> String {
    let value = if words.ends_with("ms") { value / 1_000.0 } else { value };
    if name == "honoured" { format!("{value}") } else { round(value) }
}

/// What the goals are about.
fn ratios(results: &Results) -> String {
    let of = |which: Which, size, what, name| results.of(which.name(), size, what, name);
    let seen = "cpu ns per packet seen";
    let ratio = |over: Option<f64>, under: Option<f64>| match (over, under) {
        (Some(over), Some(under)) if under > 0.0 => format!("{} ×", round(over / under)),
        _ => "not measured".to_owned(),
    };
    let flood = |which, size| of(which, size, "flood", seen);
    let elsewhere = |size| of(Which::Compatible, size, "elsewhere", "ns per packet, with the sender's");
    let rows = [
        (
            "CPU per spoofed SYN in a flood, beside the floor",
            ratio(flood(Which::Sequence, 1), flood(Which::FloorSequence, 1)),
            "≤ 1.5 ×",
        ),
        (
            "the same, knockd's beside ours",
            ratio(flood(Which::Knockd, 1), flood(Which::Sequence, 1)),
            "≥ 200 ×",
        ),
        (
            "CPU per datagram of noise, captured, beside the floor",
            ratio(flood(Which::Captured, 1), flood(Which::FloorCaptured, 1)),
            "≤ 1.5 ×",
        ),
        ("the same by socket", ratio(flood(Which::Listening, 1), flood(Which::FloorListening, 1)), "≤ 1.5 ×"),
        (
            "the same, captured, with 1,000 devices beside 1",
            ratio(flood(Which::Captured, MANY), flood(Which::Captured, 1)),
            "≤ 1.05 ×",
        ),
        (
            "the same with 100,000 devices beside 1",
            ratio(flood(Which::Captured, MOST), flood(Which::Captured, 1)),
            "≤ 1.05 ×",
        ),
        (
            "the same, fwknopd's with 1,000 users beside ours",
            ratio(flood(Which::Fwknopd, MANY), flood(Which::Listening, MANY)),
            "–",
        ),
        (
            "knock to firewall open at rest, knockd's beside ours",
            ratio(of(Which::Knockd, 1, "open", "p50"), of(Which::Sequence, 1, "open", "p50")),
            "≥ 80 ×",
        ),
        (
            "SYN to ports of no door, with the sender's time, 1,000 compatible doors beside 1",
            ratio(elsewhere(MANY), elsewhere(1)),
            "≤ 1.1 ×",
        ),
        ("slow knocks (150 ms pauses) honoured in a flood, large table", slow(results), "24 of 24"),
    ];
    let mut text = String::from("| ratio of this run | reached | goal |\n|---|---:|---:|\n");
    for (words, reached, goal) in rows {
        writeln!(text, "| {words} | {reached} | {goal} |").expect("text");
    }
    text
}

fn slow(results: &Results) -> String {
    let of = |name| results.of(Which::LargeTable.name(), 1, "slow knocks", name);
    match (of("honoured"), of("knocks")) {
        (Some(honoured), Some(knocks)) => format!("{honoured} of {knocks}"),
        _ => "not measured".to_owned(),
    }
}

/// Puts the tables into the document.
pub(crate) fn write(path: &Path, tables: &str) {
    let text = std::fs::read_to_string(path).expect("the document");
    let (before, rest) = text.split_once(BEGIN).expect("where the tables begin");
    let (_, after) = rest.split_once(END).expect("where they end");
    std::fs::write(path, format!("{before}{BEGIN}\n{tables}\n{END}{after}")).expect("written");
    println!("written: {}", path.display());
}
