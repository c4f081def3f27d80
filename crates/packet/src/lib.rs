//! One captured frame to a checked [`Segment`], or the layer at which it is malformed.
//!
//! Whether a frame is well-formed is decided as the host's own stack decides it on the way to a listening socket
//! (Linux, default settings): what the stack would deliver parses, what it would drop is [`Refused`]. What the stack
//! decides elsewhere is not decided here: is the destination ours, is the source possible on this interface, does a
//! socket want this segment in its state and with these TCP options.
//!
//! The verdict differs from the stack's on purpose where
//!
//! * a first fragment holds the transport's header: it is a segment, while a socket waits for the rest;
//! * there are more than two VLAN tags or more than [`MAX_EXTENSIONS`] extension headers: both walks are bounded;
//! * an authentication header, a jumbogram, a security label or the route of a mobile host would need keys or
//!   settings to be accepted: refused whatever the settings.
//!
//! `tests/privileged/malformed.rs` sends every frame of `build::cases` to the kernel and compares.
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
    let Network { ethertype, rest, vlan } = link::open(frame)?;
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
