//! R10, R11, R14: a million packets from ever new sources, 50,000 a second. One flood shows all three: each SYN begins an attempt
//! and is worth a line of the log, and the daemon has 64 MB.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use super::*;

/// So many of them, however long it takes to send them.
const SOURCES: u64 = 1_000_000 / SLOWER as u64;
const KNOCKS: u64 = 20;
/// What is limited is what a process can allocate, so that running out would end it at once; the ring is the kernel's own memory
/// and not counted, nor is the program.
const LIMIT: [&str; 2] = ["prlimit", "--data=67108864"];

/// Steps are logged, and no attempt runs out of time: each packet that arrives is one line to be written or left out.
fn config(dir: &Path) -> String {
    let config = super::config(dir).replace("[[door]]\n", "[[door]]\nsequence-timeout = \"5m\"\n");
    config.replacen("[[door]]", "[log]\nstages = true\n[[door]]", 1)
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    sent: u64,
    seconds: u64,
    /// Of real knocks, at the first try.
    opened: usize,
    grown: u64,
    /// Frames that the kernel says it had no room for.
    lost: u64,
    said: String,
    /// What `aldabad status` said when all lines that were left out had been counted.
    status: serde_json::Value,
}

impl Outcome {
    fn lines(&self, begin: &str) -> usize {
        self.said.lines().filter(|line| line.starts_with(begin)).count()
    }

    fn counted(&self, kind: &str) -> u64 {
        let mut count = &self.status;
        for key in kind.split('/') {
            count = &count[key];
        }
        count.as_u64().unwrap_or_else(|| panic!("no {kind} in {}", self.status))
    }

    /// Steps of sequences that the worker has seen: begun, gone on with, complete.
    fn steps(&self) -> [u64; 3] {
        ["started", "advanced", "completed"].map(|kind| self.counted(&format!("packets/sequences/{kind}")))
    }

    /// Whether each step is a line, or among those that lines count.
    fn is_counted(&self) -> bool {
        let written = self.lines("stage ") as u64;
        written + sum(&self.said, "stages-left-out lines=") == self.steps().iter().sum::<u64>()
    }
}

/// The flood, whoever asks first; `None` where this machine cannot run it.
fn outcome() -> Option<&'static Outcome> {
    static OUTCOME: OnceLock<Option<Outcome>> = OnceLock::new();
    let outcome = OUTCOME.get_or_init(flood).as_ref()?;
    assert!(outcome.sent >= SOURCES, "{} of {SOURCES} sent in {} s", outcome.sent, outcome.seconds);
    Some(outcome)
}

fn flood() -> Option<Outcome> {
    let scene = scene_of(&LIMIT, config)?;
    scene.knock(&[7200, 8200, 9200], "ssh").expect("opens at rest");
    let (before, lost_before) = (scene.resident(), lost_on_the_way(&status(scene.dir.path())));
    let (begun, reached) = (Instant::now(), AtomicU64::new(0));
    let frame = |number: u64| {
        reached.store(number, Ordering::Relaxed);
        syn(number, &[7000])
    };
    let wait_for = |number: u64| until(Wire::LONGEST, || reached.load(Ordering::Relaxed) >= number);
    let (sent, times) = scene.flooded(50_000 / SLOWER, frame, || {
        let knock = |number: u64| {
            wait_for(SOURCES / KNOCKS * number)?;
            scene.knock(&[7200, 8200, 9200], "ssh")
        };
        let times: Vec<_> = (0..KNOCKS).map(knock).collect();
        wait_for(SOURCES);
        times
    });
    let (grown, seconds) = (scene.resident().saturating_sub(before), begun.elapsed().as_secs() + 1);
    let opened = times.iter().flatten().count();
    let now = || {
        let (status, said) = (status(scene.dir.path()), scene.daemon.said());
        let lost = lost_on_the_way(&status) - lost_before;
        Outcome { sent, seconds, opened, grown, lost, said, status }
    };
    // The worker counts what it leaves out, and says so once there is room for a line.
    until(Duration::from_secs(10), || now().is_counted());
    Some(now())
}

#[test]
fn r10_junk_costs_few_lines_and_an_honest_count() {
    let Some(outcome) = outcome() else { return };
    // Lines of real knocks are no junk's.
    let of_knocks = outcome.said.lines().filter(|line| line.contains(&format!(" address={CLIENT} "))).count();
    let lines = outcome.said.lines().count() - of_knocks;
    let left_out = outcome.counted("log/left-out/stages");
    println!("figure: R10 {lines} lines for {} junk packets, {left_out} counted as left out", outcome.sent);
    // Where the machine takes longer than half a minute to send them, each second has its line.
    let most = 100.max(70 + usize::try_from(outcome.seconds).expect("minutes"));
    assert!(lines <= most, "{lines} lines in {} s:\n{}", outcome.seconds, outcome.said);
    assert!(outcome.is_counted(), "{:?}:\n{}", outcome.steps(), outcome.said);
    assert_eq!(sum(&outcome.said, "stages-left-out lines="), left_out, "{}", outcome.said);
    // The rest found a queue full, as on any wire, and each of them is counted there.
    let ([begun, ..], Outcome { sent, lost, .. }) = (outcome.steps(), outcome);
    assert!(begun >= sent / 2 && begun + lost >= *sent, "{begun} of {sent} arrived, {lost} were lost");
}

#[test]
fn r11_a_flood_of_sources_costs_no_memory_and_keeps_nobody_out() {
    let Some(outcome) = outcome() else { return };
    let Outcome { sent, opened, grown, said, .. } = outcome;
    println!(
        "figure: R11 {sent} spoofed sources: {opened} of {KNOCKS} knocks open, {} KiB more",
        grown / 1024
    );
    assert!(*opened >= 19, "{opened} of {KNOCKS}:\n{said}");
    // 65,536 attempts of 72 bytes, and what any flood costs once.
    assert!(*grown <= 65_536 * 72 + 2 * MEGABYTE, "{grown} bytes more");
}

#[test]
fn r14_a_flood_of_sources_fits_in_64_megabytes() {
    let Some(outcome) = outcome() else { return };
    let Outcome { sent, seconds, .. } = outcome;
    println!("figure: R14 {sent} spoofed sources in {seconds} s within 64 MB: no process has ended");
    assert_eq!(outcome.lines("worker-ended") + outcome.lines("closer-ended"), 0, "{}", outcome.said);
    assert_eq!(outcome.counted("worker/restarts"), 0);
}
