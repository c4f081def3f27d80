//! The client: `aldaba` opens doors, knocks and makes keys; `knock` is for those who come from knockd.
//!
//! No privileges, no capture, plain sockets: it is to run wherever Rust's standard library does.
#![forbid(unsafe_code)]

mod arrive;
mod bind;
mod cli;
mod clock;
mod dropin;
mod environment;
#[cfg(unix)]
mod handover;
mod hit;
mod key_file;
mod knocker;
mod last;
mod paths;
mod private_file;
mod random;
mod relay;
mod resolve;
mod servers;

use std::ffi::OsString;
use std::process::ExitCode;

pub use environment::Environment;

/// The program `aldaba`; `arguments` with its own name first.
#[must_use]
pub fn main_as_aldaba(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    cli::run(arguments, environment)
}

/// The program `knock`; `arguments` with its own name first. `posixly_correct`: whether options end at the first word
/// that is none, which is what the environment variable of that name asks for.
#[must_use]
pub fn main_as_knock(arguments: impl IntoIterator<Item = OsString>, posixly_correct: bool) -> ExitCode {
    dropin::run(arguments, posixly_correct)
}
