//! The same datagram over every link, tags from the bytes and from the kernel, snapped frames.

use super::HOSTS;
use crate::build::cases::{self, Expect};
use crate::build::{self, link_header};
use crate::{Fault, Frame, Layer, Link, Refused, Segment, Transport, VlanTag, parse};

const LINKS: [Link; 6] = [Link::Ethernet, Link::Ip, Link::LinuxSll, Link::LinuxSll2, Link::Null, Link::Loop];

fn tcp4() -> build::Frame {
    build::Frame::tcp(HOSTS.source.0, 40_000, HOSTS.destination.0, 7000).sequence(0x0102_0304)
}

fn udp6() -> build::Frame {
    build::Frame::udp(HOSTS.source.1, 40_000, HOSTS.destination.1, 7001).payload(b"hello")
}

fn whole(link: Link, bytes: &[u8]) -> Result<Segment<'_>, Refused> {
    parse(&Frame::whole(link, bytes))
}

#[test]
fn every_link_carries_the_same_segment() {
    for frame in [tcp4(), udp6()] {
        let bytes = frame.bytes(Link::Ethernet);
        let expected = whole(Link::Ethernet, &bytes).unwrap();
        let network = Link::Network { ethertype: frame.ethertype() };
        for link in LINKS.into_iter().chain([network]) {
            assert_eq!(whole(link, &frame.bytes(link)), Ok(expected), "{link:?}");
        }
    }
}

#[test]
fn the_fields_are_those_that_were_sent() {
    let bytes = tcp4().bytes(Link::Ip);
    let segment = whole(Link::Ip, &bytes).unwrap();
    assert_eq!((segment.source, segment.destination), (HOSTS.source.0.into(), HOSTS.destination.0.into()));
    assert!(!segment.first_fragment);
    let Transport::Tcp(tcp) = segment.transport else { panic!("{segment:?}") };
    assert_eq!((tcp.source_port, tcp.destination_port), (40_000, 7000));
    assert_eq!((tcp.sequence, tcp.flags, tcp.payload_len), (0x0102_0304, build::flag::SYN, 0));
    let bytes = udp6().bytes(Link::Ip);
    let Transport::Udp(udp) = whole(Link::Ip, &bytes).unwrap().transport else { panic!() };
    assert_eq!((udp.source_port, udp.destination_port, udp.payload), (40_000, 7001, &b"hello"[..]));
}

#[test]
fn link_headers_that_end_early_are_malformed() {
    for link in LINKS {
        let header = link_header(link, 0x0800);
        for length in 0..header.len() {
            let expected = Err(Refused::Malformed(Layer::Link, Fault::Truncated));
            assert_eq!(whole(link, &header[..length]), expected, "{link:?} {length}");
        }
    }
    assert_eq!(whole(Link::Ip, &[]), Err(Refused::Malformed(Layer::Link, Fault::Truncated)));
}

#[test]
fn links_that_name_something_else_carry_no_ip() {
    assert_eq!(whole(Link::Ip, &[0x50; 40]), Err(Refused::NotIp { ethertype: 0 }));
    assert_eq!(
        whole(Link::Network { ethertype: 0x0806 }, &[0; 40]),
        Err(Refused::NotIp { ethertype: 0x0806 })
    );
    assert_eq!(whole(Link::Null, &[7, 0, 0, 0]), Err(Refused::NotIp { ethertype: 0 }));
    let mut bytes = tcp4().bytes(Link::Loop);
    bytes[..4].reverse();
    assert_eq!(whole(Link::Loop, &bytes), Err(Refused::NotIp { ethertype: 0 }));
    assert!(whole(Link::Null, &bytes).is_ok());
    let mut netlink = tcp4().bytes(Link::LinuxSll);
    netlink[2..4].copy_from_slice(&824u16.to_be_bytes());
    assert_eq!(whole(Link::LinuxSll, &netlink), Err(Refused::NotIp { ethertype: 0 }));
}

#[test]
fn a_null_header_may_be_of_either_byte_order_and_any_system() {
    let mut bytes = udp6().bytes(Link::Null);
    for family in [10u32, 24, 28, 30] {
        bytes[..4].copy_from_slice(&family.to_le_bytes());
        assert!(whole(Link::Null, &bytes).is_ok());
        bytes[..4].copy_from_slice(&family.to_be_bytes());
        assert!(whole(Link::Null, &bytes).is_ok());
    }
}

