//! `aldaba close HOST [DOOR]`

use std::io::Write;

use super::Told;
use super::open::send;
use super::way::{Way, door};
use crate::environment::Environment;
use crate::knocker::Ask;

/// Stands below the options.
const AFTER: &str = "\
Closes every opening of the door that this device made. Connections that are
established stay. Without DOOR it is the first one of the bundle.

Example: aldaba close gw";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The server
    host: String,
    /// What to close
    door: Option<String>,
    #[command(flatten)]
    way: Way,
}

/// Knocks once on each path: one of them may lead nowhere.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let ready = args.way.ready(&args.host, environment, err)?;
    let door = door(&ready.knocker.server, args.door.as_deref(), err)?;
    let what = format!("close {}", door.name);
    send(&ready, Ask::Close { door: door.tag }, &what, out, err)
}
