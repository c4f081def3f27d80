//! Which address a request opens a door for. spec/spa.md, section 10.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Refusal;

/// Which requests a door takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressRule {
    /// Bound or not.
    #[default]
    Either,
    /// Only those bound to the address they come from.
    Bound,
}

/// The address to open: where the datagram came from, which a bound request must agree with. A device that may delegate
/// names any address.
pub fn opened(
    outer: IpAddr,
    bound: Option<IpAddr>,
    rule: AddressRule,
    may_delegate: bool,
) -> Result<IpAddr, Refusal> {
    let outer = outer.to_canonical();
    let address = match bound.map(|address| address.to_canonical()) {
        None if rule == AddressRule::Bound => return Err(Refusal::Unbound),
        None => outer,
        Some(address) if address == outer || may_delegate => address,
        Some(_) => return Err(Refusal::Relayed),
    };
    if can_be_opened(address) { Ok(address) } else { Err(Refusal::Address) }
}

/// Whether a host can have this address and be anywhere else than on this very link.
fn can_be_opened(address: IpAddr) -> bool {
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return false;
    }
    match address {
        IpAddr::V4(v4) => !(is_reserved(v4) || v4.is_link_local() || in_this_network(v4)),
        IpAddr::V6(v6) => !(v6.is_unicast_link_local() || is_v4_compatible(v6)),
    }
}

/// 0.0.0.0/8 (RFC 1122, section 3.2.1.3).
const fn in_this_network(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [0, ..])
}

/// 240.0.0.0/4 (RFC 1112, section 4), which 255.255.255.255 is in.
const fn is_reserved(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [240..=255, ..])
}

/// `::/96` (RFC 4291, section 2.5.5.1).
const fn is_v4_compatible(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0, 0, 0, 0, 0, 0, _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_bound_request_opens_only_where_it_comes_from() {
        let (here, there) = (ip("203.0.113.7"), ip("198.51.100.9"));
        let mapped = ip("::ffff:203.0.113.7");
        for rule in [AddressRule::Either, AddressRule::Bound] {
            assert_eq!(opened(here, Some(here), rule, false), Ok(here));
            assert_eq!(opened(mapped, Some(here), rule, false), Ok(here));
            assert_eq!(opened(there, Some(here), rule, false), Err(Refusal::Relayed));
            assert_eq!(opened(there, Some(here), rule, true), Ok(here));
        }
        assert_eq!(opened(here, None, AddressRule::Either, false), Ok(here));
        assert_eq!(opened(mapped, None, AddressRule::Either, false), Ok(here));
        assert_eq!(opened(here, None, AddressRule::Bound, true), Err(Refusal::Unbound));
    }

    #[test]
    fn some_addresses_are_never_opened() {
        let never = [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "240.0.0.0",
            "255.255.255.255",
            "::",
            "::1",
            "::192.0.2.1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ];
        for text in never {
            assert_eq!(opened(ip(text), None, AddressRule::Either, true), Err(Refusal::Address), "{text}");
            let bound = opened(ip("192.0.2.1"), Some(ip(text)), AddressRule::Either, true);
            assert_eq!(bound, Err(Refusal::Address), "{text}");
        }
        for text in ["10.0.0.1", "100.64.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(opened(ip(text), None, AddressRule::Either, false), Ok(ip(text)));
        }
    }
}
