//! `aldaba open HOST [DOOR]`

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::output::Output;
use super::span::Span;
use super::story::{NoAnswer, said, told};
use super::way::{Ready, Wanted, Way, door};
use super::{Failed, Told};
use crate::arrive::{Arrived, Goal, Story, arrive};
use crate::environment::Environment;
use crate::knocker::Ask;
use crate::resolve::written;
use crate::servers::Server;

/// Stands below the options.
const AFTER: &str = "\
HOST is the name a server was enrolled under, or one of its hosts. Without DOOR it
is the first one of the bundle. The door opens for the address the knock comes
from: one knock goes out for each address family the server has.

No answer comes, ever: whether the door is open shows when you connect, which
--wait does.

Exit status: 0 sent, or with --wait the port answers; 1 nothing was sent; 2 the
command line makes no sense; 3 with --wait, sent, and the port does not answer.

Examples: aldaba open gw
          aldaba open gw web --for 10m --wait && curl https://gw.example.net";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The server
    host: String,
    /// What to open
    door: Option<String>,
    /// For how long, such as 10m; the server may allow less
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<Span>,
    /// Wait until the door's TCP port answers, and knock again meanwhile; 10s unless said otherwise
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s")]
    wait: Option<Span>,
    /// The port to wait for, instead of the first one the bundle knows of the door
    #[arg(long, value_name = "PORT", requires = "wait", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    way: Way,
}

/// Knocks, and waits if that is asked for.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let ready = args.way.ready(&args.host, environment, err)?;
    let server = &ready.knocker.server;
    let door = door(server, args.door.as_deref(), err)?;
    let ask = Ask::Open { door: door.tag, seconds: args.lasts.map_or(0, |span| span.0) };
    let what = format!("open {}", door.name);
    let Some(limit) = args.wait else {
        return send(&ready, ask, &what, out, err);
    };
    let port = port_behind(server, &door, args.port)?;
    let goal = Goal { ask, port, limit: limit.duration(), stagger: Duration::ZERO };
    let (Arrived { at, .. }, story) = wait(&ready, goal, err)?;
    let mut output = Output::new(out);
    for knock in &story.knocks {
        output.line(said(knock, &what));
    }
    output.line(format_args!("port {port} of {} answers at {}", server.name, written(&at)));
    Ok(output.finish()?)
}

/// The TCP port behind a door: the one that was named, or the first that the bundle knows.
pub(super) fn port_behind(server: &Server, door: &Wanted<'_>, named: Option<u16>) -> Result<u16, Failed> {
    named.or(door.port).ok_or_else(|| {
        Failed::Usage(format!(
            "the bundle of {} knows no TCP port of {}\n  help: name it: --port PORT",
            server.name, door.name
        ))
    })
}

/// Sends one knock on each path, and says that no more is known.
pub(super) fn send(ready: &Ready, ask: Ask, what: &str, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let mut story = Story::default();
    for path in &ready.paths {
        for address in &path.addresses {
            match ready.knocker.knock(ask, address) {
                Ok(knock) => {
                    story.knocks.push(knock);
                    break;
                }
                Err(error) => story.unsent.push((unsent_to(ready, address.socket), error)),
            }
        }
    }
    told(&story, err)?;
    if story.knocks.is_empty() {
        return Err(Failed::Sending(NoAnswer::nothing_sent(&ready.knocker.server, &story)));
    }
    let mut output = Output::new(out);
    for knock in &story.knocks {
        output.line(said(knock, what));
    }
    output.line("no answer comes, whatever became of it; on the server:");
    for knock in &story.knocks {
        output.line(format_args!("  aldabad why {}", knock.id));
    }
    Ok(output.finish()?)
}

fn unsent_to(ready: &Ready, mut address: SocketAddr) -> SocketAddr {
    address.set_port(ready.knocker.server.bundle.port.get());
    address
}

/// Knocks until the port answers.
pub(super) fn wait(ready: &Ready, goal: Goal, err: &mut dyn Write) -> Result<(Arrived, Story), Failed> {
    let mut story = Story::default();
    let arrived = arrive(&ready.knocker, &ready.paths, goal, &mut story);
    told(&story, err)?;
    let server = &ready.knocker.server;
    match arrived {
        Some(arrived) => Ok((arrived, story)),
        None if story.knocks.is_empty() => Err(Failed::Sending(NoAnswer::nothing_sent(server, &story))),
        None => Err(Failed::NoAnswer(NoAnswer { server, goal, story: &story }.to_string())),
    }
}
