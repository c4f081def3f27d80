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
mod results;
mod side_by_side;
mod steps;
mod subject;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flood::{Flood, Traffic};
use results::{Results, Row};
use steps::Bench;
use subject::{Door, Subject, Way, Which};

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
    let results = all(if has("--quick") { &QUICK } else { &FULL }, &only);
    let lines = root().join("target/performance.jsonl");
    results.write(&lines);
    let tables = [
        side_by_side::table(&results),
        goals::table(&results),
        costs::kernel(&results),
        costs::disk(&results),
    ];
    let parts = [format!("{}\n\n{}", machine::kind(), tables.join("\n")), costs::attackers(&results)];
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

/// Measures all there is, or what is named.
fn all(scale: &'static Scale, only: &[&String]) -> Results {
    let _first = machine::go_first();
    machine::settle_on(machine::GENERATOR);
    let (mut bench, mut results) = (Bench::new(scale), Results::default());
    let is_asked = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(word.as_str()));
    for which in Which::ALL.into_iter().filter(|which| is_asked(which.name())) {
        if !which.is_installed() {
            println!("{}: not installed", which.name());
            continue;
        }
        // In memory: how long a disk takes to make a record durable is not what is looked at here.
        let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
        Measured { bench: &mut bench, results: &mut results, scale, which, dir: dir.path() }.all();
    }
    if is_asked(disk::NAME) {
        on_disk(&bench, &mut results, scale);
    }
    results
}

/// What waits for a disk: the one that this repository's results are on.
fn on_disk(bench: &Bench, results: &mut Results, scale: &Scale) {
    let dir = tempfile::tempdir_in(root().join("target")).expect("a folder");
    results.add(&scale.runs(|| disk::commit(dir.path(), scale.resting)));
    let subject = Which::Captured.prepare(dir.path(), 1, Door::Opens);
    results.add(&scale.runs(|| bench.open(&subject, "open on disk")));
    let subject = Which::Sequence.prepare(dir.path(), 1, Door::Tells);
    results.add(&scale.runs(|| bench.idle(&subject, "idle on disk")));
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

/// One of those that are measured, in all ways that say something of it.
struct Measured<'a> {
    bench: &'a mut Bench,
    results: &'a mut Results,
    scale: &'static Scale,
    which: Which,
    dir: &'a Path,
}

impl Measured<'_> {
    fn all(&mut self) {
        match self.which {
            Which::LargeTable => self.slow_knocks(),
            Which::Compatible => [1, FEW, MANY].into_iter().for_each(|size| self.kernel(size)),
            which => {
                which.sizes().iter().for_each(|size| self.with(*size));
                if which == Which::Captured {
                    self.in_turn();
                }
                if which.opens() {
                    let subject = which.prepare(self.dir, 1, Door::Opens);
                    self.results.add(&self.scale.runs(|| self.bench.open(&subject, "open")));
                }
            }
        }
    }

    /// With so many doors or users.
    fn with(&mut self, size: u32) {
        let subject = self.which.prepare(self.dir, size, Door::Tells);
        self.results.add(&self.scale.runs(|| self.bench.start(&subject)));
        let full = Flood { traffic: subject.attack(), packets: self.scale.packets, rate: None };
        self.flood(&subject, "flood", full);
        if size == 1 {
            self.results.add(&self.scale.runs(|| self.bench.idle(&subject, "idle")));
            self.flood(&subject, "gentle", Flood { packets: GENTLE / 2, rate: Some(GENTLE), ..full });
            // Knocks do not come so thick that they are a flood themselves.
            self.flood(&subject, "knocks", Flood { packets: full.packets * 2, ..full });
        } else if self.which.way() == Way::Sequence {
            self.flood(&subject, "elsewhere", Flood { traffic: Traffic::Elsewhere, ..full });
        }
        if self.which == Which::Sequence {
            self.results.add(&self.scale.runs(|| self.bench.start_again(&subject)));
            self.flood(&subject, "ignored", Flood { traffic: Traffic::Syn(subject::IGNORED), ..full });
        }
        if self.which == Which::Sequence || size == 1 && self.which.is_ours_by_datagram() {
            self.flood(&subject, "sources", Flood { packets: self.scale.sources, ..full });
        }
    }

    /// With one, many and most of them, one after the other and again: what is compared is measured side by side.
    fn in_turn(&mut self) {
        let subjects: Vec<Subject> = self
            .which
            .sizes()
            .iter()
            .map(|size| {
                let dir = self.dir.join(size.to_string());
                std::fs::create_dir(&dir).expect("a folder");
                self.which.prepare(&dir, *size, Door::Tells)
            })
            .collect();
        let mut rows = vec![Vec::new(); subjects.len()];
        for _ in 0..self.scale.rounds {
            for (subject, rows) in subjects.iter().zip(&mut rows) {
                let full = Flood { traffic: subject.attack(), packets: self.scale.packets, rate: None };
                rows.push(self.bench.flood(subject, "in turn", full, Duration::ZERO));
            }
        }
        for rows in &rows {
            self.results.add(rows);
        }
    }

    /// Packets of no knock, by how many doors have ports of their own: what the kernel does with them.
    fn kernel(&mut self, size: u32) {
        let subject = self.which.prepare(self.dir, size, Door::Tells);
        let full = |traffic| Flood { traffic, packets: self.scale.packets / 2, rate: None };
        let floods = [
            ("elsewhere", full(Traffic::Elsewhere)),
            ("standing", full(Traffic::Standing)),
            ("guarded", full(Traffic::Syn(subject::GUARDED))),
        ];
        for (what, flood) in floods {
            self.flood(&subject, what, flood);
        }
    }

    fn slow_knocks(&mut self) {
        let subject = self.which.prepare(self.dir, 1, Door::Tells);
        let long = Flood { traffic: subject.attack(), packets: self.scale.packets * 8, rate: None };
        self.results.add(&self.scale.runs(|| self.bench.flood(&subject, "slow knocks", long, SLOW)));
    }

    fn flood(&mut self, subject: &Subject, what: &'static str, flood: Flood) {
        let run = || self.bench.flood(subject, what, flood, Duration::ZERO);
        self.results.add(&self.scale.runs(run));
    }
}
