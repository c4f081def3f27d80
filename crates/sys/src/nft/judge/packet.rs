//! What rules can ask about the packet: a stranger's first one, as clients send it, or the service's answer to it.

use std::net::IpAddr;
use std::ops::Range;

use super::registers::{Byte, known};
use super::{Probe, number};
use crate::netlink::Attributes;

/// Longest of what is loaded at once.
const LONGEST: usize = 64;
/// A name of an interface.
const NAME: usize = 16;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;
/// Where a header's bytes are counted from.
const ETHERNET: u32 = 0;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// Where the ports stand in their header.
const SOURCE_PORT: Range<usize> = 0..2;
const DESTINATION_PORT: Range<usize> = 2..4;
/// A connection's states as bits: what the kernel knows of none, answered, new.
const UNKNOWN: u32 = 1;
const ESTABLISHED: u32 = 2;
const NEW: u32 = 8;

/// One packet, as one chain sees it.
#[derive(Clone, Copy)]
pub(super) struct Packet<'p> {
    pub(super) probe: Probe<'p>,
    /// It is what the service answers.
    pub(super) is_answer: bool,
    /// Whether the kernel has looked for the packet's connection.
    pub(super) tracked: bool,
    /// Whether it passes the interface itself, and not a device below it.
    pub(super) at_interface: bool,
}

/// What an expression loads.
pub(super) struct Loaded {
    pub(super) value: Vec<Byte>,
    /// It is the port, or has it in it.
    pub(super) names_port: bool,
}

impl From<Vec<Byte>> for Loaded {
    fn from(value: Vec<Byte>) -> Self {
        Self { value, names_port: false }
    }
}

