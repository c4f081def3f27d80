//! Every figure of every daemon, side by side.

use std::fmt::Write as _;

use crate::results::{KERNEL, Point, Results, SEEN, SENT, round};
use crate::subject::Which;
use crate::{MANY, MOST};

/// A row of the table: what, in which measurement, by which name, at which size.
const LINES: [(&str, &str, &str, u32); 28] = [
    ("knock to command run at rest, p50, µs", "idle", "p50", 1),
    ("the same, p99, µs", "idle", "p99", 1),
    ("CPU of the daemon for it, without the command's, µs", "idle", "cpu", 1),
    ("knock to firewall open at rest, p50, µs", "open", "p50", 1),
    ("the same, p99, µs", "open", "p99", 1),
    ("start to first knock honoured, ms", "start", "ready", 1),
    ("memory then, RSS of all its processes, KiB", "start", "resident", 1),
    ("the same, PSS, KiB", "start", "proportional", 1),
    ("start with 1,000 doors or users, ms", "start", "ready", MANY),
    ("the same where aldaba's table stands already, ms", "start again", "ready", MANY),
    ("memory then, RSS, KiB", "start", "resident", MANY),
    ("CPU per packet at 5,000/s, ns", "gentle", SEEN, 1),
    ("CPU per packet of a full flood, ns", "flood", SEEN, 1),
    ("the kernel's for it, in the sender's softirq, ns", "flood", KERNEL, 1),
    ("the daemon's with 1,000 doors or users, ns", "flood", SEEN, MANY),
    ("the same with 100,000 users, ns", "flood", SEEN, MOST),
    ("packets of the flood, a second", "flood", "sent per second", 1),
    ("packets of the flood not seen, %", "flood", "dropped %", 1),
    ("log in the flood, bytes a second", "flood", "log bytes per second", 1),
    ("knocks honoured in another flood", "knocks", "honoured", 1),
    ("the same, p50, µs", "knocks", "p50", 1),
    ("the same, p99, µs", "knocks", "p99", 1),
    ("memory grown by that flood, KiB", "knocks", "grown KiB", 1),
    ("the same by a million packets and no knock, KiB", "sources", "grown KiB", 1),
    ("of that not code, KiB", "sources", "grown KiB, written", 1),
    ("the same with 1,000 doors, KiB", "sources", "grown KiB", MANY),
    ("of that not code, KiB", "sources", "grown KiB, written", MANY),
    ("CPU per SYN to ports of no door, 1,000 doors, ns", "elsewhere", SENT, MANY),
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
            let cell = cell(results, words, (which.name(), size, what, name));
            write!(text, " {} |", cell.as_deref().unwrap_or("–")).expect("text");
        }
        text.push('\n');
    }
    text
}

fn cell(results: &Results, words: &str, point: Point) -> Option<String> {
    let value = results.at(point)?;
    if point.3 == "honoured" {
        return results.honoured(point.0, point.2).map(|(_, text)| text);
    }
    Some(round(if words.ends_with("ms") { value / 1_000.0 } else { value }))
}
