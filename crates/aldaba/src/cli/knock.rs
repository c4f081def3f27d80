//! `aldaba knock HOST PORT[:PROTOCOL]...`

use std::io::Write;
use std::net::SocketAddr;

use aldaba_knock::{Protocol, Sequence, Step, grammar};

use super::output::Output;
use super::pause::Pause;
use super::server::Server;
use super::{Failed, Told};
use crate::resolve::{Family, written};
use crate::{clock, hit};

/// Stands below the options.
const AFTER: &str = "\
A door opens for the address the knock comes from. Where a server has an IPv4
and an IPv6 address, knock with the family that the connection will use; without
-4 or -6 it is the first address that the system's resolver lists.

No answer comes: whether the door is open shows when you connect.

Example: aldaba knock server.example 7391 2804:udp 8816 && ssh server.example";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Args {
    /// The server: a name or an address
    host: String,
    /// The ports in their order; UDP where :udp stands behind one
    #[arg(required = true, value_name = "PORT[:PROTOCOL]", value_parser = step)]
    steps: Vec<Step>,
    /// The time between one port and the next, such as 200ms or 1s
    #[arg(short, long, value_name = "TIME", default_value_t)]
    delay: Pause,
    /// Knock on every port with UDP
    #[arg(short, long)]
    udp: bool,
    /// Use IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Say each knock as it goes out
    #[arg(short, long)]
    verbose: bool,
}

impl Args {
    const fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }

    fn sequence(&self) -> Result<Sequence, Failed> {
        let udp = |step: &Step| Step { protocol: Protocol::Udp, ..*step };
        let steps: Vec<Step> =
            if self.udp { self.steps.iter().map(udp).collect() } else { self.steps.clone() };
        Sequence::try_from(steps)
            .map_err(|error| Failed::usage(error, "name 1 to 32 ports: aldaba knock HOST 7391 2804:udp 8816"))
    }
}

fn step(word: &str) -> Result<Step, String> {
    let help = if word.contains(',') {
        "write the ports apart, without commas"
    } else {
        "write a port from 1 to 65535, or PORT:udp"
    };
    grammar::step(word).map_err(|error| format!("{error}; {help}"))
}

/// Knocks; every hit goes to the same address.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> Told {
    let sequence = args.sequence()?;
    let server = Server::find(&args.host, args.family())?;
    let address = written(&server.address);
    let mut output = Output::new(out);
    for (number, step) in sequence.steps().iter().enumerate() {
        if number > 0 {
            clock::pause(args.delay.0);
        }
        let to = with_port(server.address, step.port);
        hit::send(to, step.protocol).map_err(|error| server.unreachable(number, to, &error))?;
        if args.verbose {
            output.line(format_args!("{step} at {address}"));
        }
    }
    output.line(format_args!("knocked at {address}: {sequence}"));
    if let Some(choice) = server.choice() {
        output.line(choice);
    }
    Ok(output.finish()?)
}

/// Keeps what else belongs to the address, such as the interface of a link-local one.
const fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
