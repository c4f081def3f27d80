//! One-time sequences that are not for one time.

use std::collections::HashMap;
use std::path::Path;

use super::subjects;
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{Findings, Plan};
use crate::policy::Current;

/// Knocks that take their sequences from the same file, and sequences that stand in front of one.
pub(super) fn shared(plan: &Plan, findings: &mut Findings) {
    let doors: Vec<_> = subjects(plan).collect();
    let mut first: HashMap<&Path, (&str, &Place)> = HashMap::new();
    for file in &plan.policy.one_time {
        let Some(subject) = usize::try_from(file.door.0).ok().and_then(|door| doors.get(door)) else {
            continue;
        };
        let Some((_, at)) = subject.knocks().nth(usize::from(file.knock)) else { continue };
        if let Some((other, before)) = first.get(file.path.as_path()) {
            let message = format!("{} serves door {other:?} too", file.path.display());
            findings.add(
                Diagnostic::warning("shared-file", at, message)
                    .also(before, "here")
                    .help("give each its own file, or one knock opens both and marks two lines"),
            );
        } else {
            first.insert(&file.path, (&subject.rule.name, at));
        }
        if file.current == Current::Written {
            let message =
                format!("this sequence counts once, then the first line of {}", file.path.display());
            findings.add(
                Diagnostic::warning("counts-once", at, message)
                    .help("it counts once more after each reload and start: put it into the file instead"),
            );
        }
    }
}
