//! `aldabad apply`: a new configuration, for good or on trial. The trial itself is the daemon's; what runs here only shows how
//! it goes, and may be killed with the session it was started from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aldaba_sys::clock;
use clap::Args;

use crate::cli::AskArgs;
use crate::control::trial::{
    Apply, Confirmation, Kept, LONGEST_S, RolledBack, Running, SHORTEST_S, Trial, TrialAsk, WhyBack,
};
use crate::control::{self, Answer, ControlError, Request, unanswered};
use crate::log::{aloud, aside, printable};
use crate::reload::{self, shown};
use crate::site::command;
use crate::surroundings::Surroundings;

/// How often the daemon is asked how a trial goes.
const EVERY: Duration = Duration::from_millis(300);

/// `aldabad apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// The new configuration, which takes the place of the one in force [default: what has changed where it stands]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// On trial: without a knock that opens a door within this time, what was in force before comes back
    #[arg(long, value_name = "TIME", value_parser = time)]
    confirm: Option<u64>,
    /// With --confirm: only a knock that opens this door counts
    #[arg(long, value_name = "DOOR", requires = "confirm")]
    door: Option<String>,
    /// With --confirm: no knock counts, only `aldabad apply --keep`
    #[arg(long, requires = "confirm", conflicts_with = "door")]
    by_hand: bool,
    /// Confirm the configuration on trial
    #[arg(long, conflicts_with_all = ["file", "confirm", "roll_back"])]
    keep: bool,
    /// End the trial: what was in force before comes back
    #[arg(long, conflicts_with_all = ["file", "confirm"])]
    roll_back: bool,
    /// Which daemon
    #[command(flatten)]
    ask: AskArgs,
}

/// The length of a trial, in whole seconds.
pub fn time(text: &str) -> Result<u64, String> {
    let time = aldaba_config::duration(text).ok_or("write it like 60s or 5m")?.as_secs();
    let bounds = format!("a trial takes {SHORTEST_S} s to {LONGEST_S} s");
    (SHORTEST_S..=LONGEST_S).contains(&time).then_some(time).ok_or(bounds)
}

/// Runs the command.
#[must_use]
pub fn run(args: &ApplyArgs, surroundings: &Surroundings) -> ExitCode {
    let asked = request(args).map_err(|error| format!("aldabad: {error}"));
    let done = asked.and_then(|request| {
        let socket = args.ask.socket(surroundings);
        let answer = control::ask(&socket, &request).map_err(|error| format!("aldabad: {error}"))?;
        Ok(told(args, &socket, answer))
    });
    done.unwrap_or_else(|error| {
        aside(&error);
        ExitCode::FAILURE
    })
}

fn request(args: &ApplyArgs) -> std::io::Result<Request> {
    if args.keep {
        return Ok(Request::Trial(TrialAsk::Keep));
    }
    if args.roll_back {
        return Ok(Request::Trial(TrialAsk::RollBack));
    }
    let by = match &args.door {
        Some(door) => Confirmation::Door(door.clone()),
        None if args.by_hand => Confirmation::Hand,
        None => Confirmation::Knock,
    };
    let file = args.file.as_deref().map(std::path::absolute).transpose()?;
    Ok(Request::Apply(Apply { file, confirm_s: args.confirm, by }))
}

fn told(args: &ApplyArgs, socket: &Path, answer: Answer) -> ExitCode {
    match answer {
        Answer::Reloaded(reloaded) => {
            reload::say(&reloaded);
            ExitCode::SUCCESS
        }
        Answer::ReloadRefused(refused) => reload::say_refused(&refused),
        Answer::Trial(Trial::Running(running)) => {
            if !args.roll_back {
                say_running(args, &running);
            }
            follow(args, socket)
        }
        Answer::Trial(trial) => ended(args, &trial),
        other => unanswered(Ok(other)),
    }
}

fn say_running(args: &ApplyArgs, running: &Running) {
    for warning in &running.warnings {
        aside(&format!("{}\n", shown(warning)));
    }
    let what = match &running.by {
        Confirmation::Knock => "from where you work, knock, and log in anew".to_owned(),
        Confirmation::Door(door) => {
            format!("from where you work, open door {}, and log in anew", printable(door))
        }
        Confirmation::Hand => "from where you work, knock, log in anew, and there: ".to_owned() + &keep(args),
    };
    let seconds = running.left_ms.div_ceil(1000);
    aside(&format!("in force on trial for {seconds} s: {what}"));
    aside("  leave this session open; it may end, and the daemon goes back all the same");
    if running.by != Confirmation::Hand {
        aside(&format!("  to confirm by hand: {}", keep(args)));
    }
}

fn keep(args: &ApplyArgs) -> String {
    command(&args.ask.config, "apply --keep")
}

/// Waits for its end.
fn follow(args: &ApplyArgs, socket: &Path) -> ExitCode {
    loop {
        clock::rest(EVERY);
        match control::ask(socket, &Request::Trial(TrialAsk::State)) {
            Ok(Answer::Trial(Trial::Running(_))) => {}
            Ok(Answer::Trial(trial)) => return ended(args, &trial),
            Ok(_) => return ExitCode::FAILURE,
            Err(ControlError::NoDaemon { .. } | ControlError::Ended { .. }) => {
                aside(
                    "aldabad: the daemon ended in the trial; its next start has the configuration before\n  \
                     help: start it again, and look at its log; for the firewall alone: aldabad firewall apply",
                );
                return ExitCode::FAILURE;
            }
            Err(error) => {
                aside(&format!("aldabad: {error}"));
                return ExitCode::FAILURE;
            }
        }
    }
}

fn ended(args: &ApplyArgs, trial: &Trial) -> ExitCode {
    match trial {
        Trial::Kept(kept) => {
            aloud(&kept_words(kept));
            if let Some(trouble) = &kept.trouble {
                aside(&format!(
                    "aldabad: it is in force, and not on the disk: {}\n  help: put it there before the daemon is restarted",
                    printable(trouble)
                ));
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Trial::RolledBack(RolledBack { why, kept_as }) => {
            let why_words = match why {
                WhyBack::NotConfirmed => "nobody confirmed it in time",
                WhyBack::Asked => "as asked",
                WhyBack::Stopping => "the daemon was told to stop",
            };
            aside(&format!("rolled back: {why_words}; what was in force before is in force again"));
            if let Some(kept_as) = kept_as {
                aside(&format!("  the new one is kept as {}", kept_as.display()));
            }
            if *why == WhyBack::Asked && args.roll_back {
                return ExitCode::SUCCESS;
            }
            aside(&format!(
                "  help: {} ADDRESS says what became of a knock",
                command(&args.ask.config, "why")
            ));
            ExitCode::FAILURE
        }
        Trial::None | Trial::Running(_) => ExitCode::FAILURE,
    }
}

fn kept_words(Kept { file, before, knock, .. }: &Kept) -> String {
    let by = match knock {
        Some(knock) => {
            let whose =
                knock.device.as_ref().map(|name| format!(" ({})", printable(name))).unwrap_or_default();
            format!("door {} opened for {}{whose}", printable(&knock.door), knock.address)
        }
        None => "by hand".to_owned(),
    };
    match before {
        Some(before) => {
            format!("kept: {by}; {} is the new one, {} the one before", file.display(), before.display())
        }
        None => format!("kept: {by}; the daemon stays"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_neither_too_short_nor_too_long() {
        assert_eq!((time("60s"), time("5m")), (Ok(60), Ok(300)));
        for bad in ["4s", "2h", "60", "x"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