impl Packet<'_> {
    const fn protocol(&self) -> u8 {
        if self.probe.udp { UDP } else { TCP }
    }

    const fn ethernet(&self) -> u16 {
        if self.probe.ipv6 { 0x86dd } else { 0x0800 }
    }

    const fn family(&self) -> u8 {
        if self.probe.ipv6 { 10 } else { 2 }
    }

    /// The port of the door, which answers come from.
    const fn port(&self) -> Range<usize> {
        if self.is_answer { SOURCE_PORT } else { DESTINATION_PORT }
    }

    /// The bit of its connection's state.
    pub(super) const fn state(&self) -> u32 {
        match (self.tracked, self.is_answer) {
            (false, _) => UNKNOWN,
            (true, false) => NEW,
            (true, true) => ESTABLISHED,
        }
    }

    pub(super) fn meta(&self, key: Option<u32>) -> Loaded {
        let by = self.probe.place.filter(|_| self.at_interface);
        // It comes in by one, or leaves by it; the other is none.
        let (device, none, name, no_name) = if self.is_answer { (5, 4, 7, 6) } else { (4, 5, 6, 7) };
        let value = match key {
            Some(1) => known(&self.ethernet().to_be_bytes()),
            Some(key) if key == device => {
                by.map_or(vec![Byte::Outside; 4], |place| known(&place.index.to_ne_bytes()))
            }
            Some(key) if key == name => {
                by.map_or(vec![Byte::Outside; NAME], |place| padded(place.interface.as_bytes()))
            }
            Some(key) if key == none => known(&[0; 4]),
            Some(key) if key == no_name => known(&[0; NAME]),
            Some(15) => known(&[self.family()]),
            Some(16) => known(&[self.protocol()]),
            // For this host, by its address.
            Some(19) if !self.is_answer => known(&[0]),
            // A random number.
            Some(24) => vec![Byte::Drawn; 4],
            _ => vec![Byte::Unknown; NAME],
        };
        value.into()
    }

    /// Bytes of its headers.
    pub(super) fn payload(&self, parts: &Attributes<'_>) -> Loaded {
        let size = |kind| number(parts, kind).and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
        let (base, from) = (number(parts, 2), size(3));
        let until = from.saturating_add(size(4).min(LONGEST));
        let value = (from..until).map(|at| match base {
            Some(ETHERNET) => self.ethernet_byte(at),
            Some(NETWORK) => self.network_byte(at),
            Some(TRANSPORT) => self.transport_byte(at),
            _ => Byte::Unknown,
        });
        let port = self.port();
        let has_port = base == Some(TRANSPORT) && from < port.end && until > port.start;
        Loaded { value: value.collect(), names_port: has_port }
    }

    /// Whether something is written where the port or the destination address stands.
    pub(super) fn is_led_elsewhere_by(&self, parts: &Attributes<'_>) -> bool {
        const SOURCE: u16 = 5;
        let destination = if self.probe.ipv6 { 24..40 } else { 16..20 };
        let (place, length) = match number(parts, 2) {
            Some(NETWORK) => (destination, number(parts, 4)),
            Some(TRANSPORT) => (2..4, number(parts, 4)),
            _ => return false,
        };
        let from = number(parts, 3).unwrap_or_default();
        let until = from.saturating_add(length.unwrap_or_default());
        parts.find(SOURCE).is_some() && from < place.end && until > place.start
    }

    fn ethernet_byte(&self, at: usize) -> Byte {
        at.checked_sub(12)
            .and_then(|at| self.ethernet().to_be_bytes().get(at).copied())
            .map_or(Byte::Unknown, Byte::Known)
    }

    fn network_byte(&self, at: usize) -> Byte {
        match (at, self.probe.ipv6) {
            (9, false) | (6, true) => Byte::Known(self.protocol()),
            (0, false) => Byte::Known(0x45),
            // Not cut into fragments, and not to be.
            (6, false) => Byte::Known(0x40),
            (7, false) => Byte::Known(0),
            (12..16, false) => self.source_byte(at.saturating_sub(12)),
            (8..24, true) => self.source_byte(at.saturating_sub(8)),
            (16..20, false) => self.destination_byte(at.saturating_sub(16)),
            (24..40, true) => self.destination_byte(at.saturating_sub(24)),
            _ => Byte::Unknown,
        }
    }

    fn source_byte(&self, at: usize) -> Byte {
        if self.is_answer { self.own_byte(at) } else { Byte::Stranger }
    }

    fn destination_byte(&self, at: usize) -> Byte {
        if self.is_answer { Byte::Stranger } else { self.own_byte(at) }
    }

    /// Of this host's address.
    fn own_byte(&self, at: usize) -> Byte {
        let bytes = match self.probe.place.map(|place| place.address) {
            Some(IpAddr::V4(address)) => address.octets().get(at).copied(),
            Some(IpAddr::V6(address)) => address.octets().get(at).copied(),
            None => None,
        };
        bytes.map_or(Byte::Outside, Byte::Known)
    }

    fn transport_byte(&self, at: usize) -> Byte {
        let port = at.checked_sub(self.port().start);
        match port.and_then(|at| self.probe.port.to_be_bytes().get(at).copied()) {
            Some(byte) => Byte::Known(byte),
            None if at == 13 && !self.probe.udp => Byte::Known(self.flags()),
            None => Byte::Unknown,
        }
    }

    /// TCP's.
    pub(super) const fn flags(&self) -> u8 {
        if self.is_answer { SYN_ACK } else { SYN }
    }

    /// `ct`: what is known of the connection, which its first packet's addresses and ports belong to.
    pub(super) fn connection(&self, parts: &Attributes<'_>) -> Loaded {
        let of_answers = parts.find(3).is_some_and(|direction| direction != [0]);
        let key = number(parts, 2);
        let value = match key {
            Some(0) => known(&self.state().to_ne_bytes()),
            _ if !self.tracked || of_answers => vec![Byte::Unknown; NAME],
            Some(1) => known(&[u8::from(self.is_answer)]),
            // Nothing has become of it yet.
            Some(2) if !self.is_answer => known(&[0; 4]),
            Some(7) => known(&[self.family()]),
            Some(8 | 19 | 21) => vec![Byte::Stranger; NAME],
            Some(9 | 20 | 22) => {
                (0..if self.probe.ipv6 { 16 } else { 4 }).map(|at| self.own_byte(at)).collect()
            }
            Some(10) => known(&[self.protocol()]),
            Some(12) => known(&self.probe.port.to_be_bytes()),
            _ => vec![Byte::Unknown; NAME],
        };
        Loaded { value, names_port: key == Some(12) }
    }

    /// `fib`: its destination is this host's, and its source is where it comes from.
    pub(super) fn route(&self, parts: &Attributes<'_>) -> Vec<Byte> {
        const SOURCE: u32 = 1;
        const DESTINATION: u32 = 2;
        const PRESENT: u32 = 32;
        const UNICAST: u32 = 1;
        const LOCAL: u32 = 2;
        let flags = number(parts, 3).unwrap_or_default();
        let of = |flag| flags & flag != 0;
        match number(parts, 2) {
            _ if self.is_answer => vec![Byte::Unknown; NAME],
            Some(3) if of(DESTINATION) => known(&LOCAL.to_ne_bytes()),
            Some(3) if of(SOURCE) => known(&UNICAST.to_ne_bytes()),
            Some(_) if of(PRESENT) => known(&[1]),
            _ => vec![Byte::Unknown; NAME],
        }
    }
}

fn padded(name: &[u8]) -> Vec<Byte> {
    known(name).into_iter().chain(std::iter::repeat(Byte::Known(0))).take(NAME).collect()
}
