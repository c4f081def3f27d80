//! Who may read and write the files.

use std::path::Path;

use super::subjects;
use crate::diagnostic::Diagnostic;
use crate::plan::{Findings, Plan};

pub(super) const OTHERS_WRITE: u32 = 0o002;
pub(super) const GROUP_WRITES: u32 = 0o020;
const OTHERS_READ: u32 = 0o004;

/// Files that somebody but root, or the user the daemon runs as, can change: whoever can decides what root runs. In a strict check
/// also those that others can read, where there are sequences in them.
pub(super) fn loose(own_uid: u32, plan: &Plan, findings: &mut Findings) {
    let mut found = Vec::new();
    let has_sequences = |name: &str| {
        let written = subjects(plan).any(|door| door.fixed().any(|(_, at)| at.source.name() == name));
        written || plan.policy.one_time.iter().any(|file| file.path.as_path() == Path::new(name))
    };
    for (source, facts) in &findings.files {
        let (at, name) = (source.whole(), source.name());
        if facts.uid != 0 && facts.uid != own_uid {
            let message =
                format!("the user with number {} owns this file and can change what is run", facts.uid);
            found.push(Diagnostic::warning("loose-file", &at, message).help(format!("chown root {name}")));
        }
        if facts.mode & (OTHERS_WRITE | GROUP_WRITES) != 0 {
            let who = if facts.mode & OTHERS_WRITE != 0 { "everybody" } else { "its group" };
            let message = format!("{who} can write to this file, and so decide what is run");
            found.push(Diagnostic::warning("loose-file", &at, message).help(format!("chmod go-w {name}")));
        }
        if findings.strict && facts.mode & OTHERS_READ != 0 && has_sequences(name) {
            let message = "everybody on this host can read the sequences";
            found.push(Diagnostic::warning("readable-file", &at, message).help(format!("chmod o-r {name}")));
        }
    }
    findings.list.extend(found);
}
