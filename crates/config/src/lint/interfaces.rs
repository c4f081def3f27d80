//! Interfaces on which nothing is heard.

use super::{Subject, subjects};
use crate::diagnostic::{Diagnostic, Place};
use crate::files::Files;
use crate::plan::{Findings, Plan};
use crate::policy::Interfaces;
use crate::suggest;

/// One entry for each interface there is.
const THERE_ARE: &str = "/sys/class/net";

/// Interfaces that do not exist at the moment: they may come, so this is only a hint.
pub(super) fn absent(plan: &Plan, files: &mut dyn Files, findings: &mut Findings) {
    let Ok(names) = files.list_dir(THERE_ARE.as_ref()) else { return };
    let mut there: Vec<String> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    there.sort();
    if there.is_empty() {
        return;
    }
    if let Interfaces::Named(wanted) = &plan.policy.daemon.interfaces {
        // Without a line of its own, knockd.conf means eth0: it is said of the whole file.
        let first = plan.doors.first().map(|places| places.name.source.whole());
        findings.list.extend(absent_of(wanted, plan.interfaces.as_ref().or(first.as_ref()), &there));
    }
    for subject in subjects(plan) {
        findings.list.extend(absent_of(&subject.rule.interfaces, subject.places.interfaces.as_ref(), &there));
    }
}

fn absent_of(wanted: &[String], at: Option<&Place>, there: &[String]) -> Option<Diagnostic> {
    // A label behind the name, as in eth0:1, is the same interface.
    let is_there = |name: &&String| {
        name.as_str() == "any" || there.iter().any(|there| Some(there.as_str()) == name.split(':').next())
    };
    let name = wanted.iter().find(|name| !is_there(name))?;
    let at = at?;
    let mut found =
        Diagnostic::warning("absent-interface", at, format!("there is no interface {name:?} now"));
    if at.span.is_none() {
        found = found.help(format!("where no interface is named, {name} is meant"));
    }
    Some(match suggest::nearest(name, there.iter().map(String::as_str)) {
        Some(near) => found.help(format!("did you mean {near}?")),
        None => found.help(format!("it is listened on once it comes; there are: {}", there.join(", "))),
    })
}

/// A door on an interface where nothing is captured.
pub(super) fn not_captured(subject: &Subject<'_>, plan: &Plan, findings: &mut Findings) {
    let Interfaces::Named(captured) = &plan.policy.daemon.interfaces else { return };
    let (Some(name), Some(place)) =
        (subject.rule.interfaces.iter().find(|name| !captured.contains(name)), &subject.places.interfaces)
    else {
        return;
    };
    let message = format!("nothing is captured on {name:?}: this door hears nothing there");
    let mut found = Diagnostic::warning("not-captured", place, message)
        .help(format!("add {name:?} to the `interfaces` at the top, or leave those out to capture on all"));
    if let Some(at) = &plan.interfaces {
        found = found.also(at, "only these");
    }
    findings.add(found);
}