#[test]
fn a_stripped_tag_is_the_outer_one() {
    let tag = VlanTag { tpid: 0x88A8, tci: 7 };
    let bytes = tcp4().vlan(0x8100, 5 << 13 | 9).bytes(Link::Ethernet);
    let segment = parse(&Frame { stripped_vlan: Some(tag), ..Frame::whole(Link::Ethernet, &bytes) }).unwrap();
    assert_eq!(segment.vlan.tags(), [tag, VlanTag { tpid: 0x8100, tci: 5 << 13 | 9 }]);
    assert_eq!((segment.vlan.tags()[1].vid(), segment.vlan.tags()[1].priority()), (9, 5));
    assert!(!segment.vlan.is_untagged());
    let bytes = tcp4().vlan(0x8100, 1).vlan(0x8100, 2).bytes(Link::Ethernet);
    let three = Frame { stripped_vlan: Some(tag), ..Frame::whole(Link::Ethernet, &bytes) };
    assert_eq!(parse(&three), Err(Refused::TooManyVlanTags));
}

#[test]
fn a_stripped_priority_tag_leaves_the_frame_untagged() {
    let tag = Some(VlanTag { tpid: 0x8100, tci: 7 << 13 });
    let bytes = tcp4().bytes(Link::Ip);
    for link in [Link::Ip, Link::Network { ethertype: 0x0800 }] {
        let segment = parse(&Frame { stripped_vlan: tag, ..Frame::whole(link, &bytes) }).unwrap();
        assert!(segment.vlan.is_untagged());
        assert_eq!(segment.vlan.tags().len(), 1);
    }
}

#[test]
fn cooked_bytes_may_begin_with_the_control_information_of_an_inner_tag() {
    let inner = [&[0, 9, 0x08, 0x00][..], &tcp4().bytes(Link::Ip)].concat();
    for tpid in [0x8100, 0x88A8] {
        let segment = whole(Link::Network { ethertype: tpid }, &inner).unwrap();
        assert_eq!(segment.vlan.tags(), [VlanTag { tpid, tci: 9 }]);
    }
}

#[test]
fn a_snapped_frame_counts_if_its_headers_were_captured() {
    for frame in [tcp4().payload(&[1; 100]), udp6().payload(&[1; 100])] {
        let bytes = frame.bytes(Link::Ethernet);
        let full = parse(&Frame::whole(Link::Ethernet, &bytes)).unwrap();
        let headers = if full.source.is_ipv4() { 14 + 20 + 20 } else { 14 + 40 + 8 };
        for length in 0..bytes.len() {
            let snapped = Frame { wire_len: bytes.len(), ..Frame::whole(Link::Ethernet, &bytes[..length]) };
            match parse(&snapped) {
                Ok(segment) => {
                    assert!(length >= headers, "{length}");
                    assert_eq!((segment.source, segment.destination), (full.source, full.destination));
                    assert_payload_is_what_was_captured(&segment, length - headers);
                }
                Err(refused) => {
                    assert!(length < headers && matches!(refused, Refused::NotCaptured(_)), "{refused}");
                }
            }
        }
    }
}

fn assert_payload_is_what_was_captured(segment: &Segment<'_>, captured: usize) {
    match segment.transport {
        Transport::Tcp(tcp) => assert_eq!(tcp.payload_len, 100),
        Transport::Udp(udp) => assert_eq!(udp.payload, &[1; 100][..captured]),
    }
}

#[test]
fn a_snapped_frame_is_refused_for_what_can_be_seen_to_be_wrong() {
    for case in cases::all(&HOSTS) {
        let Expect::Refused(expected) = case.expect else {
            continue;
        };
        if matches!(expected, Refused::Malformed(Layer::Tcp | Layer::Udp, Fault::Checksum)) {
            continue;
        }
        for length in 0..case.bytes.len() {
            let whole = Frame::whole(Link::Ethernet, &case.bytes[..length]);
            let verdict = parse(&Frame { wire_len: case.bytes.len(), ..whole });
            let fine = verdict == Err(expected) || matches!(verdict, Err(Refused::NotCaptured(_)));
            assert!(fine, "{} at {length}: {verdict:?}", case.name);
        }
    }
}

#[test]
fn a_wire_length_below_what_was_captured_is_not_believed() {
    let bytes = tcp4().bytes(Link::Ip);
    let frame = Frame { wire_len: 1, ..Frame::whole(Link::Ip, &bytes) };
    assert!(parse(&frame).is_ok());
}
