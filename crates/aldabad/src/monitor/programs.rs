//! Programs of commands that are not there: better said now than at the first knock. They may come later.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aldaba_runner::door::{Action, Catalogue, Style, Template};
use aldaba_sys::spawn;

use super::Monitor;
use crate::log::Level;
use crate::wording::quoted;

/// A program that is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MissingProgram {
    /// Its name, as the command has it.
    pub(super) program: String,
    /// A door that needs it.
    pub(super) door: String,
}

impl Monitor {
    /// Says which programs are not there, once each, and when they are again.
    pub(super) fn look_for_programs(&mut self, now: Duration) {
        let missing = missing(&self.policy.current().policy.catalogue);
        let before = std::mem::replace(&mut self.missing_programs, missing);
        let programs = |of: &BTreeSet<MissingProgram>| -> BTreeSet<String> {
            of.iter().map(|missing| missing.program.clone()).collect()
        };
        let (before, missing) = (programs(&before), programs(&self.missing_programs));
        for program in missing.difference(&before) {
            let error =
                format!("there is no program {program}: doors that need it open for nobody or stay open");
            self.degraded(now, "command", &error);
        }
        for program in before.difference(&missing) {
            self.speech.tell(Level::Notice, format!("program-found path={}", quoted(program)));
        }
        if !missing.is_empty() {
            self.try_again(now);
        }
    }
}

/// Of doors in aldaba.toml; what a line for a shell runs is the shell's to find.
fn missing(catalogue: &Catalogue) -> BTreeSet<MissingProgram> {
    let native = catalogue.doors.iter().filter(|door| door.style == Style::Native);
    let needed = native.flat_map(|door| programs(&door.action).map(move |program| (program, door)));
    // A thousand doors may run one program: it is looked for once.
    let mut there: HashMap<&String, bool> = HashMap::new();
    let gone =
        needed.filter(|(program, _)| !*there.entry(*program).or_insert_with(|| spawn::is_there(program)));
    gone.map(|(program, door)| MissingProgram { program: program.clone(), door: door.name.clone() }).collect()
}

/// What the commands of a door start.
fn programs(action: &Action) -> impl Iterator<Item = &String> {
    let commands = match action {
        Action::Command(commands) => Some(commands),
        _ => None,
    };
    let templates =
        commands.into_iter().flat_map(|of| [&of.start.v4, &of.start.v6, &of.stop.v4, &of.stop.v6]).flatten();
    templates.filter_map(|template| match template {
        Template::Argv(words) => words.first(),
        Template::Shell(_) => None,
    })
}
