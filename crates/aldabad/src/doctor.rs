//! `aldabad doctor`: whether this host, its firewall and its configuration can do what the doors promise. It only looks.
//!
//! Each finding says what was seen, and the next step where there is one. What it says of the firewall it has from the
//! ruleset itself, by following a stranger's packet through it; the last word has a packet from outside, and the command
//! for that is named.

mod firewall;
mod host;
mod sets;

use std::process::ExitCode;

use aldaba_config::{Disk, Kind, Options, Policy};
use clap::Args;
use serde::Serialize;

use crate::cli::AskArgs;
use crate::control::trial::TrialAsk;
use crate::control::{self, ControlError, Request};
use crate::log::show;
use crate::site::{Failed, command};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing, or could not be seen.
    Doubtful,
    /// Somebody is shut out, or a door stands open.
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
    let policy = match aldaba_config::load(kind, &args.ask.config, &mut Disk, &options) {
        Ok(loaded) => loaded.policy,
        Err(report) => return Failed::Config(report).told(),
    };
    let findings = examine(args, &policy, surroundings);
    let text = if args.json {
        serde_json::to_string_pretty(&findings).unwrap_or_default() + "\n"
    } else {
        findings.iter().map(shown).collect()
    };
    show(&text);
    let bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn examine(args: &DoctorArgs, policy: &Policy, surroundings: &Surroundings) -> Vec<Finding> {
    let mut findings = vec![daemon(args, surroundings)];
    findings.extend(host::clock(policy));
    findings.extend(host::capture(policy));
    findings.extend(host::addresses(policy));
    findings.extend(firewall::look(policy));
    findings.extend(sets::look(policy));
    findings
}

fn daemon(args: &DoctorArgs, surroundings: &Surroundings) -> Finding {
    let socket = args.ask.socket(surroundings);
    match control::ask(&socket, &Request::Trial(TrialAsk::State)) {
        Ok(_) => Finding::good("daemon", format!("a daemon answers at {}", socket.display())),
        Err(ControlError::NoDaemon { .. }) => Finding::doubtful(
            "daemon",
            format!("no daemon answers at {}: nobody who knocks gets in", socket.display()),
            format!("start it: {}", command(&args.ask.config, "run")),
        ),
        Err(error) => {
            let text = error.to_string();
            let (seen, help) = text.split_once("\n  help: ").unwrap_or((&text, "look at its log"));
            Finding::doubtful("daemon", seen, help)
        }
    }
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
