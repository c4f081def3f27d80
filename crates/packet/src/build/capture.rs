//! Capture files around frames: pcap and the blocks of pcapng, in either byte order.

use std::time::Duration;

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The least.
    Little,
    /// The greatest.
    Big,
}

/// A pcap file (little endian, microseconds) with these frames of one link type.
#[must_use]
pub fn pcap(link_type: u32, frames: &[(Duration, Vec<u8>)]) -> Vec<u8> {
    let mut file = Order::Little.pcap_header(0xA1B2_C3D4, link_type);
    for (time, bytes) in frames {
        let (seconds, micros) = (time.as_secs() as u32, time.subsec_micros());
        file.extend(Order::Little.pcap_packet(seconds, micros, bytes.len() as u32, bytes));
    }
    file
}

impl Order {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Little, Self::Big];

    /// A number of two bytes.
    #[must_use]
    pub fn two(self, number: u16) -> [u8; 2] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// A number of four bytes.
    #[must_use]
    pub fn four(self, number: u32) -> [u8; 4] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// A number of eight bytes.
    #[must_use]
    pub fn eight(self, number: i64) -> [u8; 8] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// A pcap file's header. The magic number also says whether fractions are micro- or nanoseconds.
    #[must_use]
    pub fn pcap_header(self, magic: u32, link_type: u32) -> Vec<u8> {
        let mut bytes = self.four(magic).to_vec();
        bytes.extend([self.two(2), self.two(4)].concat());
        bytes.extend([0, 0, 0x4_0000, link_type].map(|number| self.four(number)).concat());
        bytes
    }

    /// A packet of a pcap file.
    #[must_use]
    pub fn pcap_packet(self, seconds: u32, fraction: u32, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u32;
        let head = [seconds, fraction, length, wire_len].map(|number| self.four(number)).concat();
        [&head, bytes].concat()
    }

    /// A block of a pcapng file.
    #[must_use]
    pub fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.four(padded as u32 + 12);
        let mut block = [self.four(kind), length].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    }

    /// The block that begins a section.
    #[must_use]
    pub fn section(self) -> Vec<u8> {
        let body = [&self.four(0x1A2B_3C4D)[..], &self.two(1), &self.two(0), &self.eight(-1)].concat();
        self.block(0x0A0D_0D0A, &body)
    }

    /// The block that describes an interface, with options by number.
    #[must_use]
    pub fn interface(self, link_type: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&self.two(link_type)[..], &self.two(0), &self.four(snap_len)].concat();
        for (code, value) in options {
            body.extend([self.two(*code), self.two(value.len() as u16)].concat());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    /// An enhanced packet, with a comment.
    #[must_use]
    pub fn packet(self, interface: u32, ticks: u64, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
        let (high, low) = ((ticks >> 32) as u32, ticks as u32);
        let head =
            [interface, high, low, bytes.len() as u32, wire_len].map(|number| self.four(number)).concat();
        let mut body = [&head, bytes].concat();
        body.resize(body.len().next_multiple_of(4), 0xEE);
        body.extend([self.two(1), self.two(4)].concat());
        body.extend(b"note");
        self.block(6, &body)
    }

    /// A simple packet.
    #[must_use]
    pub fn simple_packet(self, wire_len: u32, bytes: &[u8]) -> Vec<u8> {
        self.block(3, &[&self.four(wire_len)[..], bytes].concat())
    }
}
