//! `aldaba hello HOST`

use std::io::Write;

use super::Told;
use super::open::send;
use super::way::Way;
use crate::environment::Environment;
use crate::knocker::Ask;

/// Stands below the options.
const AFTER: &str = "\
Opens nothing. It tries the key, the clock and the way to the server; what became
of it is said there, by the command that is printed.

Example: aldaba hello gw";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The server
    host: String,
    #[command(flatten)]
    way: Way,
}

/// Knocks once on each path.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let ready = args.way.ready(&args.host, environment, err)?;
    send(&ready, Ask::Hello, "hello", out, err)
}
