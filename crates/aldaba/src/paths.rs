//! The ways to a server: one for each address family, with the addresses it has there.
//!
//! A door opens for the address a knock comes from, so whoever may use both families knocks once with each.

use std::net::{IpAddr, SocketAddr};

use aldaba_spa::Host;

use crate::resolve::{Family, addresses};

/// An address to knock at and to connect to. Its port is for others to fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddr,
    /// Whether a resolver gave it.
    pub(crate) resolved: bool,
}

/// The addresses of one family, the one to begin with first; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) addresses: Vec<Address>,
}

impl Path {
    /// The address for an attempt: each further one goes to the next address.
    pub(crate) fn address(&self, attempt: usize) -> Option<&Address> {
        self.addresses.iter().cycle().nth(attempt % self.addresses.len().max(1))
    }
}

/// The paths to these hosts, the family of the first address first; none if there is no address. Beside them, what the
/// resolver said about the names it knows none of.
pub(crate) fn paths(hosts: &[Host], family: Family) -> (Vec<Path>, Vec<String>) {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for host in hosts {
        match look_up(host, family) {
            Ok(addresses) => found.extend(addresses),
            Err(reason) => unknown.push(reason),
        }
    }
    (by_family(found), unknown)
}

fn look_up(host: &Host, family: Family) -> Result<Vec<Address>, String> {
    match host {
        Host::Address(ip) if is_of(*ip, family) => {
            Ok(vec![Address { socket: SocketAddr::new(*ip, 0), resolved: false }])
        }
        Host::Address(_) => Ok(Vec::new()),
        Host::Name(name) => {
            let found = addresses(name, None, family).map_err(|reason| format!("{name}: {reason}"))?;
            Ok(found.into_iter().map(|socket| Address { socket, resolved: true }).collect())
        }
    }
}

const fn is_of(address: IpAddr, family: Family) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}

/// Each address once, in its order.
fn by_family(found: Vec<Address>) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for address in found {
        let is_v4 = address.socket.is_ipv4();
        let same = |path: &&mut Path| path.addresses.iter().all(|other| other.socket.is_ipv4() == is_v4);
        match paths.iter_mut().find(same) {
            Some(path) if path.addresses.iter().any(|other| other.socket == address.socket) => {}
            Some(path) => path.addresses.push(address),
            None => paths.push(Path { addresses: vec![address] }),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(texts: &[&str]) -> Vec<Host> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn written(paths: &[Path]) -> Vec<Vec<String>> {
        let ip = |address: &Address| address.socket.ip().to_string();
        paths.iter().map(|path| path.addresses.iter().map(ip).collect()).collect()
    }

    #[test]
    fn families_part_and_keep_their_order() {
        let hosts = hosts(&["2001:db8::7", "192.0.2.7", "192.0.2.8", "2001:db8::8"]);
        let (both, unknown) = paths(&hosts, Family::Any);
        assert_eq!(written(&both), [["2001:db8::7", "2001:db8::8"], ["192.0.2.7", "192.0.2.8"]]);
        assert!(unknown.is_empty());
        assert_eq!(written(&paths(&hosts, Family::V4).0), [["192.0.2.7", "192.0.2.8"]]);
        assert_eq!(written(&paths(&hosts, Family::V6).0), [["2001:db8::7", "2001:db8::8"]]);
        assert!(paths(&hosts[1..3], Family::V6).0.is_empty());
    }

    #[test]
    fn an_address_counts_once_and_a_name_without_any_is_told() {
        let twice = Address { socket: "192.0.2.7:0".parse().unwrap(), resolved: false };
        assert_eq!(by_family(vec![twice, twice]), [Path { addresses: vec![twice] }]);
        let (found, unknown) = paths(&hosts(&["no.such.host.invalid", "192.0.2.7"]), Family::Any);
        assert_eq!(written(&found), [["192.0.2.7"]]);
        assert!(unknown[0].starts_with("no.such.host.invalid: "), "{unknown:?}");
    }

    #[test]
    fn attempts_go_round() {
        let (found, _) = paths(&hosts(&["192.0.2.7", "192.0.2.8"]), Family::Any);
        let at = |attempt| found[0].address(attempt).unwrap().socket.ip().to_string();
        assert_eq!([at(0), at(1), at(2), at(3)], ["192.0.2.7", "192.0.2.8", "192.0.2.7", "192.0.2.8"]);
    }
}
