//! Commands that never run, times that nothing uses, and placeholders that nobody replaces.

use std::time::Duration;

use aldaba_runner::door::{Action, Commands, PerFamily, Style, Template};

use super::{Subject, firewall};
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::Findings;

/// What can be said of one door's commands.
pub(super) fn of_door(subject: &Subject<'_>, findings: &mut Findings) {
    for (template, at) in subject.templates() {
        findings.list.extend(misspelled(template, at));
    }
    match &subject.door.action {
        Action::Command(commands) => {
            findings.list.extend(no_lease(subject, commands));
            findings.list.extend(idle_lease(subject, commands));
            findings.list.extend(only_v6(subject, commands));
        }
        // Where something was refused, that may have been its command.
        Action::LogOnly if subject.door.style == Style::Knockd && !findings.refused() => {
            findings.list.push(runs_nothing(subject));
        }
        Action::LogOnly | Action::Nftables(_) => {}
    }
}

/// A placeholder in the other file's or in no spelling.
fn misspelled(template: &Template, at: &Place) -> Option<Diagnostic> {
    let (Template::Shell(line), text) = (template, firewall::text(template)) else { return None };
    let upper = text.to_ascii_uppercase();
    let any_case = upper.match_indices("%IP%").map(|(begin, _)| begin);
    let wrong = any_case.filter_map(|begin| line.get(begin..begin + 4)).find(|found| *found != "%IP%");
    let wrong = wrong.or_else(|| line.contains("{ip}").then_some("{ip}"))?;
    let message = format!("{wrong} is not replaced by the client's address");
    Some(Diagnostic::warning("misspelled-placeholder", at, message).help("write %IP%, in capitals"))
}

fn has_stop(commands: &Commands) -> bool {
    commands.stop != PerFamily::default()
}

fn no_lease(subject: &Subject<'_>, commands: &Commands) -> Option<Diagnostic> {
    let at = subject.places.lease.as_ref()?;
    let none = has_stop(commands) && !commands.never_stop && subject.door.lease == Duration::ZERO;
    none.then(|| {
        Diagnostic::warning("no-lease", at, "the stop command runs at once: nobody gets through this door")
            .help("give the time a client needs to connect, 10 seconds for example")
    })
}

fn idle_lease(subject: &Subject<'_>, commands: &Commands) -> Option<Diagnostic> {
    let at = subject.places.lease.as_ref()?;
    (!has_stop(commands) && subject.door.style == Style::Knockd).then(|| {
        Diagnostic::warning("idle-time", at, "without a stop command this time changes nothing")
            .help("add a stop command that closes the door, or remove this line")
    })
}

fn only_v6(subject: &Subject<'_>, commands: &Commands) -> Option<Diagnostic> {
    let at = subject.places.start.v6.as_ref()?;
    commands.start.v4.is_none().then(|| {
        Diagnostic::warning("only-v6", at, "IPv4 clients knock here in vain: this runs for IPv6 clients only")
            .help("add a start command for IPv4, unless that is meant")
    })
}

/// knockd.conf alone: in aldaba.toml a door says `log-only` where that is meant.
fn runs_nothing(subject: &Subject<'_>) -> Diagnostic {
    match &subject.places.stop.v4 {
        Some(stop) => {
            Diagnostic::warning("stop-never-runs", stop, "a stop command runs after a start command only")
                .help("add a start command, or call this one the start command")
        }
        None => Diagnostic::warning("runs-nothing", &subject.places.name, "this door does nothing but log")
            .help("add a start command, unless that is meant"),
    }
}
