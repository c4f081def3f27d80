//! The daemon of aldaba: monitor, worker and closer, under its own name and as `knockd`.
//!
//! The process that is started is the monitor. It starts the others from its own file under other names
//! ([`role`]); what each holds and may do stands in docs/architecture.md.
#![forbid(unsafe_code)]
// They end the process when nobody reads any more: log.rs has what does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod apply;
pub mod budget;
pub mod candidate;
pub mod check;
pub mod cli;
pub mod closer;
pub mod control;
pub mod counts;
mod demo;
pub mod doctor;
pub mod face;
pub mod fault;
pub mod firewall;
pub mod hand;
pub mod init;
pub mod ipc;
pub mod keeper;
pub mod knockd;
pub mod last_in_force;
mod left;
pub mod log;
pub mod monitor;
pub mod moved;
mod names;
pub mod one_time;
pub mod own_table;
mod reap;
pub mod reload;
pub mod replay;
pub mod rights;
pub mod role;
pub mod rotate;
pub mod run;
pub mod site;
pub mod source;
pub mod state;
pub mod status;
pub mod surroundings;
pub mod users;
pub mod watch;
pub mod why;
pub mod wording;
pub mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use role::Role;
use surroundings::Surroundings;
use worker::Confinement;

/// The program `aldabad`.
#[must_use]
pub fn main_as_aldabad() -> ExitCode {
    fault::arm();
    let surroundings = Surroundings::of_this_process();
    if let Some(code) = play_role(&surroundings) {
        return code;
    }
    match Cli::parse_from(&surroundings.arguments).command {
        Command::Run(args) => run::run(args, &surroundings),
        Command::Check(args) => check::run(&args, surroundings.uid),
        Command::Apply(args) => apply::run(&args, &surroundings),
        Command::Why(args) => why::run(&args, &surroundings),
        Command::Status(args) => status::run(&args, &surroundings),
        Command::Leases(args) => hand::leases(&args, &surroundings),
        Command::Open(args) => hand::open(&args, &surroundings),
        Command::Close(args) => hand::close(&args, &surroundings),
        Command::Reload(args) => reload::run(&args, &surroundings),
        Command::Reap(args) => reap::run(&args, &surroundings),
        Command::Doctor(args) => doctor::run(&args, &surroundings),
        Command::Init(args) => init::run(&args, &surroundings),
        Command::Firewall(args) => firewall::run(&args, &surroundings),
        Command::Rotate(args) => rotate::run(&args, &surroundings),
        Command::User(args) => users::run(&args, &surroundings),
        Command::Demo(args) => demo::run(&args),
    }
}

/// The program `knockd`.
#[must_use]
pub fn main_as_knockd() -> ExitCode {
    fault::arm();
    let surroundings = Surroundings::of_this_process();
    play_role(&surroundings).unwrap_or_else(|| knockd::run(&surroundings))
}

/// What this process was started for by the monitor, if it was.
fn play_role(surroundings: &Surroundings) -> Option<ExitCode> {
    let arguments = fault::without_wish(surroundings.arguments.get(1..).unwrap_or_default());
    let role = Role::of(&surroundings.arguments)?;
    // Started by a descriptor, it would be called by its number. A name is for people: it goes on without.
    aldaba_sys::process::set_name(role.argv0()).ok();
    let code = match role {
        Role::Closer => closer::run(arguments),
        Role::Worker => {
            let confinement = Confinement::from_arguments(arguments);
            confinement.map_or(ExitCode::FAILURE, |confinement| worker::run(&confinement))
        }
    };
    Some(code)
}
