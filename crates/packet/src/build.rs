//! Frames made from parts, right or wrong on purpose: for tests, the simulation and fuzz seeds.
//!
//! A [`Frame`] is a description; [`Frame::bytes`] writes it for a link. Lengths and checksums come out right unless
//! they are set to something else. This is the mirror of the parser and shares no code with it but the checksum's
//! definition; it panics on parts that fit no frame.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "test support: lengths are small and known, and a panic is the right answer to impossible parts"
)]

pub mod capture;
pub mod cases;

mod extension;
mod link;
mod network;

pub use extension::{fragment_header, option_header, routing_header};
pub use link::link_header;

use std::net::IpAddr;
use std::ops::Range;

use crate::Link;

/// TCP's flags as they are on the wire.
pub mod flag {
    /// Ends the stream.
    pub const FIN: u8 = 1;
    /// Begins it.
    pub const SYN: u8 = 2;
    /// Breaks it.
    pub const RST: u8 = 4;
    /// Pushes what was sent.
    pub const PSH: u8 = 8;
    /// Acknowledges.
    pub const ACK: u8 = 16;
    /// Points at urgent data.
    pub const URG: u8 = 32;
}

/// A frame to be: a SYN or a datagram, with what stands around it.
#[derive(Debug, Clone)]
#[must_use]
pub struct Frame {
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    tcp: Option<TcpParts>,
    payload: Vec<u8>,
    vlan: Vec<(u16, u16)>,
    options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    piece: Option<(u16, Range<usize>)>,
    hops: u8,
    odd: Odd,
}

#[derive(Debug, Clone)]
struct TcpParts {
    sequence: u32,
    flags: u8,
    options: Vec<u8>,
}

/// Fields set to something other than what is right.
#[derive(Debug, Clone, Default)]
struct Odd {
    version: Option<u8>,
    header_words: Option<u8>,
    ip_length: Option<u16>,
    ip_checksum: Option<u16>,
    protocol: Option<u8>,
    data_offset: Option<u8>,
    udp_length: Option<u16>,
    checksum: Option<u16>,
}

impl Frame {
    /// A TCP segment with only SYN set.
    pub fn tcp(
        source: impl Into<IpAddr>,
        source_port: u16,
        destination: impl Into<IpAddr>,
        destination_port: u16,
    ) -> Self {
        let mut frame = Self::udp(source, source_port, destination, destination_port);
        frame.tcp = Some(TcpParts { sequence: 1, flags: flag::SYN, options: Vec::new() });
        frame
    }

