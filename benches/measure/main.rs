//! The daemon as a whole: `benches/run [--quick] [--curves] [--write] [NAME]`, as root.
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

mod curves;
mod daemon;
mod flood;
mod floor;
mod goals;
mod knocker;
mod machine;
mod picture;
mod results;
mod steps;
mod subject;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flood::{Flood, Traffic};
use results::Results;
use steps::Bench;
use subject::{Door, Subject, Way, Which};

const DOCUMENT: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance-curves.svg";
/// So many doors, or users, for those who have many.
const MANY: u32 = 1_000;
/// So many users, for those who do not mind.
const MOST: u32 = 100_000;
/// Sources of a flood that are more than any table has room for.
const MILLION: u32 = 1_000_000;
/// A rate that every daemon here keeps up with.
const GENTLE: u32 = 5_000;
/// Between the packets of those who knock slowly.
const SLOW: Duration = Duration::from_millis(150);

/// How much is measured.
struct Scale {
    runs: usize,
    knocks: u32,
    packets: u32,
    sources: u32,
}

const FULL: Scale = Scale { runs: 3, knocks: 60, packets: 600_000, sources: MILLION };
const QUICK: Scale = Scale { runs: 1, knocks: 12, packets: 100_000, sources: MILLION / 5 };

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
    if aldaba_tests::cannot_run().is_some() {
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    println!("{}", machine::kind());
    if has("--curves") {
        let curves = curves::all();
        std::fs::write(root().join(PICTURE), picture::draw(&curves)).expect("written");
        println!("written: {PICTURE}");
        return ExitCode::SUCCESS;
    }
    let only: Vec<&String> = words[1..].iter().filter(|word| !word.starts_with('-')).collect();
    let results = all(if has("--quick") { &QUICK } else { &FULL }, &only);
    let lines = root().join("target/performance.jsonl");
    results.write(&lines);
    let table = goals::table(&results);
    println!("\n{table}\n{} s; every row: {}", begun.elapsed().as_secs(), lines.display());
    if has("--write") {
        goals::write(&root().join(DOCUMENT), &format!("{}\n\n{table}", machine::kind()));
    }
    ExitCode::SUCCESS
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

/// Measures all there is, or what is named.
fn all(scale: &Scale, only: &[&String]) -> Results {
    machine::go_first();
    machine::settle_on(machine::GENERATOR);
    let mut bench = Bench::new(scale.knocks);
    let mut results = Results::default();
    for which in Which::ALL {
        if !only.is_empty() && !only.iter().any(|word| which.name().contains(word.as_str())) {
            continue;
        }
        if !which.is_installed() {
            println!("{}: not installed", which.name());
            continue;
        }
        // In memory: how long a disk takes to make a record durable is not what is looked at here.
        let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
        measure(&mut bench, &mut results, which, scale, dir.path());
    }
    results
}

fn measure(bench: &mut Bench, results: &mut Results, which: Which, scale: &Scale, dir: &Path) {
    let full = |traffic| Flood { traffic, packets: scale.packets, rate: None };
    if which == Which::LargeTable {
        let subject = which.prepare(dir, 1, Door::Tells);
        let long = Flood { packets: scale.packets * 5, ..full(subject.attack()) };
        results.add(&[bench.flood(&subject, "slow knocks", long, SLOW)]);
        return;
    }
    if which == Which::Compatible {
        for size in [1, MANY] {
            let subject = which.prepare(dir, size, Door::Tells);
            let runs = 0..scale.runs;
            let rows: Vec<_> = runs
                .map(|_| bench.flood(&subject, "elsewhere", full(Traffic::Elsewhere), Duration::ZERO))
                .collect();
            results.add(&rows);
        }
        return;
    }
    for size in which.sizes() {
        measure_size(bench, results, which, scale, &which.prepare(dir, *size, Door::Tells));
    }
    if which.opens() {
        results.add(&[bench.open(&which.prepare(dir, 1, Door::Opens))]);
    }
}

/// With so many doors or users.
fn measure_size(bench: &mut Bench, results: &mut Results, which: Which, scale: &Scale, subject: &Subject) {
    let full = |traffic| Flood { traffic, packets: scale.packets, rate: None };
    let runs = 0..scale.runs;
    let (attack, none) = (subject.attack(), Duration::ZERO);
    results.add(&[bench.start(subject)]);
    if subject.size == 1 {
        results.add(&[bench.idle(subject)]);
        let gentle = Flood { traffic: attack, packets: GENTLE / 2, rate: Some(GENTLE) };
        results.add(&[bench.flood(subject, "gentle", gentle, none)]);
    }
    let rows: Vec<_> = runs.map(|_| bench.flood(subject, "flood", full(attack), none)).collect();
    results.add(&rows);
    if which.way() == Way::Sequence {
        results.add(&[bench.flood(subject, "elsewhere", full(Traffic::Elsewhere), none)]);
    }
    if which == Which::Sequence {
        results.add(&[bench.start_again(subject)]);
        let many = Flood { packets: scale.sources, ..full(attack) };
        results.add(&[bench.flood(subject, "sources", many, none)]);
    }
}
