//! `aldaba servers`

use std::io::Write;

use aldaba_spa::{BundleDoor, BundleLock, Timestamp, Transport};

use super::output::Output;
use super::way::{servers, warn_of_end};
use super::{Failed, Told};
use crate::clock;
use crate::environment::Environment;
use crate::servers::Server;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Prints all that are enrolled.
pub(super) fn run(_: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let servers = servers(environment)?;
    let names = servers.names()?;
    if names.is_empty() {
        writeln!(err, "no server is enrolled here\n  help: aldaba enrol BUNDLE")?;
    }
    let (now, mut failed) = (clock::wall(), None);
    let mut output = Output::new(out);
    for name in names {
        match servers.read(&name) {
            Ok(server) => {
                for line in lines(&server, now) {
                    output.line(line);
                }
                warn_of_end(&server, now, err)?;
            }
            // The others are of use all the same.
            Err(error) => {
                let error = Failed::from(error);
                writeln!(err, "aldaba: {error}")?;
                failed = Some(error);
            }
        }
    }
    output.finish()?;
    failed.map_or(Ok(()), |_| {
        Err(Failed::key("not every server could be read", "see above; the others are of use"))
    })
}

fn lines(server: &Server, now: Timestamp) -> Vec<String> {
    let bundle = &server.bundle;
    let hosts: Vec<String> = bundle.hosts.iter().map(ToString::to_string).collect();
    let doors: Vec<String> = bundle.doors.iter().map(door).collect();
    let mut lines = vec![
        server.name.to_string(),
        format!("  at {}, UDP port {}", hosts.join(", "), bundle.port),
        format!("  doors: {}", if doors.is_empty() { "as named".to_owned() } else { doors.join(", ") }),
        format!("  bundle of {}", clock::written(bundle.issued)),
    ];
    lines.extend(bundle.locks.iter().map(|lock| format!("  lock {}", dates(lock, now))));
    lines
}

fn door(door: &BundleDoor) -> String {
    let ports: Vec<String> = door
        .ports
        .iter()
        .map(|port| {
            let transport = if port.transport == Transport::Tcp { "tcp" } else { "udp" };
            format!("{}/{transport}", port.number)
        })
        .collect();
    if ports.is_empty() { door.name.clone() } else { format!("{} ({})", door.name, ports.join(", ")) }
}

fn dates(lock: &BundleLock, now: Timestamp) -> String {
    let from = lock.not_before.map(|from| format!("from {} ", clock::written(from)));
    let until = lock
        .not_after
        .map_or_else(|| "without end".to_owned(), |end| format!("until {}", clock::written(end)));
    let state = match (lock.is_valid(now), lock.not_after) {
        (true, _) => "",
        (false, Some(end)) if end < now => ", over",
        (false, _) => ", not yet",
    };
    format!("{}{until}{state}", from.unwrap_or_default())
}
