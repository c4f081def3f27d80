//! Packets written down byte by byte, with checksums computed by another program: the builder used elsewhere shares
//! the parser's idea of a checksum.

use crate::{Fault, Frame, Layer, Link, Refused, Transport, parse};

/// UDP over IPv4, port 4660 to 7000, an odd number of bytes.
const UDP4: &[u8] = &[
    0x45, 0x00, 0x00, 0x1F, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x8E, 0x91, 0xC0, 0x00, 0x02, 0x01, 0xC6,
    0x33, 0x64, 0x07, 0x12, 0x34, 0x1B, 0x58, 0x00, 0x0B, 0x21, 0xAD, 0x61, 0x62, 0x63,
];

/// TCP over IPv6, port 4660 to 7000, an odd number of bytes.
const TCP6: &[u8] = &[
    0x60, 0x00, 0x00, 0x00, 0x00, 0x17, 0x06, 0x40, 0x20, 0x01, 0x0D, 0xB8, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x20, 0x01, 0x0D, 0xB8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x12, 0x34, 0x1B, 0x58, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00,
    0x00, 0x50, 0x02, 0xFF, 0xFF, 0x4F, 0x74, 0x00, 0x00, 0x6F, 0x64, 0x64,
];

#[test]
fn packets_of_others_are_read() {
    let segment = parse(&Frame::whole(Link::Ip, UDP4)).unwrap();
    assert_eq!(
        (segment.source.to_string(), segment.destination.to_string()),
        ("192.0.2.1".into(), "198.51.100.7".into())
    );
    let Transport::Udp(udp) = segment.transport else { panic!() };
    assert_eq!((udp.source_port, udp.destination_port, udp.payload), (4660, 7000, &b"abc"[..]));
    let segment = parse(&Frame::whole(Link::Ip, TCP6)).unwrap();
    assert_eq!(
        (segment.source.to_string(), segment.destination.to_string()),
        ("2001:db8::1".into(), "2001:db8::2".into())
    );
    let Transport::Tcp(tcp) = segment.transport else { panic!() };
    assert_eq!((tcp.source_port, tcp.destination_port, tcp.sequence), (4660, 7000, 0x0102_0304));
    assert_eq!((tcp.flags, tcp.payload_len), (2, 3));
}

#[test]
fn each_byte_of_the_payload_is_covered_by_the_checksum() {
    for (packet, layer, start) in [(UDP4, Layer::Udp, 28), (TCP6, Layer::Tcp, 60)] {
        for place in start..packet.len() {
            let mut bytes = packet.to_vec();
            bytes[place] ^= 0x10;
            let verdict = parse(&Frame::whole(Link::Ip, &bytes));
            assert_eq!(verdict, Err(Refused::Malformed(layer, Fault::Checksum)), "byte {place}");
        }
    }
}
