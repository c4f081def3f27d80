//! `aldabad reload`: the running daemon reads its configuration again, and its answer is shown here.

use std::process::ExitCode;

use crate::cli::AskArgs;
use crate::control::{self, Answer, ReloadRefused, Reloaded, Request, unanswered};
use crate::log::{aloud, aside};
use crate::surroundings::Surroundings;

/// The configuration has errors.
const BAD_CONFIG: u8 = 2;

/// Runs the command.
#[must_use]
pub fn run(args: &AskArgs, surroundings: &Surroundings) -> ExitCode {
    match control::ask(&args.socket(surroundings), &Request::Reload) {
        Ok(Answer::Reloaded(reloaded)) => {
            say(&reloaded);
            ExitCode::SUCCESS
        }
        Ok(Answer::ReloadRefused(refused)) => say_refused(&refused),
        other => unanswered(other),
    }
}

/// What came into force.
pub(crate) fn say(reloaded: &Reloaded) {
    for warning in &reloaded.warnings {
        aside(&format!("{}\n", shown(warning)));
    }
    aloud(&summary(reloaded));
}

/// What is wrong with the new configuration.
pub(crate) fn say_refused(ReloadRefused { report, .. }: &ReloadRefused) -> ExitCode {
    aside(&format!(
        "{}aldabad: the old configuration stays in force\n  help: mend the file, then run this again",
        shown(report)
    ));
    ExitCode::from(BAD_CONFIG)
}

fn summary(Reloaded { doors, warnings }: &Reloaded) -> String {
    let (doors, warnings) = (counted(*doors, "door"), counted(warnings.len(), "warning"));
    format!("reloaded: the new configuration is in force ({doors}, {warnings})")
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A report of several lines, without anything that moves a terminal's cursor.
pub(crate) fn shown(report: &str) -> String {
    let lines: Vec<String> = report.split('\n').map(crate::log::printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_into_force_is_counted() {
        let of = |doors, warnings| summary(&Reloaded { doors, warnings });
        assert_eq!(of(1, vec![]), "reloaded: the new configuration is in force (1 door, 0 warnings)");
        assert!(of(2, vec!["x".into()]).ends_with("(2 doors, 1 warning)"));
        assert_eq!(shown("a\n\x1bb\n"), "a\n\\u{1b}b\n");
    }
}
