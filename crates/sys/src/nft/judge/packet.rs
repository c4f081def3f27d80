//! What rules can ask about the packet: a stranger's first one, as clients send it.

use std::net::IpAddr;

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
/// Where a header's bytes are counted from.
const ETHERNET: u32 = 0;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// Where the destination port stands in its header.
const PORT: std::ops::Range<usize> = 2..4;

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

impl Probe<'_> {
    const fn protocol(&self) -> u8 {
        if self.udp { UDP } else { TCP }
    }

    const fn ethernet(&self) -> u16 {
        if self.ipv6 { 0x86dd } else { 0x0800 }
    }

    const fn family(&self) -> u8 {
        if self.ipv6 { 10 } else { 2 }
    }

    pub(super) fn meta(&self, key: Option<u32>) -> Loaded {
        let by = self.place.map(|place| (place.index.to_ne_bytes(), place.interface.as_bytes()));
        let value = match key {
            Some(1) => known(&self.ethernet().to_be_bytes()),
            Some(4) => by.map_or(vec![Byte::Outside; 4], |(index, _)| known(&index)),
            Some(6) => by.map_or(vec![Byte::Outside; NAME], |(_, name)| padded(name)),
            // Where it leaves: nowhere, for it stays.
            Some(5) => known(&[0; 4]),
            Some(7) => known(&[0; NAME]),
            Some(15) => known(&[self.family()]),
            Some(16) => known(&[self.protocol()]),
            // For this host, by its address.
            Some(19) => known(&[0]),
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
        let has_port = base == Some(TRANSPORT) && from < PORT.end && until > PORT.start;
        Loaded { value: value.collect(), names_port: has_port }
    }

    /// Whether something is written where the port or the destination address stands.
    pub(super) fn is_led_elsewhere_by(&self, parts: &Attributes<'_>) -> bool {
        const SOURCE: u16 = 5;
        let destination = if self.ipv6 { 24..40 } else { 16..20 };
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
        match (at, self.ipv6) {
            (9, false) | (6, true) => Byte::Known(self.protocol()),
            (0, false) => Byte::Known(0x45),
            // Not cut into fragments, and not to be.
            (6, false) => Byte::Known(0x40),
            (7, false) => Byte::Known(0),
            (12..16, false) | (8..24, true) => Byte::Stranger,
            (16..20, false) => self.destination_byte(at.saturating_sub(16)),
            (24..40, true) => self.destination_byte(at.saturating_sub(24)),
            _ => Byte::Unknown,
        }
    }

    fn destination_byte(&self, at: usize) -> Byte {
        let bytes = match self.place.map(|place| place.address) {
            Some(IpAddr::V4(address)) => address.octets().get(at).copied(),
            Some(IpAddr::V6(address)) => address.octets().get(at).copied(),
            None => None,
        };
        bytes.map_or(Byte::Outside, Byte::Known)
    }

    fn transport_byte(&self, at: usize) -> Byte {
        let port = at.checked_sub(PORT.start).and_then(|at| self.port.to_be_bytes().get(at).copied());
        match port {
            Some(byte) => Byte::Known(byte),
            None if at == 13 && !self.udp => Byte::Known(SYN),
            None => Byte::Unknown,
        }
    }

    /// `ct`, of a connection that begins; before the kernel looks for connections it knows of none.
    pub(super) fn connection(&self, parts: &Attributes<'_>, tracked: bool) -> Loaded {
        const NEW: u32 = 8;
        const INVALID: u32 = 1;
        let is_answer = parts.find(3).is_some_and(|direction| direction != [0]);
        let key = number(parts, 2);
        let state = if tracked { NEW } else { INVALID };
        let value = match key {
            Some(0) => known(&state.to_ne_bytes()),
            _ if !tracked || is_answer => vec![Byte::Unknown; NAME],
            Some(1) => known(&[0]),
            // Nothing has become of it yet.
            Some(2) => known(&[0; 4]),
            Some(7) => known(&[self.family()]),
            Some(8 | 19 | 21) => vec![Byte::Stranger; NAME],
            Some(9 | 20 | 22) => {
                (0..if self.ipv6 { 16 } else { 4 }).map(|at| self.destination_byte(at)).collect()
            }
            Some(10) => known(&[self.protocol()]),
            Some(12) => known(&self.port.to_be_bytes()),
            _ => vec![Byte::Unknown; NAME],
        };
        Loaded { value, names_port: key == Some(12) }
    }

    /// `fib`: its destination is this host's, and its source is where it comes from.
    pub(super) fn route(parts: &Attributes<'_>) -> Vec<Byte> {
        const SOURCE: u32 = 1;
        const DESTINATION: u32 = 2;
        const PRESENT: u32 = 32;
        const UNICAST: u32 = 1;
        const LOCAL: u32 = 2;
        let flags = number(parts, 3).unwrap_or_default();
        let of = |flag| flags & flag != 0;
        match number(parts, 2) {
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
