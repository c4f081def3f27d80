//! What callgrind writes: of every call from one function to another how often, and what it cost with all it called.

use std::collections::{BTreeMap, HashMap};

/// Instructions for each call of a stage, by its name.
pub(crate) type Counts = BTreeMap<String, u64>;

/// The word this program is started with under callgrind.
pub(crate) const COUNT: &str = "count";

/// Functions of this module are stages.
const STAGES: &str = "::counted::stage_";

/// The stages among the functions called.
pub(crate) fn read(text: &str) -> Counts {
    // A name stands beside its number once, and then the number alone.
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut totals: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut callee = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            callee = line.starts_with("cfn=").then(|| names.get(number)).flatten().copied();
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let cost = lines.next().and_then(|line| line.split(' ').nth(1)).map_or(0, number);
            let calls = calls.split(' ').next().map_or(0, number);
            if let Some((_, stage)) = callee.and_then(|name| name.split_once(STAGES)) {
                let total = totals.entry(stage.replace('_', "-")).or_default();
                *total = (total.0 + calls, total.1 + cost);
            }
        }
    }
    totals.into_iter().map(|(stage, (calls, cost))| (stage, cost / calls.max(1))).collect()
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number of callgrind's")
}
