//! `aldaba` and its commands.

mod comment;
mod keygen;
mod knock;
mod output;
mod pause;
mod pubkey;
mod server;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::environment::Environment;
use crate::key_file::KeyFileError;

/// What was typed cannot be done.
const USAGE: u8 = 2;

/// Knock at the doors of a server.
#[derive(Debug, Parser)]
#[command(name = "aldaba", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Knock with a sequence of ports.
    Knock(knock::Args),
    /// Make a key for this device.
    Keygen(keygen::Args),
    /// Print the public key of a secret one.
    Pubkey(pubkey::Args),
}

/// What a command says and how it ends.
type Told = Result<(), Failed>;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Sending(String),
    #[error("{0}")]
    Key(String),
    #[error("{0}")]
    Usage(String),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl From<KeyFileError> for Failed {
    fn from(error: KeyFileError) -> Self {
        Self::Key(error.to_string())
    }
}

pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let out: &mut dyn Write = &mut io::stdout();
    let err: &mut dyn Write = &mut io::stderr();
    let told = match cli.command {
        Command::Knock(args) => knock::run(&args, out),
        Command::Keygen(args) => keygen::run(&args, environment, out, err),
        Command::Pubkey(args) => pubkey::run(&args, environment, out),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            // Where nobody listens the exit code still tells.
            let _ = writeln!(err, "aldaba: {failed}");
            match failed {
                Failed::Usage(_) => ExitCode::from(USAGE),
                Failed::Sending(_) | Failed::Key(_) | Failed::Output(_) => ExitCode::FAILURE,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
