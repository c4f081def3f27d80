//! The daemon as a whole: `benches/run [--write]`, `benches/run [--quick] [NAME]` or `benches/run --curves`, as root.
//!
//! Two hosts in network namespaces, a flood between them, and beside aldaba a floor and the peers that are installed. Nothing
//! leaves the machine. All figures are medians of one run on one machine: their ratios mean something elsewhere, they
//! themselves do not.
//!
//! No harness: the doors run this program too, and so does the floor.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "it measures real programs in real time; figures of three digits"
)]

mod costs;
mod curves;
mod daemon;
mod disk;
mod document;
mod flood;
mod floor;
mod goals;
mod knocker;
mod machine;
mod picture;
mod plan;
mod results;
mod side_by_side;
mod steps;
mod subject;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use results::Row;

const DOCUMENT: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance-curves.svg";
/// So many doors, or users, for those who have many.
const MANY: u32 = 1_000;
/// Between one and many.
const FEW: u32 = 100;
/// So many users, for those who do not mind.
const MOST: u32 = 100_000;
/// Sources of a flood that are more than any table has room for.
const MILLION: u32 = 1_000_000;
/// A rate that every daemon here keeps up with.
const GENTLE: u32 = 5_000;
/// Between the packets of those who knock slowly.
const SLOW: Duration = Duration::from_millis(150);

/// What has taken this long is not measured again.
const LONG: Duration = Duration::from_secs(8);

/// How much is measured.
struct Scale {
    runs: usize,
    /// Rounds of what is measured in turn.
    rounds: usize,
    /// Knocks of a run at rest, and in a flood.
    resting: u32,
    knocks: u32,
    packets: u32,
    sources: u32,
}

const FULL: Scale =
    Scale { runs: 3, rounds: 5, resting: 100, knocks: 60, packets: 300_000, sources: MILLION };
const QUICK: Scale =
    Scale { runs: 1, rounds: 1, resting: 12, knocks: 12, packets: 100_000, sources: MILLION / 5 };

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.first().map(String::as_str) {
        Some("notify") => return knocker::notify(&words[1..]),
        Some("floor") => return floor::run(&words[1..]),
        Some("run") => {}
        _ => {
            println!("the daemon as a whole is measured by benches/run [--quick], as root");
            return ExitCode::SUCCESS;
        }
    }
    let has = |word: &str| words.iter().any(|given| given == word);
    let only: Vec<&String> = words[1..].iter().filter(|word| !word.starts_with('-')).collect();
    if has("--write") && (has("--quick") || !only.is_empty()) {
        eprintln!("error: only a whole run is written\n  help: benches/run --write");
        return ExitCode::from(2);
    }
    if aldaba_tests::cannot_run().is_some() || lacks_tools() {
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    println!("{}", machine::kind());
    if has("--curves") {
        draw();
        return ExitCode::SUCCESS;
    }
    let results = plan::all(if has("--quick") { &QUICK } else { &FULL }, &only);
    let lines = root().join("target/performance.jsonl");
    results.write(&lines);
    let sides = [side_by_side::table(&results), costs::kernel(&results), costs::disk(&results)];
    let goals = format!("{}\n\n{}", machine::kind(), goals::table(&results));
    let parts = [goals, sides.join("\n"), costs::attackers(&results)];
    println!("\n{}\n{} s; every row: {}", parts.join("\n"), begun.elapsed().as_secs(), lines.display());
    if has("--write") {
        document::write(&root().join(DOCUMENT), &parts);
        draw();
    }
    ExitCode::SUCCESS
}

fn draw() {
    std::fs::write(root().join(PICTURE), picture::draw(&curves::all())).expect("written");
    println!("written: {PICTURE}");
}

/// Whether something is not there that the two hosts are made with.
fn lacks_tools() -> bool {
    let is_there =
        |name: &&str| ["/usr/sbin", "/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    let missing: Vec<&str> =
        ["iptables", "ip", "sysctl"].into_iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        eprintln!("error: there is no {}\n  help: apt install iptables iproute2 procps", missing.join(", "));
    }
    !missing.is_empty()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

impl Scale {
    /// Measures so often.
    fn runs(&self, mut measure: impl FnMut() -> Row) -> Vec<Row> {
        let begun = Instant::now();
        let mut rows = vec![measure()];
        while rows.len() < self.runs && begun.elapsed() < LONG {
            rows.push(measure());
        }
        rows
    }
}
