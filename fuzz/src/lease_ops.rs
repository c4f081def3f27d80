//! Any order of grants, closes, endings, failures, reloads, crashes, reboots and shutdowns against the runner: every
//! opened door is closed exactly once, or is still open with a deadline ahead and a kernel timeout or a durable journal
//! entry (spec/leases.md, "Invariant"). The check runs after every single effect.

use aldaba_runner::model;

/// More operations than this find nothing new and take long.
const LONGEST: usize = 2048;

/// Runs the operations these bytes stand for in the world model.
pub fn run(data: &[u8]) {
    model::run(data.get(..LONGEST).unwrap_or(data));
}
