//! `aldaba`: see the manual page aldaba(1).
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aldaba::main_as_aldaba(std::env::args_os())
}
