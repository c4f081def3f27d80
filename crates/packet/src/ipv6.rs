//! IPv6 (RFC 8200): header, lengths, and a bounded walk over the extension headers.
//!
//! Authentication and encapsulation headers end the walk: without a key the stack drops them too, and what it
//! takes out of them it does not show to captures. Sources that are well-formed but can be nobody's (loopback from
//! outside, IPv4 addresses written as IPv6 ones) are the gate's.

mod extension;
mod options;

use pnet_packet::ipv6::Ipv6Packet;

use crate::rest::Rest;
use crate::transport::Datagram;
use crate::{Fault, Layer, Refused};

pub use extension::MAX_EXTENSIONS;

const HEADER: usize = 40;
const HOP_BY_HOP: u8 = 0;

const fn malformed(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Ipv6, fault)
}

/// Checks the header and takes it off, with the extension headers.
pub(crate) fn open(rest: Rest<'_>) -> Result<Datagram<'_>, Refused> {
    let header = rest.fixed::<HEADER>(Layer::Ipv6)?;
    let view = Ipv6Packet::new(header).ok_or(malformed(Fault::Truncated))?;
    if view.get_version() != 6 {
        return Err(malformed(Fault::Version));
    }
    let source = view.get_source();
    if source.is_multicast() {
        return Err(malformed(Fault::Source));
    }
    let next = view.get_next_header().0;
    let length = usize::from(view.get_payload_length());
    let payload = rest.after(HEADER);
    // Length 0 announces a jumbogram, by a hop-by-hop option; the option is not asked for before its header is read.
    let payload = if length == 0 && next == HOP_BY_HOP {
        payload
    } else if length > payload.len() {
        return Err(malformed(Fault::Length));
    } else {
        payload.cut(length)
    };
    let end = extension::walk(next, payload, length)?;
    Ok(Datagram {
        source: source.into(),
        destination: view.get_destination().into(),
        protocol: end.protocol,
        rest: end.rest,
        first_fragment: end.first_fragment,
    })
}
