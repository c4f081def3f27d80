//! What the parser gives: the transport's view of a well-formed frame.

use std::net::IpAddr;

use crate::Vlan;

/// A TCP segment or UDP datagram that the host's stack would hand to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The VLAN tags it came with.
    pub vlan: Vlan,
    /// Who it says it is from.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// Ports and what the transport adds.
    pub transport: Transport<'a>,
    /// Whether this is only the first fragment of a datagram; its checksum is not verified, its payload incomplete.
    pub first_fragment: bool,
}

/// The transport's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp<'a>),
}

/// A TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tcp {
    /// The port it comes from.
    pub source_port: u16,
    /// The port it goes to.
    pub destination_port: u16,
    /// The sequence number.
    pub sequence: u32,
    /// The flags as they are on the wire: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    pub flags: u8,
    /// How many bytes follow the header on the wire, captured or not.
    pub payload_len: usize,
}

/// A UDP header and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Udp<'a> {
    /// The port it comes from.
    pub source_port: u16,
    /// The port it goes to.
    pub destination_port: u16,
    /// What it carries, as far as it was captured.
    pub payload: &'a [u8],
    /// How many bytes that is on the wire, captured or not; of a first fragment those in it.
    pub payload_len: usize,
}