    /// An empty UDP datagram.
    pub fn udp(
        source: impl Into<IpAddr>,
        source_port: u16,
        destination: impl Into<IpAddr>,
        destination_port: u16,
    ) -> Self {
        let (source, destination) = (source.into(), destination.into());
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "one address family");
        Self {
            source,
            destination,
            ports: (source_port, destination_port),
            tcp: None,
            payload: Vec::new(),
            vlan: Vec::new(),
            options: Vec::new(),
            extensions: Vec::new(),
            piece: None,
            hops: 64,
            odd: Odd::default(),
        }
    }

    fn tcp_parts(&mut self) -> &mut TcpParts {
        let Some(parts) = &mut self.tcp else { unreachable!("only TCP has this") };
        parts
    }

    /// TCP's flags; see [`flag`].
    pub fn flags(mut self, flags: u8) -> Self {
        self.tcp_parts().flags = flags;
        self
    }

    /// TCP's sequence number.
    pub fn sequence(mut self, sequence: u32) -> Self {
        self.tcp_parts().sequence = sequence;
        self
    }

    /// TCP's options; a multiple of four bytes.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        assert!(options.len().is_multiple_of(4));
        self.tcp_parts().options = options.to_vec();
        self
    }

    /// What follows the transport's header.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// Adds a VLAN tag inside the ones there are.
    pub fn vlan(mut self, tpid: u16, tci: u16) -> Self {
        self.vlan.push((tpid, tci));
        self
    }

    /// IPv4 options; a multiple of four bytes.
    pub fn ipv4_options(mut self, options: &[u8]) -> Self {
        assert!(options.len().is_multiple_of(4) && options.len() <= 40 && self.source.is_ipv4());
        self.options = options.to_vec();
        self
    }

    /// Adds an IPv6 extension header of this number behind the ones there are. Its first byte is filled in.
    pub fn extension(mut self, number: u8, header: Vec<u8>) -> Self {
        assert!(self.source.is_ipv6());
        self.extensions.push((number, header));
        self
    }

    /// Keeps only these bytes of the transport's header and payload, as a fragment; `more` follow.
    pub fn fragment(mut self, bytes: Range<usize>, more: bool) -> Self {
        assert!(bytes.start.is_multiple_of(8));
        let offset = (bytes.start / 8) as u16;
        if self.source.is_ipv4() {
            self.piece = Some((offset | u16::from(more) << 13, bytes));
            self
        } else {
            self.piece = Some((0, bytes));
            let id = self.ports.0.into();
            self.extension(44, fragment_header(offset, more, id))
        }
    }

    /// Keeps only the first bytes of the transport's header and payload; the IP header agrees with that.
    pub fn cut(mut self, bytes: usize) -> Self {
        self.piece = Some((0, 0..bytes));
        self
    }

    /// Sets IPv4's flags and fragment offset, and keeps all bytes.
    pub fn fragment_bits(mut self, bits: u16) -> Self {
        self.piece = Some((bits, 0..usize::MAX));
        self
    }

    /// Time to live, hop limit.
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Another version in the IP header.
    pub fn version(mut self, version: u8) -> Self {
        self.odd.version = Some(version);
        self
    }

    /// Another header length in the IPv4 header, in words; its checksum is right for as many as there are.
    pub fn header_words(mut self, words: u8) -> Self {
        self.odd.header_words = Some(words);
        self
    }

    /// Another total length (IPv4) or payload length (IPv6).
    pub fn ip_length(mut self, length: u16) -> Self {
        self.odd.ip_length = Some(length);
        self
    }

    /// Another checksum in the IPv4 header.
    pub fn ip_checksum(mut self, checksum: u16) -> Self {
        self.odd.ip_checksum = Some(checksum);
        self
    }

    /// Another protocol number for what is carried.
    pub fn protocol(mut self, number: u8) -> Self {
        self.odd.protocol = Some(number);
        self
    }

    /// Another data offset in the TCP header, in words.
    pub fn data_offset(mut self, words: u8) -> Self {
        self.odd.data_offset = Some(words);
        self
    }

    /// Another length in the UDP header.
    pub fn udp_length(mut self, length: u16) -> Self {
        self.odd.udp_length = Some(length);
        self
    }

    /// Another checksum in the transport's header.
    pub fn checksum(mut self, checksum: u16) -> Self {
        self.odd.checksum = Some(checksum);
        self
    }

    /// Another source address.
    pub fn from(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = source.into();
        self
    }

    /// The `EtherType` of the IP header.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        if self.source.is_ipv4() { crate::ETHERTYPE_IPV4 } else { crate::ETHERTYPE_IPV6 }
    }

    /// The frame as a link carries it. [`Link::Network`]'s kind is not looked at: the bytes begin with the IP header.
    #[must_use]
    pub fn bytes(&self, link: Link) -> Vec<u8> {
        if matches!(link, Link::Ip | Link::Network { .. }) {
            return self.datagram();
        }
        let outermost = self.vlan.first().map_or(self.ethertype(), |tag| tag.0);
        let mut bytes = link_header(link, outermost);
        for (number, tag) in self.vlan.iter().enumerate() {
            let next = self.vlan.get(number + 1).map_or(self.ethertype(), |tag| tag.0);
            bytes.extend(tag.1.to_be_bytes());
            bytes.extend(next.to_be_bytes());
        }
        bytes.extend(self.datagram());
        bytes
    }
}
