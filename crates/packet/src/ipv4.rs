//! IPv4 (RFC 791, RFC 1122): header, lengths, checksum, fragments.
//!
//! Sources that are well-formed but can be nobody's (0.0.0.0, loopback from outside, broadcast) are the gate's.

mod options;

use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};

use crate::checksum::Sum;
use crate::rest::Rest;
use crate::transport::Datagram;
use crate::{Fault, Layer, Refused};

const LEAST: usize = 20;

const fn malformed(fault: Fault) -> Refused {
    Refused::Malformed(Layer::Ipv4, fault)
}

/// Checks the header and takes it off.
#[inline]
pub(crate) fn open(rest: Rest<'_>) -> Result<Datagram<'_>, Refused> {
    let fixed = rest.fixed::<LEAST>(Layer::Ipv4)?;
    let view = Ipv4Packet::new(fixed).ok_or(malformed(Fault::Truncated))?;
    if view.get_version() != 4 {
        return Err(malformed(Fault::Version));
    }
    let header_len = usize::from(view.get_header_length()) << 2;
    if header_len < LEAST {
        return Err(malformed(Fault::HeaderLength));
    }
    let options = rest.head(header_len, Layer::Ipv4)?.get(LEAST..).unwrap_or_default();
    if !Sum::default().bytes(fixed).bytes(options).is_right() {
        return Err(malformed(Fault::Checksum));
    }
    let total = usize::from(view.get_total_length());
    if total < header_len || total > rest.len() {
        return Err(malformed(Fault::Length));
    }
    options::check(options)?;
    let source = view.get_source();
    if source.is_multicast() {
        return Err(malformed(Fault::Source));
    }
    if view.get_fragment_offset() != 0 {
        return Err(Refused::LaterFragment);
    }
    Ok(Datagram {
        source: source.into(),
        destination: view.get_destination().into(),
        protocol: view.get_next_level_protocol().0,
        rest: rest.cut(total).after(header_len),
        first_fragment: view.get_flags() & Ipv4Flags::MoreFragments != 0,
    })
}
