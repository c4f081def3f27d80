//! From what a user typed to an address and back, with the system's resolver.

use std::net::{Ipv6Addr, SocketAddr};

use dns_lookup::{AddrInfoHints, getaddrinfo};
use socket2::Domain;

/// Which address family may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    /// Whatever the resolver lists first.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// All addresses of a host in the resolver's order; never empty. `port`: a number or the name of a service, 0 if there
/// is none. Several entries may be equal: the kind of socket is left open, for a service known for one protocol can
/// be knocked on with the other.
///
/// An error is the resolver's reason.
pub(crate) fn addresses(host: &str, port: Option<&str>, family: Family) -> Result<Vec<SocketAddr>, String> {
    let address = match family {
        Family::Any => 0,
        Family::V4 => i32::from(Domain::IPV4),
        Family::V6 => i32::from(Domain::IPV6),
    };
    let hints = AddrInfoHints { address, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), port, Some(hints)).map_err(|error| reason(&error.into()))?;
    let found: Vec<SocketAddr> = found.flatten().map(|info| info.sockaddr).collect();
    if found.is_empty() { Err("no address".to_owned()) } else { Ok(found) }
}

/// The addresses the resolver makes up for a name that has IPv4 addresses only; none where it makes up none.
pub(crate) fn translations() -> Vec<Ipv6Addr> {
    // With the dot at its end no search list is tried.
    let found = addresses("ipv4only.arpa.", None, Family::V6).unwrap_or_default();
    let v6 = found.into_iter().filter_map(|address| match address {
        SocketAddr::V6(v6) => Some(*v6.ip()),
        SocketAddr::V4(_) => None,
    });
    v6.collect()
}

/// The address without its port, with its interface where it needs one: `fe80::1%eth0`.
pub(crate) fn written(address: &SocketAddr) -> String {
    #[cfg(unix)]
    if let Ok((text, _)) = dns_lookup::getnameinfo(address, libc::NI_NUMERICHOST | libc::NI_NUMERICSERV) {
        return text;
    }
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    }
}

/// The resolver's own words: what stands before them says no more.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let found = addresses("192.0.2.1", Some("7000"), Family::Any).unwrap();
        assert!(found.iter().all(|address| *address == "192.0.2.1:7000".parse().unwrap()));
        let found = addresses("2001:db8::1", None, Family::V6).unwrap();
        assert_eq!(found.first().copied(), Some("[2001:db8::1]:0".parse().unwrap()));
    }

    #[test]
    fn the_wrong_family_is_an_error_in_the_resolvers_words() {
        let error = addresses("192.0.2.1", Some("7000"), Family::V6).unwrap_err();
        assert!(!error.is_empty() && !error.starts_with("failed"), "{error}");
        assert!(addresses("2001:db8::1", Some("7000"), Family::V4).is_err());
    }

    #[test]
    fn addresses_are_written_without_port() {
        for (address, wanted) in [("192.0.2.1:7000", "192.0.2.1"), ("[2001:db8::1]:7000", "2001:db8::1")] {
            assert_eq!(written(&address.parse().unwrap()), wanted);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_local_address_keeps_its_interface() {
        let found = addresses("fe80::1%lo", None, Family::Any).unwrap();
        assert_eq!(found.first().map(written), Some("fe80::1%lo".to_owned()));
    }
}
