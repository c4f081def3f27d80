//! `aldaba connect HOST PORT`

use std::io::Write;
use std::time::Duration;

use aldaba_spa::Transport;

use super::open::wait;
use super::span::Span;
use super::way::{Way, door};
use super::{Failed, Told};
use crate::arrive::{Arrived, Goal};
use crate::environment::Environment;
use crate::knocker::Ask;
use crate::relay::relay;
use crate::resolve::written;
use crate::servers::Server;

/// Stands below the options.
const AFTER: &str = "\
For ssh's ProxyCommand: knocks, waits for the port, and passes the connection on.
With --fdpass ssh gets the connection itself (ProxyUseFdpass yes); without it
standard input and output are relayed.

Exit status: 0 connected; 1 nothing was sent, or the connection was lost; 2 the
command line makes no sense; 3 sent, and the port does not answer.

What to write into ssh's configuration: aldaba ssh-config HOST";

/// How long the second address family waits for the first one: RFC 8305, section 5.
const STAGGER: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The server
    host: String,
    /// The TCP port to connect to
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// What to open, instead of the first door whose ports have PORT among them
    #[arg(long, value_name = "DOOR")]
    door: Option<String>,
    /// For how long new connections are let in, such as 10m; the server may allow less
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Span>,
    /// How long to wait for the port
    #[arg(long, value_name = "TIME", default_value = "10s")]
    wait: Span,
    /// Pass the connection on as a descriptor over standard output
    #[cfg(unix)]
    #[arg(long)]
    fdpass: bool,
    #[command(flatten)]
    way: Way,
}

/// Knocks, connects and passes the connection on.
pub(super) fn run(args: &Args, environment: &Environment, err: &mut dyn Write) -> Told {
    #[cfg(unix)]
    if args.fdpass && !crate::handover::is_possible() {
        let help = "it is for ssh with 'ProxyUseFdpass yes'; without that, leave --fdpass out";
        return Err(Failed::Usage(format!(
            "standard output is no Unix socket: --fdpass cannot work\n  help: {help}"
        )));
    }
    let ready = args.way.ready(&args.host, environment, err)?;
    let server = &ready.knocker.server;
    let named = args.door.as_deref().map_or_else(|| door_of(server, args.port), Ok)?;
    let door = door(server, Some(named), err)?;
    let ask = Ask::Open { door: door.tag, seconds: args.lasts.map_or(0, |span| span.0) };
    let goal = Goal { ask, port: args.port, limit: args.wait.duration(), stagger: STAGGER };
    let (arrived, _) = wait(&ready, goal, err)?;
    pass_on(args, &arrived).map_err(|error| {
        Failed::Sending(format!(
            "the connection to {} ended: {error}\n  help: try again",
            written(&arrived.at)
        ))
    })
}

#[cfg(unix)]
fn pass_on(args: &Args, arrived: &Arrived) -> std::io::Result<()> {
    if args.fdpass { crate::handover::hand_over(&arrived.stream) } else { relay(&arrived.stream) }
}

#[cfg(not(unix))]
fn pass_on(_: &Args, arrived: &Arrived) -> std::io::Result<()> {
    relay(&arrived.stream)
}

/// The first door with this port behind it.
pub(super) fn door_of(server: &Server, port: u16) -> Result<&str, Failed> {
    let has = |known: &aldaba_spa::Port| known.transport == Transport::Tcp && known.number.get() == port;
    let door = server.bundle.doors.iter().find(|door| door.ports.iter().any(has));
    door.map(|door| door.name.as_str()).ok_or_else(|| {
        Failed::Usage(format!(
            "the bundle of {} knows no door with TCP port {port}\n  \
             help: name the door: aldaba connect --door DOOR {} {port}; which there are: aldaba servers",
            server.name, server.name
        ))
    })
}
