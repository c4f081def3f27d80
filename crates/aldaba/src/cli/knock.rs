//! `aldaba knock HOST PORT[:PROTOCOL]...`

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aldaba_knock::{Protocol, Sequence, Step, grammar};

use super::{Failed, Told};
use crate::hit;
use crate::resolve::{Family, addresses};

/// Longer than packets overtake each other by on nearly every path, short beside any door's time limit.
const DELAY: &str = "50";

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Args {
    /// The server: a name or an address
    host: String,
    /// The ports in their order; UDP where :udp stands behind one
    #[arg(required = true, value_name = "PORT[:PROTOCOL]", value_parser = step)]
    steps: Vec<Step>,
    /// Milliseconds between one port and the next
    #[arg(short, long, value_name = "MS", default_value = DELAY, value_parser = clap::value_parser!(u32).range(..=60_000))]
    delay: u32,
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

fn step(word: &str) -> Result<Step, String> {
    grammar::step(word).map_err(|error| format!("{error}; write a port from 1 to 65535, or PORT:udp"))
}

/// Knocks; every hit goes to the same address.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> Told {
    let steps: Vec<Step> = args.steps.iter().map(|step| forced(*step, args.udp)).collect();
    let sequence = Sequence::try_from(steps).map_err(|error| Failed::Usage(error.to_string()))?;
    let (address, other) = resolve(args)?;
    let pause = Duration::from_millis(args.delay.into());
    for (number, step) in sequence.steps().iter().enumerate() {
        if number > 0 {
            hit::pause(pause);
        }
        let to = SocketAddr::new(address, step.port);
        hit::send(to, step.protocol).map_err(|error| failed(to, number, &error))?;
        if args.verbose {
            writeln!(out, "{step} at {address}")?;
        }
    }
    writeln!(out, "knocked at {address}: {sequence}")?;
    if let Some(other) = other {
        let (family, option) = if other.is_ipv4() { ("IPv4", "-4") } else { ("IPv6", "-6") };
        writeln!(
            out,
            "  {} also has an {family} address; a door opens for the one you knock from: {option}",
            args.host
        )?;
    }
    Ok(())
}

const fn forced(step: Step, udp: bool) -> Step {
    if udp { Step { protocol: Protocol::Udp, ..step } } else { step }
}

/// The first address the resolver lists, and one of the other family if there is any.
fn resolve(args: &Args) -> Result<(IpAddr, Option<IpAddr>), Failed> {
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let found = addresses(&args.host, None, family).map_err(|reason| {
        let help = match family {
            Family::Any => "check the name; an IPv6 address stands without brackets",
            Family::V4 => "it may have IPv6 only: try without -4",
            Family::V6 => "it may have IPv4 only: try without -6",
        };
        Failed::Sending(format!("no address for {}: {reason}\n  help: {help}", args.host))
    })?;
    let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
    let first = addresses.first().copied();
    let first = first.ok_or_else(|| Failed::Sending(format!("no address for {}", args.host)))?;
    Ok((first, addresses.into_iter().find(|other| other.is_ipv4() != first.is_ipv4())))
}

fn failed(to: SocketAddr, sent: usize, error: &std::io::Error) -> Failed {
    let family = if to.is_ipv4() { "-6" } else { "-4" };
    Failed::Sending(format!(
        "cannot send to {to}: {error} ({sent} before it went out)\n  \
         help: is this host on a network that reaches it? {family} uses its other address, if it has one"
    ))
}
