//! The host's default gateways (rtnetlink(7), `RTM_GETROUTE`): the next hops of every route to everywhere, in every table.
//!
//! Asked for when somebody wants to know, and read anew only if a route has changed since: a router that changes routes all
//! day wakes nobody. A route whose next hop is an object of its own shows it all the same, unless
//! `net.ipv4.nexthop_compat_mode` is turned off.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use super::{address_of, any, dump, ip};
use crate::netlink::{Attributes, Message, Socket};

/// Groups IPv4 route and IPv6 route of rtnetlink.
const GROUPS: u32 = 0x40 | 0x400;
/// Length of `struct rtmsg`.
pub(super) const ROUTE: usize = 12;
/// Length of `struct rtnexthop`.
const NEXT_HOP: usize = 8;

/// The default gateways, as they are when asked.
#[derive(Debug)]
pub struct Gateways {
    events: Socket,
    found: BTreeSet<IpAddr>,
    stale: bool,
}

impl Gateways {
    /// Begins to follow them.
    pub fn open() -> io::Result<Self> {
        // Events first: what changes while the routes are read is then seen.
        Ok(Self { events: Socket::open(None, GROUPS)?, found: BTreeSet::new(), stale: true })
    }

    /// All there are now.
    pub fn now(&mut self) -> io::Result<&BTreeSet<IpAddr>> {
        self.stale |= any(&mut self.events)?;
        if self.stale {
            self.found = read_all()?;
            self.stale = false;
        }
        Ok(&self.found)
    }
}

fn read_all() -> io::Result<BTreeSet<IpAddr>> {
    let mut found = BTreeSet::new();
    // A header of `struct rtmsg`: all families, all tables.
    dump(&mut Socket::open(None, 0)?, libc::RTM_GETROUTE, &[0; ROUTE], |message| {
        gateways(message, &mut found);
    })?;
    Ok(found)
}

/// `struct rtmsg`: family, length of the destination's prefix, of the source's, tos, table, protocol, scope, type, flags (4).
fn gateways(message: &Message<'_>, found: &mut BTreeSet<IpAddr>) {
    if message.kind != libc::RTM_NEWROUTE {
        return;
    }
    let Some((&[_, 0, _, _, _, _, _, libc::RTN_UNICAST, ..], attributes)) = message.split(ROUTE) else {
        return;
    };
    found.extend(gateway(&attributes));
    // Several next hops, each a `struct rtnexthop` (its length with its attributes: 2) and attributes.
    let mut hops = attributes.find(libc::RTA_MULTIPATH).unwrap_or_default();
    while let Some(length) = hops.first_chunk().map(|bytes| usize::from(u16::from_ne_bytes(*bytes))) {
        let Some(hop) = hops.get(NEXT_HOP..length) else { return };
        found.extend(gateway(&Attributes::new(hop)));
        hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// `RTA_GATEWAY`, or `RTA_VIA` where the gateway is of another family: `struct rtvia` is its family (2) and its address.
fn gateway(attributes: &Attributes<'_>) -> Option<IpAddr> {
    let via = || address_of(attributes.find(libc::RTA_VIA)?.get(2..)?);
    ip(attributes, libc::RTA_GATEWAY).or_else(via)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Builder, messages};

    const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn read(prefix: u8, kind: u8, fill: impl FnOnce(&mut Builder)) -> Vec<String> {
        let mut builder = Builder::default();
        let header = [2, prefix, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
        builder.message(libc::RTM_NEWROUTE, 0, 1, &header);
        fill(&mut builder);
        let mut found = BTreeSet::new();
        messages(&builder.finish()).for_each(|message| gateways(&message, &mut found));
        found.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn only_routes_to_everywhere_count() {
        let gateway = |builder: &mut Builder| builder.put(libc::RTA_GATEWAY, &[192, 0, 2, 1]);
        assert_eq!(read(0, libc::RTN_UNICAST, gateway), [GATEWAY.to_string()]);
        assert!(read(24, libc::RTN_UNICAST, gateway).is_empty());
        assert!(read(0, libc::RTN_UNREACHABLE, gateway).is_empty());
        assert!(read(0, libc::RTN_UNICAST, |_| ()).is_empty(), "a link without a gateway");
    }

    #[test]
    fn a_gateway_of_the_other_family_and_each_of_several_is_found() {
        let via = |builder: &mut Builder| {
            let six: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
            builder.put(libc::RTA_VIA, &[&10_u16.to_ne_bytes()[..], &six.octets()].concat());
        };
        assert_eq!(read(0, libc::RTN_UNICAST, via), ["2001:db8::1"]);
        let hop = |last: u8| {
            let header = [&16_u16.to_ne_bytes()[..], &[0; 6]].concat();
            let gateway =
                [&8_u16.to_ne_bytes()[..], &libc::RTA_GATEWAY.to_ne_bytes(), &[192, 0, 2, last]].concat();
            [header, gateway].concat()
        };
        let hops = [hop(1), hop(2)].concat();
        let several = read(0, libc::RTN_UNICAST, |builder| builder.put(libc::RTA_MULTIPATH, &hops));
        assert_eq!(several, ["192.0.2.1", "192.0.2.2"]);
        for cut in 0..hops.len() {
            read(0, libc::RTN_UNICAST, |builder| builder.put(libc::RTA_MULTIPATH, &hops[..cut]));
        }
        // A length of zero must not be looked at for ever.
        assert!(read(0, libc::RTN_UNICAST, |builder| builder.put(libc::RTA_MULTIPATH, &[0; 16])).is_empty());
    }

    #[test]
    fn they_are_read_from_the_kernel() {
        let mut gateways = Gateways::open().unwrap();
        let first = gateways.now().unwrap().clone();
        assert_eq!(gateways.now().unwrap(), &first);
    }
}
