//! From what a user typed to an address, with the system's resolver.

use std::net::SocketAddr;

use aldaba_knock::Protocol;
use dns_lookup::{AddrInfoHints, getaddrinfo};
use socket2::{Domain, Type};

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

/// All addresses of a host in the resolver's order; never empty. `port`: a number or the name of a service.
///
/// An error is the resolver's reason.
pub(crate) fn addresses(
    host: &str,
    port: &str,
    protocol: Protocol,
    family: Family,
) -> Result<Vec<SocketAddr>, String> {
    let address = match family {
        Family::Any => 0,
        Family::V4 => i32::from(Domain::IPV4),
        Family::V6 => i32::from(Domain::IPV6),
    };
    let socktype = match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    };
    let hints = AddrInfoHints { address, socktype: i32::from(socktype), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), Some(port), Some(hints)).map_err(|error| reason(&error.into()))?;
    let found: Vec<SocketAddr> = found.flatten().map(|info| info.sockaddr).collect();
    if found.is_empty() { Err("no address".to_owned()) } else { Ok(found) }
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

    fn tcp(host: &str, port: &str, family: Family) -> Result<Vec<SocketAddr>, String> {
        addresses(host, port, Protocol::Tcp, family)
    }

    #[test]
    fn literals_and_services() {
        assert_eq!(tcp("192.0.2.1", "7000", Family::Any).unwrap(), ["192.0.2.1:7000".parse().unwrap()]);
        assert_eq!(tcp("2001:db8::1", "0", Family::V6).unwrap(), ["[2001:db8::1]:0".parse().unwrap()]);
    }

    #[test]
    fn the_wrong_family_is_an_error_in_the_resolvers_words() {
        let error = tcp("192.0.2.1", "7000", Family::V6).unwrap_err();
        assert!(!error.is_empty() && !error.starts_with("failed"), "{error}");
        assert!(tcp("2001:db8::1", "7000", Family::V4).is_err());
    }
}
