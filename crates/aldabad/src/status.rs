//! `aldabad status`: how the running daemon is, in words, as JSON, or as metrics.

mod advice;
mod metrics;
mod words;

use std::process::ExitCode;

use clap::Args;

use crate::cli::AskArgs;
use crate::control::{self, Answer, Request, unanswered};
use crate::log::show;
use crate::surroundings::Surroundings;

/// Something does not work at this moment.
const DEGRADED: u8 = 3;

/// `aldabad status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Print numbers for Prometheus, as the textfile collector of its node exporter takes them
    #[arg(long, conflicts_with = "json")]
    pub metrics: bool,
    /// Which daemon
    #[command(flatten)]
    pub ask: AskArgs,
}

/// Runs the command.
#[must_use]
pub fn run(args: &StatusArgs, surroundings: &Surroundings) -> ExitCode {
    let status = match control::ask(&args.ask.socket(surroundings), &Request::Status) {
        Ok(Answer::Status(status)) => status,
        other => return unanswered(other),
    };
    let said = if args.json {
        serde_json::to_string_pretty(&status).unwrap_or_default() + "\n"
    } else if args.metrics {
        metrics::text(&status)
    } else {
        words::told(&status)
    };
    show(&said);
    // Whoever scrapes numbers gets the same in them.
    if status.degraded.is_empty() || args.metrics { ExitCode::SUCCESS } else { ExitCode::from(DEGRADED) }
}

#[cfg(test)]
mod tests;
