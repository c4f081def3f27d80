//! No bytes bring the parser down, and what the builder writes the parser reads.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::HOSTS;
use crate::build::{self, cases, fragment_header, option_header, routing_header};
use crate::{Checksum, Frame, Link, Refused, Transport, VlanTag, parse};

fn any_link() -> impl Strategy<Value = Link> {
    prop_oneof![
        Just(Link::Ethernet),
        Just(Link::Ip),
        prop_oneof![Just(0x0800), Just(0x86DD), Just(0x8100), any::<u16>()]
            .prop_map(|ethertype| Link::Network { ethertype }),
        Just(Link::LinuxSll),
        Just(Link::LinuxSll2),
        Just(Link::Null),
        Just(Link::Loop),
    ]
}

/// Bytes of a frame from the table with a few of them changed: deeper than random ones.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let table = cases::all(&HOSTS);
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (prop::sample::select(table), prop::collection::vec(change, 0..4)).prop_map(|(case, changes)| {
        let mut bytes = case.bytes;
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes
    })
}

/// A verdict within bounds whatever came in.
fn check(frame: &Frame<'_>) {
    match parse(frame) {
        Ok(segment) => {
            assert!(segment.vlan.tags().len() <= 2);
            assert_eq!(segment.source.is_ipv4(), segment.destination.is_ipv4());
            match segment.transport {
                Transport::Tcp(tcp) => assert!(tcp.payload_len < frame.wire_len.max(frame.bytes.len())),
                Transport::Udp(udp) => assert!(udp.payload.len() < frame.bytes.len()),
            }
        }
        Err(refused) => assert!(refused.index() < Refused::COUNT && !refused.to_string().is_empty()),
    }
}

proptest! {
    #[test]
    fn any_bytes_get_a_verdict(
        link in any_link(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        more in prop_oneof![Just(0usize), 0usize..2000, Just(usize::MAX / 2)],
        tag in proptest::option::of((any::<u16>(), any::<u16>())),
        trusted: bool,
    ) {
        let frame = Frame {
            link,
            bytes: &bytes,
            wire_len: bytes.len() + more,
            stripped_vlan: tag.map(|(tpid, tci)| VlanTag { tpid, tci }),
            checksum: if trusted { Checksum::Trusted } else { Checksum::Verify },
        };
        check(&frame);
    }

    #[test]
    fn damaged_frames_get_a_verdict(bytes in damaged(), snap in 0usize..120) {
        check(&Frame::whole(Link::Ethernet, &bytes));
        let trusted = Frame { checksum: Checksum::Trusted, ..Frame::whole(Link::Ethernet, &bytes) };
        check(&trusted);
        let kept = &bytes[..snap.min(bytes.len())];
        check(&Frame { wire_len: bytes.len(), ..Frame::whole(Link::Ethernet, kept) });
    }

    #[test]
    fn a_single_wrong_bit_under_a_checksum_is_noticed(place in 0usize..64, bit in 0u8..8) {
        let frame = build::Frame::tcp(HOSTS.source.0, 1, HOSTS.destination.0, 2).payload(&[0x5A; 24]);
        let mut bytes = frame.bytes(Link::Ip);
        bytes[place] ^= 1 << bit;
        prop_assert!(parse(&Frame::whole(Link::Ip, &bytes)).is_err());
    }

    #[test]
    fn what_is_built_is_read(
        addresses in any::<(u32, u32, u128, u128)>(),
        ports in any::<(u16, u16)>(),
        six: bool,
        syn: bool,
        fields in any::<(u32, u8)>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        extensions in prop::collection::vec(0usize..4, 0..6),
        tags in prop::collection::vec(any::<u16>(), 0..3),
        link in prop_oneof![Just(Link::Ethernet), Just(Link::LinuxSll), Just(Link::LinuxSll2)],
    ) {
        let four = (Ipv4Addr::from(addresses.0 & 0xDFFF_FFFF), Ipv4Addr::from(addresses.1));
        // Neither multicast nor an IPv4 address in disguise.
        let source = Ipv6Addr::from(addresses.2 & !(0xC000 << 112) | 0x2000 << 112);
        let (source, destination) =
            if six { (source.into(), Ipv6Addr::from(addresses.3).into()) } else { (four.0.into(), four.1.into()) };
        let made: fn(std::net::IpAddr, u16, std::net::IpAddr, u16) -> build::Frame =
            if syn { build::Frame::tcp } else { build::Frame::udp };
        let mut frame = made(source, ports.0, destination, ports.1).payload(&payload);
        if syn {
            frame = frame.sequence(fields.0).flags(fields.1);
        }
        let mut fragmented = false;
        for kind in extensions.iter().filter(|_| six) {
            frame = match kind {
                0 => frame.extension(43, routing_header(0, 0, 2)),
                1 if !fragmented => {
                    fragmented = true;
                    frame.extension(44, fragment_header(0, false, 1))
                }
                _ => frame.extension(60, option_header(&[0x1E, 2, 1, 2])),
            };
        }
        for tci in &tags {
            frame = frame.vlan(0x8100, *tci);
        }
        let bytes = frame.bytes(link);
        let segment = parse(&Frame::whole(link, &bytes)).unwrap();
        prop_assert_eq!((segment.source, segment.destination), (source, destination));
        prop_assert_eq!(segment.vlan.tags().iter().map(|tag| tag.tci).collect::<Vec<_>>(), tags);
        match segment.transport {
            Transport::Tcp(tcp) => {
                prop_assert!(syn);
                prop_assert_eq!((tcp.source_port, tcp.destination_port), ports);
                prop_assert_eq!((tcp.sequence, tcp.flags), fields);
                prop_assert_eq!(tcp.payload_len, payload.len());
            }
            Transport::Udp(udp) => {
                prop_assert!(!syn);
                prop_assert_eq!((udp.source_port, udp.destination_port), ports);
                prop_assert_eq!(udp.payload, &payload[..]);
            }
        }
    }
}
