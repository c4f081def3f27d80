//! `aldaba` and its commands.

mod close;
mod comment;
mod connect;
mod enrol;
mod hello;
mod keygen;
mod knock;
mod open;
mod output;
mod pause;
mod pubkey;
mod server;
mod servers;
mod span;
mod ssh_config;
mod story;
mod try_door;
mod way;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::environment::Environment;
use crate::key_file::KeyFileError;
use crate::private_file::PrivateFileError;
use crate::servers::ServersError;

/// What was typed cannot be done.
const USAGE: u8 = 2;
/// All was sent, and the port does not answer, or a door is not as it should be.
const OTHERWISE: u8 = 3;

/// Knock at the doors of a server.
#[derive(Debug, Parser)]
#[command(name = "aldaba", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open a door of a server that this device is enrolled with.
    Open(open::Args),
    /// Close it before its time.
    Close(close::Args),
    /// Try key, clock and path, and open nothing.
    Hello(hello::Args),
    /// Open a door and connect to a port behind it: for ssh.
    Connect(connect::Args),
    /// See from outside that a door is closed, opens, and closes again.
    Try(try_door::Args),
    /// Print what lets ssh do that by itself.
    SshConfig(ssh_config::Args),
    /// Take a server's bundle.
    Enrol(enrol::Args),
    /// List the servers that this device is enrolled with.
    Servers(servers::Args),
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
    #[error("{0}")]
    NoAnswer(String),
    #[error("{0}")]
    Door(String),
    #[error("cannot write: {0}\n  help: is there room where the output goes?")]
    Output(#[from] io::Error),
}

impl From<KeyFileError> for Failed {
    fn from(error: KeyFileError) -> Self {
        Self::key(&error, error.help())
    }
}

impl From<PrivateFileError> for Failed {
    fn from(error: PrivateFileError) -> Self {
        Self::key(&error, error.help())
    }
}

impl From<ServersError> for Failed {
    fn from(error: ServersError) -> Self {
        Self::key(&error, error.help())
    }
}

impl Failed {
    /// What is wrong with a key, a bundle or a file of either, and the next step.
    fn key(what: impl std::fmt::Display, help: impl std::fmt::Display) -> Self {
        Self::Key(format!("{what}\n  help: {help}"))
    }

    /// What is wrong with the command line, and the next step.
    fn usage(what: impl std::fmt::Display, help: impl std::fmt::Display) -> Self {
        Self::Usage(format!("{what}\n  help: {help}"))
    }
}

pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let out: &mut dyn Write = &mut io::stdout();
    let err: &mut dyn Write = &mut io::stderr();
    let told = match cli.command {
        Command::Open(args) => open::run(&args, environment, out, err),
        Command::Close(args) => close::run(&args, environment, out, err),
        Command::Hello(args) => hello::run(&args, environment, out, err),
        Command::Connect(args) => connect::run(&args, environment, err),
        Command::Try(args) => try_door::run(&args, environment, out, err),
        Command::SshConfig(args) => ssh_config::run(&args, environment, out, err),
        Command::Enrol(args) => enrol::run(&args, environment, out, err),
        Command::Servers(args) => servers::run(&args, environment, out, err),
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
                Failed::NoAnswer(_) | Failed::Door(_) => ExitCode::from(OTHERWISE),
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
