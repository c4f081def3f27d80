//! What was measured: rows, their medians, and how they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::subject::Subject;

/// Where a value stands: whose, with how many doors or users, in which measurement, by which name.
pub(crate) type Point = (&'static str, u32, &'static str, &'static str);

/// Names of values: of the daemon's processor time.
pub(crate) const SEEN: &str = "cpu ns per packet seen";
pub(crate) const SENT: &str = "cpu ns per packet sent";
/// Of the kernel's for it: what the sender takes more than with nobody listening.
pub(crate) const KERNEL: &str = "sender ns more per packet";
/// Of both, with all the sender does.
pub(crate) const WITH_SENDER: &str = "ns per packet, with the sender's";

/// One measurement of one daemon. Times are in microseconds, memory in KiB.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) subject: &'static str,
    pub(crate) size: u32,
    pub(crate) what: &'static str,
    values: BTreeMap<&'static str, f64>,
    /// How long each knock took; `None`: it was not honoured.
    knocks: Vec<Option<Duration>>,
}

impl Row {
    pub(crate) fn new(subject: &Subject, what: &'static str) -> Self {
        Self::of(subject.name, subject.size, what)
    }

    /// Of what is no daemon.
    pub(crate) const fn of(subject: &'static str, size: u32, what: &'static str) -> Self {
        Self { subject, size, what, values: BTreeMap::new(), knocks: Vec::new() }
    }

    pub(crate) fn number(mut self, name: &'static str, value: f64) -> Self {
        self.values.insert(name, value);
        self
    }

    pub(crate) fn time(self, name: &'static str, time: Option<Duration>) -> Self {
        match time {
            Some(time) => self.number(name, time.as_nanos() as f64 / 1_000.0),
            None => self,
        }
    }

    pub(crate) fn bytes(self, name: &'static str, bytes: u64) -> Self {
        self.number(name, bytes as f64 / 1_024.0)
    }

    /// So many knocks, of which those were honoured that took these times.
    pub(crate) fn knocks(mut self, knocks: u32, times: &[Duration]) -> Self {
        self.knocks = times.iter().copied().map(Some).collect();
        self.knocks.resize(knocks as usize, None);
        self
    }

    /// The medians of several runs; knocks count together.
    fn median(rows: &[Self]) -> Option<Self> {
        let mut row = Self { values: BTreeMap::new(), ..rows.first()?.clone() };
        let names: BTreeSet<&'static str> = rows.iter().flat_map(|row| row.values.keys().copied()).collect();
        for name in names {
            // A run without it is worse than any with it.
            let value = |row: &Self| row.values.get(name).copied().unwrap_or(f64::INFINITY);
            let mut all: Vec<f64> = rows.iter().map(value).collect();
            all.sort_unstable_by(f64::total_cmp);
            row.values.extend(
                Some(all[all.len() / 2]).filter(|value| value.is_finite()).map(|value| (name, value)),
            );
        }
        row.knocks = rows.iter().flat_map(|row| row.knocks.iter().copied()).collect();
        Some(row.number("runs", rows.len() as f64).counted())
    }

    /// With what its knocks come to. One that was not honoured took longer than all that were.
    fn counted(mut self) -> Self {
        let Some(last) = self.knocks.len().checked_sub(1) else { return self };
        self.knocks.sort_unstable_by_key(|time| time.unwrap_or(Duration::MAX));
        let (middle, worst) = (self.knocks[last / 2], self.knocks[last * 99 / 100]);
        let honoured = self.knocks.iter().flatten().count();
        let row = self.number("knocks", (last + 1) as f64).number("honoured", honoured as f64);
        row.time("p50", middle).time("p99", worst)
    }

    fn line(&self) -> String {
        let mut line = format!("{:<28} {:>6} {:<14}", self.subject, self.size, self.what);
        for (name, value) in &self.values {
            write!(line, " {name} {},", round(*value)).expect("text takes text");
        }
        line.trim_end_matches(',').to_owned()
    }

    fn json(&self) -> String {
        let Self { subject, size, what, values, .. } = self;
        serde_json::json!({ "daemon": subject, "size": size, "what": what, "values": values }).to_string()
    }
}

/// Three digits that say something.
pub(crate) fn round(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// All rows of a run.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<Row>);

impl Results {
    /// Takes what was measured several times as its medians, and says it.
    pub(crate) fn add(&mut self, rows: &[Row]) {
        if let Some(row) = Row::median(rows) {
            println!("{}", row.line());
            self.0.push(row);
        }
    }

    /// One value.
    pub(crate) fn at(&self, (subject, size, what, name): Point) -> Option<f64> {
        let is = |row: &&Row| row.subject == subject && row.size == size && row.what == what;
        self.0.iter().find(is)?.values.get(name).copied()
    }

    /// Which part of the knocks was honoured, and how that is written.
    pub(crate) fn honoured(&self, subject: &'static str, what: &'static str) -> Option<(f64, String)> {
        let of = |name| self.at((subject, 1, what, name));
        let (honoured, knocks) = (of("honoured")?, of("knocks")?);
        Some((honoured / knocks, format!("{honoured} of {knocks}")))
    }

    /// One JSON object for each row.
    pub(crate) fn write(&self, path: &Path) {
        let lines: Vec<String> = self.0.iter().map(Row::json).collect();
        std::fs::write(path, lines.join("\n") + "\n").expect("written");
    }
}
