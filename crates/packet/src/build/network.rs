//! The IP header with what it carries.

use std::net::IpAddr;

use super::{Frame, TcpParts};
use crate::checksum::Sum;

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Frame {
    /// From the IP header on.
    pub(super) fn datagram(&self) -> Vec<u8> {
        let whole = self.transport();
        let carried = match &self.piece {
            Some((_, range)) => whole[range.start..range.end.min(whole.len())].to_vec(),
            None => whole,
        };
        match (self.source, self.destination) {
            (IpAddr::V4(_), _) => self.ipv4(&carried),
            _ => self.ipv6(&carried),
        }
    }

    fn carried_protocol(&self) -> u8 {
        self.odd.protocol.unwrap_or(if self.tcp.is_some() { TCP } else { UDP })
    }

    fn ipv4(&self, carried: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let length = (words * 4 + carried.len()) as u16;
        let said = self.odd.header_words.unwrap_or(words as u8);
        let mut header = vec![self.odd.version.unwrap_or(4) << 4 | said, 0];
        header.extend(self.odd.ip_length.unwrap_or(length).to_be_bytes());
        // As good as any, and fragments of different datagrams stay apart.
        header.extend(self.ports.0.to_be_bytes());
        header.extend(self.piece.as_ref().map_or(0, |piece| piece.0).to_be_bytes());
        header.extend([self.hops, self.carried_protocol(), 0, 0]);
        for address in [self.source, self.destination] {
            let IpAddr::V4(address) = address else { unreachable!("one address family") };
            header.extend(address.octets());
        }
        header.extend(&self.options);
        let covered = [&header[..], carried].concat();
        let covered = &covered[..covered.len().min(usize::from(said) * 4)];
        let right = checksum(Sum::default().bytes(covered));
        header[10..12].copy_from_slice(&self.odd.ip_checksum.unwrap_or(right).to_be_bytes());
        header.extend(carried);
        header
    }

    fn ipv6(&self, carried: &[u8]) -> Vec<u8> {
        let chain: usize = self.extensions.iter().map(|(_, header)| header.len()).sum();
        let length = (chain + carried.len()) as u16;
        let next_of =
            |place: usize| self.extensions.get(place).map_or(self.carried_protocol(), |(number, _)| *number);
        let mut bytes = vec![self.odd.version.unwrap_or(6) << 4, 0, 0, 0];
        bytes.extend(self.odd.ip_length.unwrap_or(length).to_be_bytes());
        bytes.extend([next_of(0), self.hops]);
        for address in [self.source, self.destination] {
            let IpAddr::V6(address) = address else { unreachable!("one address family") };
            bytes.extend(address.octets());
        }
        for (place, (_, header)) in self.extensions.iter().enumerate() {
            bytes.push(next_of(place + 1));
            bytes.extend(&header[1..]);
        }
        bytes.extend(carried);
        bytes
    }

    /// The transport's header and payload.
    fn transport(&self) -> Vec<u8> {
        let mut bytes = [self.ports.0.to_be_bytes(), self.ports.1.to_be_bytes()].concat();
        let checksum_at = if let Some(TcpParts { sequence, flags, options }) = &self.tcp {
            let words = self.odd.data_offset.unwrap_or((5 + options.len() / 4) as u8);
            bytes.extend(sequence.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend([words << 4, *flags, 0xFF, 0xFF, 0, 0, 0, 0]);
            bytes.extend(options);
            16
        } else {
            let length = (8 + self.payload.len()) as u16;
            bytes.extend(self.odd.udp_length.unwrap_or(length).to_be_bytes());
            bytes.extend([0; 2]);
            6
        };
        bytes.extend(&self.payload);
        let right = self.right_checksum(&bytes);
        let place = checksum_at..checksum_at + 2;
        bytes[place].copy_from_slice(&self.odd.checksum.unwrap_or(right).to_be_bytes());
        bytes
    }

    /// Right for as much of a UDP datagram as its length says.
    fn right_checksum(&self, bytes: &[u8]) -> u16 {
        let (number, covered) = if self.tcp.is_some() {
            (TCP, bytes)
        } else {
            let said = self.odd.udp_length.map_or(0, usize::from);
            (UDP, if (8..bytes.len()).contains(&said) { &bytes[..said] } else { bytes })
        };
        let sum = Sum::default().pseudo_header(self.source, self.destination, number, covered.len());
        match checksum(sum.bytes(covered)) {
            // UDP writes the other zero: this one means "none".
            0 if self.tcp.is_none() => 0xFFFF,
            right => right,
        }
    }
}

fn checksum(sum: Sum) -> u16 {
    !(sum.fold() as u16)
}
