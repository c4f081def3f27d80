//! The chain of extension headers up to the transport.
//!
//! Hop-by-hop options may only come first; the others in any order and number, up to [`MAX_EXTENSIONS`].

use pnet_packet::ipv6::{ExtensionPacket, FragmentPacket, RoutingPacket};

use super::{HOP_BY_HOP, options};
use crate::rest::Rest;
use crate::{Fault, Layer, Refused};

/// How many extension headers are looked at, hop-by-hop options not counted. Hosts send one or two.
pub const MAX_EXTENSIONS: usize = 8;

const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const UNIT: usize = 8;

const fn malformed(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Extension, fault)
}

const CUT_OFF: Refused = malformed(Fault::Truncated);

/// Where the walk stands, and at its end what it found.
#[derive(Debug)]
pub(crate) struct End<'a> {
    pub(crate) protocol: u8,
    pub(crate) rest: Rest<'a>,
    pub(crate) first_fragment: bool,
    fragment_seen: bool,
}

/// Walks from the header of kind `next` at the beginning of `rest`; `length` as the IPv6 header has it.
pub(crate) fn walk(next: u8, rest: Rest<'_>, length: usize) -> Result<End<'_>, Refused> {
    let mut at = End { protocol: next, rest, first_fragment: false, fragment_seen: false };
    if next == HOP_BY_HOP {
        at.options(options::Kind::HopByHop)?;
    }
    for _ in 0..=MAX_EXTENSIONS {
        match at.protocol {
            DESTINATION => at.options(options::Kind::Destination)?,
            ROUTING => at.routing()?,
            // Where the length is in a jumbo option there can be no fragments.
            FRAGMENT if length == 0 => return Err(malformed(Fault::Length)),
            FRAGMENT => at.fragment()?,
            _ => return Ok(at),
        }
    }
    Err(Refused::TooManyExtensions)
}

impl<'a> End<'a> {
    /// The bytes of a header whose second byte says how long it is.
    fn header(&self) -> Result<&'a [u8], Refused> {
        let least = self.rest.head(UNIT, Layer::Extension)?;
        let units = ExtensionPacket::new(least).ok_or(CUT_OFF)?.get_hdr_ext_len();
        self.rest.head(usize::from(units).saturating_add(1) << 3, Layer::Extension)
    }

    fn step(&mut self, next: u8, length: usize) {
        self.protocol = next;
        self.rest = self.rest.after(length);
    }

    fn options(&mut self, kind: options::Kind) -> Result<(), Refused> {
        let header = self.header()?;
        options::check(kind, header)?;
        let next = ExtensionPacket::new(header).ok_or(CUT_OFF)?.get_next_header().0;
        self.step(next, header.len());
        Ok(())
    }

    /// A route that has come to its end is passed over; the kinds that hosts accept only when told to, never are.
    fn routing(&mut self) -> Result<(), Refused> {
        const MOBILE: u8 = 2;
        const LOW_POWER: u8 = 3;
        const SEGMENTS: u8 = 4;
        let header = self.header()?;
        let view = RoutingPacket::new(header).ok_or(CUT_OFF)?;
        if view.get_segments_left() != 0 || matches!(view.get_routing_type(), MOBILE | LOW_POWER | SEGMENTS) {
            return Err(Refused::SourceRouted);
        }
        self.step(view.get_next_header().0, header.len());
        Ok(())
    }

    fn fragment(&mut self) -> Result<(), Refused> {
        let header = self.rest.head(UNIT, Layer::Extension)?;
        let view = FragmentPacket::new(header).ok_or(CUT_OFF)?;
        if std::mem::replace(&mut self.fragment_seen, true) {
            return Err(malformed(Fault::Repeated));
        }
        let field = view.get_fragment_offset_with_flags();
        let more = field & 1 != 0;
        if field >> 3 != 0 {
            return Err(Refused::LaterFragment);
        }
        self.step(view.get_next_header().0, UNIT);
        // All but the last fragment end at a multiple of eight.
        if more && !self.rest.len().is_multiple_of(UNIT) {
            return Err(malformed(Fault::Length));
        }
        self.first_fragment = more;
        Ok(())
    }
}
