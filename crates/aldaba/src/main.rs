//! `aldaba`: see the manual page aldaba(1).
#![forbid(unsafe_code)]

use std::env::{args_os, var_os};
use std::process::ExitCode;

use aldaba::Environment;

fn main() -> ExitCode {
    aldaba::main_as_aldaba(args_os(), &Environment::new(|name| var_os(name)))
}
