//! `knock`: see the manual page knock(1).
#![forbid(unsafe_code)]

use std::env::{args_os, var_os};
use std::process::ExitCode;

fn main() -> ExitCode {
    aldaba::main_as_knock(args_os(), var_os("POSIXLY_CORRECT").is_some())
}
