//! Programs of commands that are not there: better said now than at the first knock. They may come later.

use std::collections::BTreeSet;
use std::time::Duration;

use aldaba_runner::door::{Action, Catalogue, Style, Template};
use aldaba_sys::spawn;

use super::Monitor;
use crate::log::Level;
use crate::wording::quoted;

impl Monitor {
    /// Says which programs are not there, once each, and when they are again.
    pub(super) fn look_for_programs(&mut self, now: Duration) {
        let missing = missing(&self.policy.current().policy.catalogue);
        for program in missing.difference(&self.missing_programs).cloned().collect::<Vec<_>>() {
            let error =
                format!("there is no program {program}: doors that need it open for nobody or stay open");
            self.degraded(now, "command", &error);
        }
        for program in self.missing_programs.difference(&missing) {
            self.speech.tell(Level::Notice, format!("program-found path={}", quoted(program)));
        }
        if !missing.is_empty() {
            self.try_again(now);
        }
        self.missing_programs = missing;
    }
}

/// Of doors in aldaba.toml; what a line for a shell runs is the shell's to find.
fn missing(catalogue: &Catalogue) -> BTreeSet<String> {
    let native = catalogue.doors.iter().filter(|door| door.style == Style::Native);
    let commands = native.filter_map(|door| match &door.action {
        Action::Command(commands) => Some(commands),
        _ => None,
    });
    let templates = commands.flat_map(|of| [&of.start.v4, &of.start.v6, &of.stop.v4, &of.stop.v6]).flatten();
    let programs = templates.filter_map(|template| match template {
        Template::Argv(words) => words.first(),
        Template::Shell(_) => None,
    });
    programs.filter(|program| !spawn::is_there(program)).cloned().collect()
}
