//! `aldaba ssh-config HOST [DOOR]`

use std::io::{self, IsTerminal as _, Write};

use aldaba_spa::{BundleDoor, Host};

use super::connect::door_of;
use super::output::Output;
use super::way::{first_tcp_port, servers};
use super::{Failed, Told};
use crate::environment::Environment;
use crate::servers::Server;

const SSH: u16 = 22;

/// Stands below the options.
const AFTER: &str = "\
Prints what lets ssh knock by itself, for ~/.ssh/config. Without DOOR it is the
one with TCP port 22, or else the first one with any.

Example: aldaba ssh-config gw >> ~/.ssh/config && ssh gw";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Args {
    /// The server
    host: String,
    /// The door with ssh behind it
    door: Option<String>,
}

/// Prints the stanza.
pub(super) fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Told {
    let server = servers(environment)?.find(&args.host)?.server;
    let mut output = Output::new(out);
    for line in stanza(&server, args.door.as_deref())? {
        output.line(line);
    }
    output.finish()?;
    let name = &server.name;
    if io::stdout().is_terminal() {
        writeln!(err, "next: aldaba ssh-config {name} >> ~/.ssh/config && ssh {name}")?;
    } else {
        writeln!(err, "next: ssh {name}")?;
    }
    Ok(())
}

fn stanza(server: &Server, named: Option<&str>) -> Result<Vec<String>, Failed> {
    let name = &server.name;
    let (door, port) = ssh_door(server, named)?;
    let mut lines = vec![format!("Host {}", patterns(server))];
    if let Some(host) = server.bundle.hosts.first() {
        lines.push(format!("    HostName {host}"));
    }
    if port != SSH {
        lines.push(format!("    Port {port}"));
    }
    let by_port = door_of(server, port).ok();
    let door = if by_port == Some(door) { String::new() } else { format!(" --door {}", word(door)) };
    // The name, not %h: a host may be that of several servers.
    if cfg!(unix) {
        lines.push(format!("    ProxyCommand aldaba connect --fdpass{door} {name} %p"));
        lines.push("    ProxyUseFdpass yes".to_owned());
    } else {
        lines.push(format!("    ProxyCommand aldaba connect{door} {name} %p"));
    }
    Ok(lines)
}

/// What the user may type behind ssh: the name, and the names of the hosts.
fn patterns(server: &Server) -> String {
    let hosts = server.bundle.hosts.iter().filter(|host| matches!(host, Host::Name(_)));
    let hosts = hosts.map(ToString::to_string).filter(|host| *host != server.name.as_str());
    std::iter::once(server.name.to_string()).chain(hosts).collect::<Vec<_>>().join(" ")
}

fn ssh_door<'a>(server: &'a Server, named: Option<&'a str>) -> Result<(&'a str, u16), Failed> {
    let doors = &server.bundle.doors;
    let with_port = |door: &'a BundleDoor| first_tcp_port(door).map(|port| (door.name.as_str(), port));
    if let Some(name) = named {
        let known = doors.iter().find(|door| door.name == name);
        return known.map(|door| with_port(door).unwrap_or((name, SSH))).ok_or_else(|| unknown(server, name));
    }
    let standard = door_of(server, SSH).ok().map(|door| (door, SSH));
    standard.or_else(|| doors.iter().find_map(with_port)).ok_or_else(|| {
        Failed::Usage(format!(
            "the bundle of {0} knows no TCP port\n  help: name the door: aldaba ssh-config {0} DOOR",
            server.name
        ))
    })
}

fn unknown(server: &Server, name: &str) -> Failed {
    let help = "which there are: aldaba servers";
    Failed::Usage(format!("the bundle of {} knows no door '{name}'\n  help: {help}", server.name))
}

/// One word for the shell that ssh runs the command with, past ssh's own %.
fn word(door: &str) -> String {
    let door = door.replace('%', "%%");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-%".contains(c);
    if door.chars().all(plain) { door } else { super::comment::quoted(&door) }
}
