//! `knockd`: aldabad under the name of the daemon it replaces.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aldabad::main_as_knockd()
}
