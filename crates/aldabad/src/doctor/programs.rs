//! What the commands of doors start: whether it is there, can be started, and is nobody's to change but root's. The lints of
//! `aldabad check` know.

use aldaba_config::{Diagnostic, Disk, Kind, Options, Policy};
use aldaba_runner::door::Action;

use super::{DoctorArgs, Finding, Grade};
use crate::surroundings::Surroundings;

/// The lints that speak of programs, and how grave each is.
const LINTS: [(&str, Grade); 4] = [
    ("no-such-program", Grade::Bad),
    ("not-executable", Grade::Bad),
    ("loose-program", Grade::Bad),
    ("relative-program", Grade::Doubtful),
];

pub(super) fn look(args: &DoctorArgs, policy: &Policy, surroundings: &Surroundings) -> Vec<Finding> {
    if !policy.catalogue.doors.iter().any(|door| matches!(door.action, Action::Command(_))) {
        return Vec::new();
    }
    let options = Options { own_uid: surroundings.uid, strict_check: true, ..Options::default() };
    let file = &args.ask.config;
    // It was read a moment ago: without errors then, it has none worth a word here.
    let Ok(loaded) = aldaba_config::load(Kind::of(file), file, &mut Disk, &options) else {
        return Vec::new();
    };
    let findings: Vec<Finding> = loaded.warnings.iter().filter_map(finding).collect();
    if findings.is_empty() {
        let seen = "the programs of all commands are there, and nobody but root can change them";
        return vec![Finding::good("command", seen)];
    }
    findings
}

fn finding(found: &Diagnostic) -> Option<Finding> {
    let (_, grade) = LINTS.iter().find(|(code, _)| *code == found.code)?;
    let (file, line) = (found.place.source.name(), found.place.line_column().map_or(0, |(line, _)| line));
    let seen = format!("{} ({file}, line {line})", found.message);
    Some(Finding {
        grade: *grade,
        about: "command",
        seen,
        help: (!found.help.is_empty()).then(|| found.help.join("; ")),
    })
}
