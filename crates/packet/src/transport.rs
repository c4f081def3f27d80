//! TCP (RFC 9293) and UDP (RFC 768, RFC 8200): header, lengths, checksum.
//!
//! What the flags say together and what TCP's options say is a socket's business, and a knock needs no socket.

use std::net::IpAddr;

use pnet_packet::tcp::TcpPacket;
use pnet_packet::udp::UdpPacket;

use crate::checksum::Sum;
use crate::rest::Rest;
use crate::{Checksum, Fault, Layer, Refused, Tcp, Transport, Udp};

const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_LEAST: usize = 20;
const UDP_HEADER: usize = 8;

/// What an IP header carries.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) rest: Rest<'a>,
    pub(crate) first_fragment: bool,
}

/// Reads the transport's header.
#[inline]
pub(crate) fn open<'a>(datagram: &Datagram<'a>, checksum: Checksum) -> Result<Transport<'a>, Refused> {
    match datagram.protocol {
        TCP => tcp(datagram, checksum).map(Transport::Tcp),
        UDP => udp(datagram, checksum).map(Transport::Udp),
        other => Err(Refused::OtherProtocol(other)),
    }
}

fn tcp(datagram: &Datagram<'_>, checksum: Checksum) -> Result<Tcp, Refused> {
    let rest = datagram.rest;
    let fixed = rest.fixed::<TCP_LEAST>(Layer::Tcp)?;
    let view = TcpPacket::new(fixed).ok_or(Refused::Malformed(Layer::Tcp, Fault::Truncated))?;
    let header_len = usize::from(view.get_data_offset()) << 2;
    if header_len < TCP_LEAST {
        return Err(Refused::Malformed(Layer::Tcp, Fault::HeaderLength));
    }
    rest.head(header_len, Layer::Tcp)?;
    if checksum == Checksum::Verify && datagram.is_wrong(rest) {
        return Err(Refused::Malformed(Layer::Tcp, Fault::Checksum));
    }
    Ok(Tcp {
        source_port: view.get_source(),
        destination_port: view.get_destination(),
        sequence: view.get_sequence(),
        flags: view.get_flags(),
        payload_len: rest.after(header_len).len(),
    })
}

fn udp<'a>(datagram: &Datagram<'a>, checksum: Checksum) -> Result<Udp<'a>, Refused> {
    let header = datagram.rest.fixed::<UDP_HEADER>(Layer::Udp)?;
    let view = UdpPacket::new(header).ok_or(Refused::Malformed(Layer::Udp, Fault::Truncated))?;
    let rest = datagram.rest.cut(datagram.udp_length(view.get_length())?);
    match (view.get_checksum(), datagram.source) {
        (0, IpAddr::V4(_)) => {}
        // Not even a trusted checksum may be missing: there is nothing else over the addresses.
        (0, IpAddr::V6(_)) => return Err(Refused::Malformed(Layer::Udp, Fault::NoChecksum)),
        _ if checksum == Checksum::Verify && datagram.is_wrong(rest) => {
            return Err(Refused::Malformed(Layer::Udp, Fault::Checksum));
        }
        _ => {}
    }
    let payload = rest.after(UDP_HEADER);
    Ok(Udp {
        source_port: view.get_source(),
        destination_port: view.get_destination(),
        payload: payload.bytes(),
        payload_len: payload.len(),
    })
}

impl Datagram<'_> {
    /// UDP's own length, checked: what comes after it is no part of the datagram.
    fn udp_length(&self, length: u16) -> Result<usize, Refused> {
        let length = match usize::from(length) {
            // Over IPv6, 0 means "as long as what carries it" (RFC 2675), jumbogram or not.
            0 if self.source.is_ipv6() => self.rest.len(),
            length => length,
        };
        // The first fragment holds less than the datagram says.
        if length < UDP_HEADER || (length > self.rest.len() && !self.first_fragment) {
            return Err(Refused::Malformed(Layer::Udp, Fault::Length));
        }
        Ok(length)
    }

    /// Whether the checksum is known to be wrong: it cannot be told for fragments and frames cut by the capture.
    fn is_wrong(&self, covered: Rest<'_>) -> bool {
        if self.first_fragment || !covered.is_complete() {
            return false;
        }
        let sum = Sum::default().pseudo_header(self.source, self.destination, self.protocol, covered.len());
        !sum.bytes(covered.bytes()).is_right()
    }
}
