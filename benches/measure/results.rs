//! What was measured: rows, their medians, and how they are written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::steps::quantiles;
use crate::subject::Subject;

/// Of a set of times.
pub(crate) struct Quantiles {
    pub(crate) middle: Duration,
    pub(crate) worst: Duration,
}

/// One measurement of one daemon. Times are in microseconds, memory in KiB.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) subject: &'static str,
    pub(crate) size: u32,
    pub(crate) what: &'static str,
    pub(crate) values: BTreeMap<&'static str, f64>,
}

impl Row {
    pub(crate) fn new(subject: &Subject, what: &'static str) -> Self {
        Self { subject: subject.name, size: subject.size, what, values: BTreeMap::new() }
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

    pub(crate) fn knocks(self, knocks: u32, times: &mut [Duration]) -> Self {
        let row = self.number("knocks", knocks.into()).number("honoured", times.len() as f64);
        match quantiles(times) {
            Some(Quantiles { middle, worst }) => row.time("p50", Some(middle)).time("p99", Some(worst)),
            None => row,
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{:<28} {:>6} {:<12}", self.subject, self.size, self.what);
        for (name, value) in &self.values {
            write!(line, " {name} {},", round(*value)).expect("text takes text");
        }
        line.trim_end_matches(',').to_owned()
    }

    fn json(&self) -> String {
        let Self { subject, size, what, values } = self;
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
        let Some(first) = rows.first() else { return };
        let mut row = first.clone();
        for (name, value) in &mut row.values {
            let mut all: Vec<f64> = rows.iter().filter_map(|row| row.values.get(name).copied()).collect();
            all.sort_unstable_by(f64::total_cmp);
            *value = all[all.len() / 2];
        }
        println!("{}", row.line());
        self.0.push(row);
    }

    /// One value.
    pub(crate) fn of(&self, subject: &str, size: u32, what: &str, name: &str) -> Option<f64> {
        let row = self.0.iter().find(|row| row.subject == subject && row.size == size && row.what == what)?;
        row.values.get(name).copied()
    }

    /// One JSON object for each row.
    pub(crate) fn write(&self, path: &Path) {
        let lines: Vec<String> = self.0.iter().map(Row::json).collect();
        std::fs::write(path, lines.join("\n") + "\n").expect("written");
    }
}
