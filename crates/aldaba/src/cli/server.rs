//! The one address of a server that all hits go to, and why it is this one.

use std::net::SocketAddr;

use super::Failed;
use crate::resolve::{Family, addresses, written};

/// A server as it was found.
#[derive(Debug)]
pub(super) struct Server<'a> {
    host: &'a str,
    /// The first that the resolver lists. The port is for the hits to fill in.
    pub(super) address: SocketAddr,
    /// The first of the other family, where no family was asked for.
    other: Option<SocketAddr>,
}

impl<'a> Server<'a> {
    pub(super) fn find(host: &'a str, family: Family) -> Result<Self, Failed> {
        let found = addresses(host, None, family).map_err(|reason| not_found(host, family, &reason))?;
        let first = found.first().copied().ok_or_else(|| not_found(host, family, "no address"))?;
        let other = found.into_iter().find(|address| address.is_ipv4() != first.is_ipv4());
        Ok(Self { host, address: first, other })
    }

    /// That there was a choice, what it means, and how to choose otherwise.
    pub(super) fn choice(&self) -> Option<String> {
        let other = self.other?;
        let (family, option) = family_of(&other);
        Some(format!(
            "  {} also has an {family} address, {}: where you connect to that one, knock with {option},\n  \
             since a door opens for the address the knock came from",
            self.host,
            written(&other)
        ))
    }

    /// Why a hit has not gone out; `sent` before it have.
    pub(super) fn unreachable(&self, sent: usize, to: SocketAddr, error: &std::io::Error) -> Failed {
        let help = self.other.as_ref().map_or_else(
            || format!("is this host on a network that reaches {}?", written(&to)),
            |other| format!("{} also has {}: try {}", self.host, written(other), family_of(other).1),
        );
        Failed::Sending(format!("cannot send to {to}: {error} ({sent} before it went out)\n  help: {help}"))
    }
}

const fn family_of(address: &SocketAddr) -> (&'static str, &'static str) {
    if address.is_ipv4() { ("IPv4", "-4") } else { ("IPv6", "-6") }
}

fn not_found(host: &str, family: Family, reason: &str) -> Failed {
    let help = match family {
        Family::Any if host.contains(['[', ']', '/']) => {
            "give the bare name or address, without brackets or slashes"
        }
        Family::Any if host.matches(':').count() == 1 => "give host and ports apart: HOST PORT...",
        Family::Any => "check the name, and that this host can ask a name server",
        Family::V4 => "it may have IPv6 only: try without -4",
        Family::V6 => "it may have IPv4 only: try without -6",
    };
    Failed::Sending(format!("no address for {host}: {reason}\n  help: {help}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn server(other: Option<&str>) -> Server<'static> {
        let address = "192.0.2.1:0".parse().unwrap();
        Server { host: "gate", address, other: other.map(|other| other.parse().unwrap()) }
    }

    #[test]
    fn a_choice_is_told_only_where_there_was_one() {
        assert_eq!(server(None).choice(), None);
        let told = server(Some("[2001:db8::1]:0")).choice().unwrap();
        assert!(told.contains("IPv6 address, 2001:db8::1") && told.contains("knock with -6"), "{told}");
    }

    #[test]
    fn the_other_address_is_the_next_step_where_there_is_one() {
        let error = || io::Error::from(io::ErrorKind::NetworkUnreachable);
        let to = "192.0.2.1:7000".parse().unwrap();
        let alone = server(None).unreachable(1, to, &error()).to_string();
        assert!(alone.contains("(1 before it went out)") && alone.contains("reaches 192.0.2.1?"), "{alone}");
        let both = server(Some("[2001:db8::1]:0")).unreachable(0, to, &error()).to_string();
        assert!(both.contains("also has 2001:db8::1: try -6"), "{both}");
    }
}
