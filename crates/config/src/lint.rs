//! What is legal but cannot work, or is unsafe: warnings of `aldabad check`.
//!
//! Each lint looks at a finished policy, so it is written once for both kinds of file; the places beside the policy
//! say where to point. Loose files are pointed out at every start, the rest only by a check: an administrator who has
//! decided to live with a warning need not see it in every log.

mod commands;
mod files;
mod knocks;

use aldaba_gate::knock::Sequence;
use aldaba_gate::{DoorRule, Knock, SequenceSource};
use aldaba_runner::door::Door;

use crate::files::Files;
use crate::plan::{DoorPlaces, Findings, Plan};
use crate::{Options, Place};

/// Runs them all.
pub(crate) fn all(plan: &Plan, files: &mut dyn Files, options: &Options, findings: &mut Findings) {
    files::loose(options.own_uid, !plan.policy.gate.doors.is_empty(), findings);
    if !options.strict_check {
        return;
    }
    for subject in subjects(plan) {
        knocks::of_door(&subject, &plan.policy.gate.ignore, findings);
        knocks::ignored(&subject, plan, findings);
        knocks::not_captured(&subject, plan, findings);
        commands::of_door(&subject, files, findings);
    }
    knocks::shared(plan, findings);
    commands::never_closed(plan, findings);
}

/// A door with everything that is known of it.
struct Subject<'a> {
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
    doors.zip(&plan.doors).map(|((rule, door), places)| Subject { rule, door, places })
}

#[cfg(test)]
mod tests;
