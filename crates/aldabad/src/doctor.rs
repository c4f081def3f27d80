//! `aldabad doctor`: whether this host, its firewall and its configuration can do what the doors promise. It only looks.
//!
//! Each finding says what was seen, and the next step where there is one. What it says of the firewall it has from the
//! ruleset itself, by following a stranger's packet through it; the last word has a packet from outside, and the command
//! for that is named.

mod answers;
mod around;
mod daemon;
mod firewall;
mod host;
mod obstacle;
mod places;
mod process;
mod programs;
mod routes;
mod service;
mod sets;
mod unit;

use std::process::ExitCode;

use aldaba_config::{Disk, Kind, Options, Policy};
use clap::Args;
use serde::Serialize;

use crate::cli::AskArgs;
use crate::last_in_force::LastInForce;
use crate::log::{aside, show};
use crate::run::state_folder;
use crate::site::Failed;
use crate::surroundings::Surroundings;

/// `aldabad doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Which daemon
    #[command(flatten)]
    ask: AskArgs,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing, or could not be seen.
    Doubtful,
    /// Somebody is shut out, a door stands open, or what is to have no powers has some.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    grade: Grade,
    /// Its name, for programs.
    about: &'static str,
    seen: String,
    /// The next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Finding {
    fn good(about: &'static str, seen: impl Into<String>) -> Self {
        Self { grade: Grade::Good, about, seen: seen.into(), help: None }
    }

    fn doubtful(about: &'static str, seen: impl Into<String>, help: impl Into<String>) -> Self {
        Self { grade: Grade::Doubtful, about, seen: seen.into(), help: Some(help.into()) }
    }

    fn bad(about: &'static str, seen: impl Into<String>, help: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, about, seen: seen.into(), help: Some(help.into()) }
    }
}

/// Runs the command.
#[must_use]
pub fn run(args: &DoctorArgs, surroundings: &Surroundings) -> ExitCode {
    let options = Options { own_uid: surroundings.uid, ..Options::default() };
    let kind = Kind::of(&args.ask.config);
    let (policy, broken) = match aldaba_config::load(kind, &args.ask.config, &mut Disk, &options) {
        Ok(loaded) => (loaded.policy, None),
        Err(report) => {
            let code = Failed::Config(report).told();
            let Some(policy) = last_in_force(args, &options, surroundings) else { return code };
            (policy, Some(code))
        }
    };
    let findings = examine(args, &policy, surroundings);
    let text = if args.json {
        serde_json::to_string_pretty(&findings).unwrap_or_default() + "\n"
    } else {
        findings.iter().map(shown).collect()
    };
    show(&text);
    let bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    broken.unwrap_or(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What stands in for a configuration with errors, which has been said.
fn last_in_force(args: &DoctorArgs, options: &Options, surroundings: &Surroundings) -> Option<Policy> {
    let config = std::path::absolute(&args.ask.config).ok()?;
    let configured = aldaba_config::state_dir(&config, &mut Disk);
    let folder = state_folder(None, surroundings.state_directory.as_deref(), configured.as_deref());
    let last = LastInForce::find(&folder, &config, options.own_uid);
    match last.and_then(|last| last.load(options)) {
        Ok(policy) => {
            aside(
                "aldabad: what follows is of the policy that was last in force; `aldabad run --or-last-in-force` starts with it",
            );
            Some(policy)
        }
        Err(none) => {
            aside(&none.told());
            None
        }
    }
}

fn examine(args: &DoctorArgs, policy: &Policy, surroundings: &Surroundings) -> Vec<Finding> {
    let mut findings = daemon::look(args, policy, surroundings);
    findings.extend(host::clock(policy));
    findings.extend(host::capture(policy));
    findings.extend(routes::look(policy));
    findings.extend(host::addresses(policy));
    findings.extend(firewall::look(policy, &args.ask.config));
    findings.extend(programs::look(args, policy, surroundings));
    findings
}

fn shown(finding: &Finding) -> String {
    let Finding { grade, about, seen, help } = finding;
    let word = match grade {
        Grade::Good => "good    ",
        Grade::Doubtful => "doubtful",
        Grade::Bad => "BAD     ",
    };
    let help = help.as_ref().map(|help| format!("  help: {help}\n")).unwrap_or_default();
    format!("{word}  {about}: {}\n{help}", crate::log::printable(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_with_its_next_step() {
        let text = shown(&Finding::bad("clock", "it is\x1b wrong", "set it"));
        assert_eq!(text, "BAD       clock: it is\\u{1b} wrong\n  help: set it\n");
        assert_eq!(shown(&Finding::good("clock", "right")), "good      clock: right\n");
    }
}
