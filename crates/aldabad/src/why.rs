//! `aldabad why`: what became of a knock, in words, and what to do next.

mod advice;
mod words;

use std::process::ExitCode;

pub(crate) use words::span;

use crate::cli::WhyArgs;
use crate::control::{self, Answer, Request, Why, unanswered};
use crate::log::show;
use crate::surroundings::Surroundings;

/// Runs the command.
#[must_use]
pub fn run(args: &WhyArgs, surroundings: &Surroundings) -> ExitCode {
    let answer = control::ask(&args.ask.socket(surroundings), &Request::Why(args.about));
    let said = match answer {
        Ok(Answer::Why(why)) if args.json => serde_json::to_string_pretty(&why).unwrap_or_default() + "\n",
        Ok(Answer::Why(why)) => told(&why),
        other => return unanswered(other),
    };
    show(&said);
    ExitCode::SUCCESS
}

/// The whole answer for people.
fn told(why: &Why) -> String {
    format!("{}{}\n", words::story(why), advice::next(why))
}

#[cfg(test)]
mod tests;
