//! What all commands that knock have in common: the server, the family, and who knocks.

use std::io::{self, Write};

use aldaba_spa::{BundleDoor, DoorTag, Timestamp, Transport};

use super::Failed;
use crate::bind::Binding;
use crate::environment::Environment;
use crate::knocker::Knocker;
use crate::last::Last;
use crate::paths::{Path, paths};
use crate::resolve::Family;
use crate::servers::{Server, Servers};
use crate::{clock, key_file};

/// How long before its end a bundle is warned about, in microseconds: 14 days.
const NOTICE: u64 = 14 * 86_400 * 1_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct Way {
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Whether the knock is good from this host's own address only
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    bind: Binding,
}

/// A server, who knocks there, and how to get there.
pub(super) struct Ready {
    pub(super) knocker: Knocker,
    pub(super) paths: Vec<Path>,
}

/// The servers of this user.
pub(super) fn servers(environment: &Environment) -> Result<Servers, Failed> {
    environment.servers().map(Servers::new).ok_or_else(no_home)
}

pub(super) fn no_home() -> Failed {
    Failed::Usage("no home folder is known\n  help: set HOME or XDG_CONFIG_HOME".to_owned())
}

impl Way {
    const fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }

    /// Finds all that is needed. Warns of a bundle that ends soon.
    pub(super) fn ready(
        &self,
        host: &str,
        environment: &Environment,
        err: &mut dyn Write,
    ) -> Result<Ready, Failed> {
        let found = servers(environment)?.find(host)?;
        let server = found.server;
        let hosts = found.host.map_or_else(|| server.bundle.hosts.clone(), |host| vec![host]);
        let (identity, last) = environment.identity().zip(environment.last()).ok_or_else(no_home)?;
        let keys = key_file::open(&identity)?.into_iter().filter_map(key_file::Secret::into_device);
        let key = keys.into_iter().find(|key| key.public() == server.device).ok_or_else(|| {
            Failed::Key(format!(
                "{} was enrolled with another key than that in {}\n  \
                 help: on the server, add this one: aldabad user add NAME \"$(aldaba pubkey)\"; then enrol its bundle",
                server.name,
                identity.display()
            ))
        })?;
        warn_of_end(&server, clock::wall(), err)?;
        let (paths, unknown) = paths(&hosts, self.family());
        if paths.is_empty() {
            return Err(self.no_address(&server, &unknown));
        }
        let knocker = Knocker { server, key, last: Last(last), binding: self.bind };
        Ok(Ready { knocker, paths })
    }

    fn no_address(&self, server: &Server, unknown: &[String]) -> Failed {
        let help = match self.family() {
            Family::Any => "can this host ask a name server?",
            Family::V4 => "it may have IPv6 only: try without -4",
            Family::V6 => "it may have IPv4 only: try without -6",
        };
        let unknown: Vec<String> = unknown.iter().map(|reason| format!("\n  {reason}")).collect();
        Failed::Sending(format!("no address for {}{}\n  help: {help}", server.name, unknown.concat()))
    }
}

/// Nobody is told by the network that a bundle has ended.
pub(super) fn warn_of_end(server: &Server, now: Timestamp, err: &mut dyn Write) -> io::Result<()> {
    match server.bundle.ends() {
        Some(end) if end >= now && end.0.saturating_sub(now.0) <= NOTICE => writeln!(
            err,
            "warning: the bundle of {} ends at {}: ask its administrator for a new one before",
            server.name,
            clock::written(end)
        ),
        _ => Ok(()),
    }
}

/// A door as a knock names it.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) tag: DoorTag,
    /// The first TCP port the bundle knows behind it.
    pub(super) port: Option<u16>,
}

/// The door that was named, or the first one. One that the bundle does not know may be newer than the bundle.
pub(super) fn door<'a>(
    server: &'a Server,
    named: Option<&'a str>,
    err: &mut dyn Write,
) -> Result<Wanted<'a>, Failed> {
    let doors = &server.bundle.doors;
    let known = named.map_or(doors.first(), |name| doors.iter().find(|door| door.name == name));
    let name = known.map(|door| door.name.as_str()).or(named).ok_or_else(|| {
        Failed::Usage(format!(
            "the bundle of {} names no door\n  help: name the door behind the host",
            server.name
        ))
    })?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    let tag = DoorTag::of(name).filter(|_| is_name).ok_or_else(|| {
        Failed::usage(
            "a door's name is printable ASCII without blanks",
            "which doors there are: aldaba servers",
        )
    })?;
    if known.is_none() && !doors.is_empty() {
        let there: Vec<&str> = doors.iter().map(|door| door.name.as_str()).collect();
        writeln!(
            err,
            "warning: the bundle of {} knows no door '{name}', only: {}",
            server.name,
            there.join(", ")
        )?;
    }
    Ok(Wanted { name, tag, port: known.and_then(first_tcp_port) })
}

pub(super) fn first_tcp_port(door: &BundleDoor) -> Option<u16> {
    door.ports.iter().find(|port| port.transport == Transport::Tcp).map(|port| port.number.get())
}
