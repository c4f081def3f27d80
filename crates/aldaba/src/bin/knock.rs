//! `knock`: see the manual page knock(1).
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aldaba::main_as_knock(std::env::args_os())
}
