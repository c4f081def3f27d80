//! `aldabad`: opens closed firewall ports for those who knock.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aldabad::main_as_aldabad()
}
