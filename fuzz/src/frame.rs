//! Frames of every link: no bytes bring the parser down, and what it says stands in the bytes.
//!
//! The first byte chooses link, stripped tag, checksum and how much of the frame was not captured; the rest is the
//! frame. The seeds are written by the example `seeds` of aldaba-packet.

use std::net::IpAddr;

use aldaba_packet::{Checksum, Frame, Link, Refused, Segment, Transport, Vlan, VlanTag, parse};

/// How many bytes the wire had more than the capture.
const NOT_CAPTURED: [usize; 8] = [0, 1, 4, 20, 64, 512, 1500, 65_535];

const ETHERTYPES: [u16; 2] = [0x0800, 0x86DD];

/// Checks one input.
///
/// # Panics
/// If the parser does, or says something that is not so.
pub fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let link = match choice & 7 {
        0 => Link::Ethernet,
        1 => Link::Ip,
        2 => Link::Network { ethertype: ETHERTYPES[0] },
        3 => Link::Network { ethertype: ETHERTYPES[1] },
        4 => Link::LinuxSll,
        5 => Link::LinuxSll2,
        6 => Link::Null,
        _ => Link::Loop,
    };
    let frame = Frame {
        link,
        bytes,
        wire_len: bytes.len() + NOT_CAPTURED[usize::from(choice >> 5)],
        stripped_vlan: (choice & 8 != 0).then_some(VlanTag { tpid: 0x8100, tci: 7 }),
        checksum: if choice & 16 == 0 { Checksum::Verify } else { Checksum::Trusted },
    };
    let verdict = parse(&frame);
    match &verdict {
        Ok(segment) => stands_in_the_bytes(&frame, segment),
        Err(refused) => assert!(refused.index() < Refused::COUNT && !refused.to_string().is_empty()),
    }
    trust_only_adds(&frame, &verdict);
    links_agree(&frame);
}

/// Reads the fields again, from the offsets alone: the chain was checked, so nothing is checked here.
fn stands_in_the_bytes(frame: &Frame<'_>, segment: &Segment<'_>) {
    let bytes = frame.bytes;
    let stripped = usize::from(frame.stripped_vlan.is_some());
    let in_band = segment.vlan.tags().len() - stripped;
    let header = match frame.link {
        Link::Ethernet => 14,
        Link::Ip | Link::Network { .. } => 0,
        Link::LinuxSll => 16,
        Link::LinuxSll2 => 20,
        Link::Null | Link::Loop => 4,
    };
    let ip = &bytes[header + in_band * 4..];
    let (source, destination): (IpAddr, IpAddr) = if ip[0] >> 4 == 4 {
        (array::<4>(ip, 12).into(), array::<4>(ip, 16).into())
    } else {
        (array::<16>(ip, 8).into(), array::<16>(ip, 24).into())
    };
    assert_eq!((segment.source, segment.destination), (source, destination));
    let (protocol, at) = transport(ip);
    let end = end(ip);
    let ports = [u16::from_be_bytes(array(ip, at)), u16::from_be_bytes(array(ip, at + 2))];
    match segment.transport {
        Transport::Tcp(tcp) => {
            assert_eq!(protocol, 6);
            assert_eq!([tcp.source_port, tcp.destination_port], ports);
            assert_eq!(tcp.sequence, u32::from_be_bytes(array(ip, at + 4)));
            assert_eq!(tcp.flags, ip[at + 13]);
            let header_len = usize::from(ip[at + 12] >> 4) * 4;
            assert!(header_len >= 20 && at + header_len <= ip.len());
            assert!(at + header_len + tcp.payload_len <= frame.wire_len);
            // What lies behind the packet in its frame is padding, and no payload.
            assert!(end.is_none_or(|end| at + header_len + tcp.payload_len == end));
        }
        Transport::Udp(udp) => {
            assert_eq!(protocol, 17);
            assert_eq!([udp.source_port, udp.destination_port], ports);
            assert!(ip[at + 8..].starts_with(udp.payload));
            assert!(udp.payload.len() <= udp.payload_len && at + 8 + udp.payload_len <= frame.wire_len);
            assert!(end.is_none_or(|end| at + 8 + udp.payload_len <= end));
            let said = usize::from(u16::from_be_bytes(array(ip, at + 4)));
            assert!(said == 0 && source.is_ipv6() || udp.payload.len() + 8 <= said);
        }
    }
}

/// The transport's protocol and place.
fn transport(ip: &[u8]) -> (u8, usize) {
    if ip[0] >> 4 == 4 {
        return (ip[9], usize::from(ip[0] & 15) * 4);
    }
    let (mut next, mut at) = (ip[6], 40);
    while let 0 | 43 | 44 | 60 = next {
        let length = if next == 44 { 8 } else { usize::from(ip[at + 1]) * 8 + 8 };
        (next, at) = (ip[at], at + length);
    }
    (next, at)
}

/// Where the packet ends by its own header; a jumbogram says it elsewhere.
fn end(ip: &[u8]) -> Option<usize> {
    if ip[0] >> 4 == 4 {
        return Some(usize::from(u16::from_be_bytes(array(ip, 2))));
    }
    let payload = usize::from(u16::from_be_bytes(array(ip, 4)));
    (payload != 0).then_some(40 + payload)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

/// What passes with its checksum verified passes without; the other way round only the checksum can be at fault.
fn trust_only_adds(frame: &Frame<'_>, verdict: &Result<Segment<'_>, Refused>) {
    let trusted = parse(&Frame { checksum: Checksum::Trusted, ..*frame });
    match verdict {
        Err(Refused::Malformed(layer, aldaba_packet::Fault::Checksum))
            if *layer != aldaba_packet::Layer::Ipv4 =>
        {
            assert!(trusted.is_ok());
        }
        verdict => assert_eq!(&trusted, verdict),
    }
}

fn untag(segment: Segment<'_>) -> Segment<'_> {
    Segment { vlan: Vlan::NONE, ..segment }
}

/// The same bytes as a datagram mean the same whatever link brings them.
fn links_agree(frame: &Frame<'_>) {
    let version = frame.bytes.first().map(|first| first >> 4);
    let ethertype = match version {
        Some(4) => ETHERTYPES[0],
        Some(6) => ETHERTYPES[1],
        _ => return,
    };
    let raw = Frame { link: Link::Ip, ..*frame };
    let expected = parse(&raw);
    assert_eq!(parse(&Frame { link: Link::Network { ethertype }, ..raw }), expected);
    let ethernet = [&[2; 12][..], &ethertype.to_be_bytes(), frame.bytes].concat();
    let wire_len = frame.wire_len + 14;
    assert_eq!(parse(&Frame { link: Link::Ethernet, bytes: &ethernet, wire_len, ..raw }), expected);
    let tagged = [&[2; 12][..], &[0x81, 0, 0, 9], &ethertype.to_be_bytes(), frame.bytes].concat();
    let wire_len = frame.wire_len + 18;
    let tagged = parse(&Frame { link: Link::Ethernet, bytes: &tagged, wire_len, ..raw });
    match (tagged, expected) {
        (Ok(tagged), Ok(plain)) => assert_eq!(untag(tagged), untag(plain)),
        (tagged, plain) => assert_eq!(tagged.err(), plain.err()),
    }
}
