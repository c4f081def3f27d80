//! `aldaba try HOST [DOOR]`

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::open::{port_behind, wait};
use super::output::Output;
use super::span::Span;
use super::story::said;
use super::way::{Ready, Way, door};
use super::{Failed, Told};
use crate::arrive::{Arrived, Goal};
use crate::clock;
use crate::environment::Environment;
use crate::knocker::Ask;
use crate::resolve::written;

/// Stands below the options.
const AFTER: &str = "\
For whoever has set a door up: the last word on whether it is closed has a packet
from outside. Run it on another host than the server, in a network from which the
port is not let in anyway.

It connects before the knock, and must get no answer; knocks, and must get
through; waits until the door's time is over, and must get no answer again.

Exit status: 0 so it is; 1 nothing was sent; 2 the command line makes no sense;
3 it is otherwise.

Example: aldaba try gw";

/// How long a connection is waited for: a packet that was lost is sent again after a second.
const LOOK: Duration = Duration::from_millis(1500);
/// How long the door may take to open.
const TO_OPEN: Duration = Duration::from_secs(10);
/// What the clocks of both sides, and the way, may take.
const MARGIN: Duration = Duration::from_secs(1);
/// How much longer than it should a door is looked at: a stop command takes its time.
const TO_CLOSE: Duration = Duration::from_secs(10);
/// How often.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The server
    host: String,
    /// What to try
    door: Option<String>,
    /// For how long it is opened
    #[arg(long = "for", value_name = "TIME", default_value = "5s")]
    lasts: Span,
    /// The TCP port to try, instead of the first one the bundle knows of the door
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    way: Way,
}

/// What a port says.
enum Seen {
    /// There is a connection.
    Open,
    /// Nothing at all.
    Nothing,
    /// That there is none to be had.
    Refusal(io::Error),
}

/// Looks, opens, looks, waits, and looks again.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let ready = args.way.ready(&args.host, environment, err)?;
    let server = &ready.knocker.server;
    let door = door(server, args.door.as_deref(), err)?;
    let port = port_behind(server, &door, args.port)?;
    let places = places(&ready, port);
    let mut output = Output::new(out);
    let name = format!("door {} of {}", door.name, server.name);
    for place in &places {
        let seen = look(place);
        output.line(format_args!("before the knock, {}: {}", shown(place), seen.words()));
        if matches!(seen, Seen::Open) {
            return Err(open_before(&name));
        }
    }
    let ask = Ask::Open { door: door.tag, seconds: args.lasts.0 };
    let goal = Goal { ask, port, limit: TO_OPEN, stagger: Duration::ZERO };
    let (Arrived { at, stream }, story) = wait(&ready, goal, err)?;
    drop(stream);
    for knock in &story.knocks {
        output.line(said(knock, &format!("open {} for {}", door.name, args.lasts)));
    }
    output.line(format_args!("after it, {}: {}", shown(&at), Seen::Open.words()));
    output.line(format_args!("its time is over in {}", args.lasts));
    let Some(after) = closes(&places, args.lasts.duration().saturating_add(MARGIN), TO_CLOSE) else {
        let id = story.knocks.last().map(|knock| knock.id.to_string()).unwrap_or_default();
        return Err(still_open(&name, &id));
    };
    output.line(format_args!("after {} s: {}", after.as_secs(), Seen::Nothing.words()));
    output.line(format_args!("{name} is closed, opens for this device, and closes again"));
    Ok(output.finish()?)
}

/// One for each family: the first address, at which the knocks begin too.
fn places(ready: &Ready, port: u16) -> Vec<SocketAddr> {
    let first = ready.paths.iter().filter_map(|path| path.address(0));
    first.map(|address| SocketAddr::new(address.socket.ip(), port)).collect()
}

fn shown(place: &SocketAddr) -> String {
    format!("{} port {}", written(place), place.port())
}

fn look(place: &SocketAddr) -> Seen {
    match TcpStream::connect_timeout(place, LOOK) {
        Ok(_) => Seen::Open,
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => Seen::Nothing,
        Err(error) => Seen::Refusal(error),
    }
}

impl Seen {
    fn words(&self) -> String {
        match self {
            Self::Open => "it answers".to_owned(),
            Self::Nothing => "no answer".to_owned(),
            Self::Refusal(error) => format!("closed, but not hidden, since an answer says so: {error}"),
        }
    }
}

/// How long after its opening the door is closed for everybody who comes anew: `patience` after its time at the latest.
fn closes(places: &[SocketAddr], lasts: Duration, patience: Duration) -> Option<Duration> {
    let opened = clock::steady();
    clock::pause(lasts);
    loop {
        if !places.iter().any(|place| matches!(look(place), Seen::Open)) {
            return Some(opened.elapsed());
        }
        if opened.elapsed() >= lasts.saturating_add(patience) {
            return None;
        }
        clock::pause(AGAIN);
    }
}

fn open_before(name: &str) -> Failed {
    Failed::Door(format!(
        "{name} is open before any knock\n  help: either an earlier opening for this address lasts (on the server: aldabad leases), \
         or everybody gets in: on the server, aldabad doctor"
    ))
}

fn still_open(name: &str, id: &str) -> Failed {
    Failed::Door(format!(
        "{name} is still open {} s after its time\n  help: on the server: aldabad status says so where it cannot be closed; aldabad why {id}; \
         aldabad doctor",
        TO_CLOSE.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn what_a_port_says_is_told_apart() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let place = listener.local_addr().unwrap();
        let moment = Duration::from_millis(1);
        assert!(matches!(look(&place), Seen::Open));
        assert_eq!(closes(&[place], moment, moment), None, "it stays open");
        drop(listener);
        let refused = look(&place);
        assert!(matches!(refused, Seen::Refusal(_)) && refused.words().contains("not hidden"));
        assert!(closes(&[place], moment, moment).is_some_and(|after| after >= moment));
        let failed = still_open("door ssh of gw", "7a2b04b023c51c0f").to_string();
        assert!(
            failed.contains("still open 10 s after its time\n  help: ")
                && failed.contains("aldabad why 7a2b04b023c51c0f")
        );
    }
}
