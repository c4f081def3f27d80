//! What arrives on loopback, TCP and UDP in one order.

use std::io::Read as _;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::programs::{needs, now};

const ETHERTYPE_IPV4: u16 = 0x0800;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A packet as far as the client has a say in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Tcp { port: u16, flags: u8, options: Vec<u8>, payload: usize },
    Udp { port: u16, payload: Vec<u8> },
}

/// A socket that gets every IPv4 packet of this host.
pub(crate) struct Wire(Socket);

impl Wire {
    /// `None`: not allowed here.
    pub(crate) fn open() -> Option<Self> {
        let protocol = Protocol::from(i32::from(ETHERTYPE_IPV4.to_be()));
        // Bytes begin with the IPv4 header; with this protocol, and not with all, outgoing packets are left out.
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).ok();
        needs(socket.is_some(), "root, for a packet socket").then_some(())?;
        let socket = socket?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
        Some(Self(socket))
    }

    /// All that has come to these ports, with the source ports, until it is quiet.
    pub(crate) fn arrived(&mut self, ports: &[u16]) -> Vec<(u16, Packet)> {
        let start = now();
        let mut bytes = [0; 2048];
        let mut packets = Vec::new();
        while start.elapsed() < Duration::from_secs(5)
            && let Ok(length) = self.0.read(&mut bytes)
        {
            packets.extend(
                read(&bytes[..length]).into_iter().filter(|(_, packet)| ports.contains(&packet.port())),
            );
        }
        packets
    }
}

impl Packet {
    const fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Udp { port, .. } => *port,
        }
    }
}

/// The source port and the rest. Everything here comes from this host's own kernel.
fn read(packet: &[u8]) -> Option<(u16, Packet)> {
    let header = usize::from(packet[0] & 15) * 4;
    let total = usize::from(word(packet, 2));
    let transport = packet.get(header..total)?;
    let (source, port) = (word(transport, 0), word(transport, 2));
    let packet = match packet[9] {
        TCP => {
            let length = usize::from(transport[12] >> 4) * 4;
            let options = kinds(&transport[20..length]);
            Packet::Tcp { port, flags: transport[13], options, payload: transport.len() - length }
        }
        UDP => Packet::Udp { port, payload: transport[8..].to_vec() },
        _ => return None,
    };
    Some((source, packet))
}

/// The kinds of TCP options, without their values: clocks are among them.
fn kinds(mut options: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [kind, rest @ ..] = options {
        kinds.push(*kind);
        let length = if *kind < 2 { 1 } else { usize::from(rest[0]) };
        options = &options[length..];
    }
    kinds
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
