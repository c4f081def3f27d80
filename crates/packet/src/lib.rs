//! One captured frame to a checked [`Segment`], or the layer at which it is malformed.
//!
//! Whether a frame is well-formed is decided as the host's own stack decides it on the way to a listening socket
//! (Linux, default settings): what the stack would deliver parses, what it would drop is [`Refused`]. The few
//! places where the two must differ stand in `docs/frames.md`. What the stack decides later (is the destination
//! ours, is a socket there, may this source knock) is not decided here.
//!
//! No clock, no I/O, no logging, no allocation while a frame is parsed. The fields are read through `pnet_packet`'s
//! views; what they mean is checked here. Capture files are read by [`capture_file`].
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::expect_used
    )
)]

#[cfg(any(test, feature = "build"))]
pub mod build;
pub mod capture_file;

mod checksum;
mod frame;
mod ipv4;
mod ipv6;
mod link;
mod refused;
mod rest;
mod segment;
mod transport;

#[cfg(test)]
mod tests;

pub use frame::{Checksum, Frame, Link, Vlan, VlanTag};
pub use ipv6::MAX_EXTENSIONS;
pub use refused::{Fault, Layer, Refused};
pub use segment::{Segment, Tcp, Transport, Udp};

use link::Network;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;

/// Looks through all layers of one frame.
pub fn parse<'a>(frame: &Frame<'a>) -> Result<Segment<'a>, Refused> {
    let Network {
        ethertype,
        rest,
        vlan,
    } = link::open(frame)?;
    let datagram = match ethertype {
        ETHERTYPE_IPV4 => ipv4::open(rest)?,
        ETHERTYPE_IPV6 => ipv6::open(rest)?,
        _ => return Err(Refused::NotIp { ethertype }),
    };
    let transport = transport::open(&datagram, frame.checksum)?;
    Ok(Segment {
        vlan,
        source: datagram.source,
        destination: datagram.destination,
        transport,
        first_fragment: datagram.first_fragment,
    })
}
