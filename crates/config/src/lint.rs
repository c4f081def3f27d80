//! What is legal but cannot work, or is unsafe: warnings of `aldabad check`.
//!
//! Each lint looks at a finished policy, so it is written once for both kinds of file; the places beside the policy
//! say where to point. Loose files and the want of any door are pointed out at every start, the rest only by a check: an
//! administrator who has decided to live with a warning need not see it in every log.
//!
//! One of them is an error: an `aldaba.toml` without any door. An editor that died, a full disk or a `conf.d` that is not
//! mounted leaves an empty one, and it would take the guard away from every port.

mod commands;
mod files;
mod firewall;
mod interfaces;
mod knocks;
mod one_time;
mod programs;
mod shell;

use aldaba_gate::knock::Sequence;
use aldaba_gate::{DoorRule, Knock, SequenceSource};
use aldaba_runner::door::{Action, Door, PerFamily, Template};

use crate::files::Files;
use crate::plan::{DoorPlaces, Families, Findings, Plan};
use crate::{Diagnostic, Kind, Options, Place};

/// Runs them all.
pub(crate) fn all(plan: &Plan, files: &mut dyn Files, options: &Options, findings: &mut Findings) {
    files::loose(options.own_uid, plan, findings);
    findings.list.extend(no_doors(plan, findings));
    if !options.strict_check {
        return;
    }
    for subject in subjects(plan) {
        knocks::of_door(&subject, &plan.policy.gate.ignore, findings);
        knocks::ignored(&subject, plan, findings);
        interfaces::not_captured(&subject, plan, findings);
        commands::of_door(&subject, findings);
        programs::of_door(&subject, options.own_uid, files, findings);
        firewall::of_door(&subject, plan, findings);
    }
    knocks::shared(plan, findings);
    one_time::shared(plan, findings);
    firewall::never_closed(plan, findings);
    interfaces::absent(plan, files, findings);
}

/// A file in which nothing can be knocked at. One whose doors were refused has its errors. `knockd.conf` guards nothing, so
/// that it may stand empty, as it always could.
fn no_doors(plan: &Plan, findings: &Findings) -> Option<Diagnostic> {
    if !plan.doors.is_empty() || findings.refused() {
        return None;
    }
    let (main, _) = findings.files.first()?;
    let whole = main.whole();
    Some(match plan.kind {
        Kind::Toml => {
            Diagnostic::error("no-doors", &whole, "no door stands here: every port would stand open")
                .help(
                    "add a [[door]] with a name, a sequence or spa = true, and what it opens: aldaba.toml(5)",
                )
                .help("doors may also stand in files of their own, beside this one: conf.d/NAME.toml")
                .help("to do without any door: systemctl disable --now aldabad, then aldabad firewall remove")
        }
        Kind::Knockd => {
            Diagnostic::warning("no-doors", &whole, "no door stands here, so that nobody can knock")
                .help("add a door: its name in brackets, below it Sequence and Start_Command: knockd.conf(5)")
        }
    })
}

/// A door with everything that is known of it.
struct Subject<'a> {
    kind: Kind,
    rule: &'a DoorRule,
    door: &'a Door,
    places: &'a DoorPlaces,
}

impl<'a> Subject<'a> {
    /// Its knocks with the place of each one's sequence.
    fn knocks(&self) -> impl Iterator<Item = (&'a Knock, &'a Place)> {
        // A knock whose sequence has no place of its own is pointed at by the door's name.
        let places = self.places.sequences.iter().chain(std::iter::repeat(&self.places.name));
        self.rule.knocks.iter().zip(places)
    }

    /// The sequences that stay, with their places.
    fn fixed(&self) -> impl Iterator<Item = (&'a Sequence, &'a Place)> {
        let fixed = |knock: &'a Knock| match &knock.source {
            SequenceSource::Fixed(sequence) => Some(sequence),
            SequenceSource::OneTime(_) => None,
        };
        self.knocks().filter_map(move |(knock, place)| Some((fixed(knock)?, place)))
    }

    /// Each command once, with its place.
    fn templates(&self) -> Vec<(&'a Template, &'a Place)> {
        let Action::Command(commands) = &self.door.action else { return Vec::new() };
        let start = placed(&commands.start, &self.places.start);
        start.chain(placed(&commands.stop, &self.places.stop)).collect()
    }
}

fn placed<'a>(
    templates: &'a PerFamily,
    places: &'a Families,
) -> impl Iterator<Item = (&'a Template, &'a Place)> {
    let v4 = templates.v4.as_ref().zip(places.v4.as_ref());
    let v6 = templates.v6.as_ref().filter(|v6| templates.v4.as_ref() != Some(v6)).zip(places.v6.as_ref());
    v4.into_iter().chain(v6)
}

/// The sequence in force.
fn current(knock: &Knock) -> Option<&Sequence> {
    match &knock.source {
        SequenceSource::Fixed(sequence) => Some(sequence),
        SequenceSource::OneTime(sequence) => sequence.as_ref(),
    }
}

fn subjects(plan: &Plan) -> impl Iterator<Item = Subject<'_>> {
    let doors = plan.policy.gate.doors.iter().zip(&plan.policy.catalogue.doors);
    doors.zip(&plan.doors).map(|((rule, door), places)| Subject { kind: plan.kind, rule, door, places })
}

#[cfg(test)]
mod tests;
